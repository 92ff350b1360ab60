"""Simulations in the neuron's own unit: a map from 0..10 to activations, fitted on `calibration`, used elsewhere.

Formulas: Bills et al. (2023). A simulation runs from 0 to 10 in nobody's unit, so that only its correlation can be had
as it is; its distance from the neuron needs a map. What is fitted on the excerpts that it is then judged on flatters: a
simulation with r = -0.9 becomes, by a falling line, one with r = +0.9. Hence two rules. A map is fitted on
`calibration` and applied to other excerpts. And no map ever falls: where the line of least squares would, the
explanation has the matter upside down, and the best line that does not fall is the constant mean. The correlation of a
simulation is always that of the uncalibrated one, so that no map can turn its sign.

Put here: fitting and applying. Keep out: the metrics of calibrated simulations (`calibrated_scores.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from neuron_assets.errors import UnequalLengths
from neuron_assets.method.records import LARGEST, Answer
from neuron_assets.method.simulating.simulated import SimulatedExcerpt

CalibrationKind = Literal["linear", "percentile"]
CALIBRATION_KINDS: tuple[CalibrationKind, ...] = get_args(CalibrationKind)


@dataclass(frozen=True, slots=True, eq=False)
class LinearCalibration:
    """a ~ slope s + intercept, of least squares among the lines that do not fall."""

    slope: float
    """At least 0; 0 where the simulation is constant or the line of least squares falls."""
    intercept: float
    """In the neuron's unit. The mean activation where the slope is 0."""
    mean: float
    """Mean activation of the tokens it was fitted on: all that is known without any simulation."""

    def __call__(self, simulated: Float[np.ndarray, "*axes"]) -> Float[np.ndarray, "*axes"]:
        line: Float[np.ndarray, "*axes"] = self.slope * simulated + self.intercept
        return line


@dataclass(frozen=True, slots=True, eq=False)
class PercentileCalibration:
    """The k-th smallest simulated value becomes the k-th smallest activation; straight between, constant outside.

    A value that came several times becomes the largest of its activations. Where most tokens are simulated as 0, that
    is far above the usual activation: then choose the line.
    """

    simulated: Float[np.ndarray, " token"]
    """Ascending, 0 to 10."""
    true: Float[np.ndarray, " token"]
    """Ascending, in the neuron's unit."""
    mean: float
    """As in `LinearCalibration`."""

    def __call__(self, simulated: Float[np.ndarray, "*axes"]) -> Float[np.ndarray, "*axes"]:
        matched: Float[np.ndarray, "*axes"] = np.interp(simulated, self.simulated, self.true)
        return matched


Calibration = LinearCalibration | PercentileCalibration
Series = Float[np.ndarray, " token"]


def fit_calibration(
    kind: CalibrationKind, true: Float[np.ndarray, "excerpt token"], simulated: Float[np.ndarray, "_ _"]
) -> Answer[Calibration]:
    """The map of one simulation, over all tokens of the calibration excerpts; none, and why, where it cannot be fitted.

    `true` is raw, `simulated` 0 to 10. A row of NaN says that the excerpt could not be simulated: as with scores, the
    map is then undefined, not made of the others. Raises UnequalLengths unless both have one shape.
    """
    if true.shape != simulated.shape:
        axis = 0 if len(true) != len(simulated) else 1
        raise UnequalLengths(true.shape[axis], simulated.shape[axis])
    failure = _why_unfitted(true, simulated)
    if failure is not None:
        return Answer(None, f"no calibration: {failure}")
    return Answer(_FITS[kind](true.ravel().astype(np.float64), simulated.ravel().astype(np.float64)))


def _why_unfitted(true: Float[np.ndarray, "excerpt token"], simulated: Float[np.ndarray, "_ _"]) -> str | None:
    if true.size == 0:
        return "no excerpts"
    n_missing = int(np.isnan(simulated).any(axis=1).sum())
    if n_missing:
        return f"{n_missing} of {len(true)} excerpts have no simulation"
    return None if np.isfinite(true).all() and np.isfinite(simulated).all() else "not finite"


def _linear(true: Series, simulated: Series) -> LinearCalibration:
    """Both centred first, so that a common offset costs no digits."""
    mean, centre = float(true.mean()), float(simulated.mean())
    spread = simulated - centre
    square = float(spread @ spread) if np.ptp(simulated) > 0 else 0.0
    slope = max(0.0, float(spread @ (true - mean)) / square) if square > 0 else 0.0
    return LinearCalibration(slope, mean - slope * centre, mean)


def _percentile(true: Series, simulated: Series) -> PercentileCalibration:
    return PercentileCalibration(np.sort(simulated), np.sort(true), float(true.mean()))


_FITS: Mapping[CalibrationKind, Callable[[Series, Series], Calibration]] = {
    "linear": _linear,
    "percentile": _percentile,
}


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedExcerpt:
    """A simulated excerpt in the neuron's unit, and what it was before."""

    expected: Float[np.ndarray, " token"]
    """The map of the expected value. With percentiles it is not the mean of the mapped distribution."""
    values: Float[np.ndarray, " value"]
    """What each of the whole numbers 0 to 10 became; their probabilities stand in `uncalibrated`."""
    uncalibrated: SimulatedExcerpt


def calibrated(excerpt: SimulatedExcerpt, calibration: Calibration) -> CalibratedExcerpt:
    values = calibration(np.arange(LARGEST + 1, dtype=np.float64))
    return CalibratedExcerpt(calibration(excerpt.expected), values, excerpt)
