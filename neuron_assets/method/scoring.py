"""How well simulated activations follow the true ones: one score for one neuron on some excerpts.

Formulas: Bills et al. (2023), "Language models can explain neurons in language models", with the words of
docs/scores.md. a are the true activations, raw, in the neuron's own unit, negatives included; s the simulated ones,
0 to 10, or in the neuron's unit once calibrated. All tokens of all excerpts count alike: a mean of per-excerpt
correlations would forget that some excerpts are loud and some silent.

Here: the score, and the sums of each document that its intervals are made from. Not here: the intervals
(`intervals.py`), the calibration, and which excerpts are scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from neuron_assets.errors import UnequalLengths

NOISE = 1e-6
"""Variation under a millionth of the size is rounding (float32 carries seven digits): such numbers are constant."""

SMALLEST, GREATEST = 1e-70, 1e70
"""Sizes that can be squared and divided in float64. Every float32 but 0 lies between them."""

N_SUMS = 6
"""Of a document: n, sum a, sum s, sum aa, sum ss, sum as, in this order, over its tokens."""


@dataclass(frozen=True, slots=True)
class Score:
    """How well a simulation follows a neuron. A part that is undefined is None; no part is ever NaN or infinite."""

    ev_correlation: float | None
    """Pearson's r of a and s over all tokens, -1 to 1: the score. No matter of units."""
    r2: float | None
    """1 - mean((a - s)^2) / mean(a^2), at most 1. The paper's code divides by the second moment, not the variance.
    Only meaningful for s in the neuron's unit, that is, calibrated."""
    absolute_deviation: float | None
    """1 - mean|a - s| / mean|a|, at most 1. Only meaningful for calibrated s."""
    failure: str | None = None
    """Why `ev_correlation` is None. The other two are None only where it is, and then for the same reason."""


@dataclass(frozen=True, slots=True, eq=False)
class DocumentSums:
    """What the correlation needs of each document: sums over its tokens, which add up over any choice of documents."""

    document_indices: Int[np.ndarray, " document"]
    """Distinct, ascending."""
    sums: Float[np.ndarray, "document 6"]
    """float64: n, sum a, sum s, sum aa, sum ss, sum as."""


def score(true: Float[np.ndarray, "excerpt token"], simulated: Float[np.ndarray, "_ _"]) -> Score:
    """The score of a simulation on excerpts of equal length; raises UnequalLengths unless both have one shape."""
    return score_ragged(tuple(true), tuple(simulated))


def score_ragged(true: Sequence[Float[np.ndarray, " _"]], simulated: Sequence[Float[np.ndarray, " _"]]) -> Score:
    """The score of a simulation on excerpts of any lengths, computed once over all their tokens.

    Raises UnequalLengths where there are more excerpts on one side, or an excerpt has more tokens on one side.
    """
    if len(true) != len(simulated):
        raise UnequalLengths(len(true), len(simulated))
    for a, s in zip(true, simulated, strict=True):
        if len(a) != len(s):
            raise UnequalLengths(len(a), len(s))
    if not any(len(a) for a in true):
        return Score(None, None, None, "no excerpts")
    return _score_tokens(np.concatenate(true), np.concatenate(simulated))


def _score_tokens(true: Float[np.ndarray, " token"], simulated: Float[np.ndarray, " token"]) -> Score:
    if not (np.isfinite(true).all() and np.isfinite(simulated).all()):
        return Score(None, None, None, "not finite")
    failure = _why_uncorrelated(true, simulated)
    a, s = true.astype(np.float64), simulated.astype(np.float64)
    if _out_of_range(a) or _out_of_range(s):
        return Score(None, None, None, "too small or too large for float64")
    r2, deviation = None, None
    if np.any(a):
        r2 = 1 - float(np.mean((a - s) ** 2) / np.mean(a**2))
        deviation = 1 - float(np.mean(np.abs(a - s)) / np.mean(np.abs(a)))
    return Score(_correlation(a, s) if failure is None else None, r2, deviation, failure)


def _why_uncorrelated(true: Float[np.ndarray, " token"], simulated: Float[np.ndarray, " token"]) -> str | None:
    """The reason why there is no correlation; a constant neuron goes first, as no simulation could mend it."""
    if len(true) == 1:
        return "one token"
    if _is_constant(true):
        return "the neuron is constant"
    if _is_constant(simulated):
        return "the simulation is constant"
    return None


def _is_constant(values: Float[np.ndarray, " token"]) -> bool:
    """Whether the values differ by no more than rounding, in the precision they came in.

    By the range, not the variance: the variance of equal numbers is often a little above 0, and one loud token among
    thousands hardly moves it.
    """
    noise = max(NOISE, 2 * float(np.finfo(values.dtype).eps))
    low, high = float(values.min()), float(values.max())
    return high - low <= noise * max(abs(low), abs(high))


def _out_of_range(values: Float[np.ndarray, " token"]) -> bool:
    size = float(np.abs(values).max())
    return size != 0 and not SMALLEST <= size <= GREATEST


def _correlation(a: Float[np.ndarray, " token"], s: Float[np.ndarray, " token"]) -> float:
    """Pearson's r of two series that both vary; centred first, so that a common offset costs no digits."""
    a, s = a - a.mean(), s - s.mean()
    a, s = a / np.abs(a).max(), s / np.abs(s).max()
    return float(np.clip(np.dot(a, s) / np.sqrt(np.dot(a, a) * np.dot(s, s)), -1, 1))


def document_sums(
    true: Float[np.ndarray, "excerpt token"],
    simulated: Float[np.ndarray, "_ _"],
    document_indices: Int[np.ndarray, " excerpt"],
) -> DocumentSums:
    """The sums of each document over the tokens of its excerpts; no excerpts give no documents.

    The sums are raw, not centred, so that those of different strata and calls add up. In float64 that is safe: an
    offset of k standard deviations costs 2 log10(k) of 16 digits, and k above a million counts as constant anyway.
    Raises UnequalLengths unless both have one shape.
    """
    if true.shape != simulated.shape:
        axis = 0 if len(true) != len(simulated) else 1
        raise UnequalLengths(true.shape[axis], simulated.shape[axis])
    a, s = true.astype(np.float64), simulated.astype(np.float64)
    tokens = np.full(len(a), a.shape[1], dtype=np.float64)
    per_excerpt = np.stack(
        [tokens, a.sum(1), s.sum(1), (a * a).sum(1), (s * s).sum(1), (a * s).sum(1)], axis=1
    )  # [excerpt, 6]
    documents, row = np.unique(document_indices, return_inverse=True)
    sums = np.zeros((len(documents), N_SUMS))
    np.add.at(sums, row, per_excerpt)
    return DocumentSums(documents, sums)


def correlation_from_sums(sums: Float[np.ndarray, "*axes 6"]) -> Float[np.ndarray, "*axes"]:
    """Pearson's r, -1 to 1, from the sums n, sum a, sum s, sum aa, sum ss, sum as; NaN where it is undefined.

    NaN stays within `method/`: whoever hands a number on makes it None with a reason. Constant is what varies by less
    than `NOISE` of its root mean square; fewer than two tokens are constant, too.
    """
    n, a, s, aa, ss, both = (sums[..., column] for column in range(N_SUMS))
    with np.errstate(all="ignore"):
        spread_a, spread_s = n * aa - a * a, n * ss - s * s  # n^2 times the variances
        varies = (spread_a > NOISE**2 * n * aa) & (spread_s > NOISE**2 * n * ss)
        r = (n * both - a * s) / (np.sqrt(spread_a) * np.sqrt(spread_s))
    return np.where(varies, np.clip(r, -1, 1), np.nan)
