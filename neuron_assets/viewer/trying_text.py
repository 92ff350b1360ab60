"""What fires most in a text: each unit held against the most that it does over the `train` pool.

Here: arithmetic on one layer's activations at a time. Not here: where these and the maxima come from (`heard_text.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nlargest

import numpy as np
from jaxtyping import Float, Float32, Int

from neuron_assets.method.records import NeuronId


@dataclass(frozen=True, slots=True)
class Fired:
    """A unit at a token."""

    neuron: NeuronId
    token: int
    """Place in the text, from 0."""
    activation: float
    """Raw, in the unit's own unit."""
    share: float
    """Of the unit's maximum over `train`; above 1 where it never did as much there."""


@dataclass(frozen=True, slots=True)
class LayerFired:
    """What a layer has to say of a text."""

    by_token: tuple[tuple[Fired, ...], ...]
    """For each token the units that fire most, strongest first."""
    peaks: tuple[Fired, ...]
    """The units that fire most anywhere, each where it does so first, strongest first."""
    n_not_finite: int
    """Units that are NaN or infinite somewhere: they are not counted to fire at all."""


def layer_fired(
    layer_index: int,
    activations: Float32[np.ndarray, "token unit"],
    maxima: Float[np.ndarray, " unit"],
    *,
    per_token: int,
    in_all: int,
) -> LayerFired:
    """At most so many units a token, and in all; only those above zero whose maximum is, too."""
    finite = np.isfinite(activations).all(0)
    counts = finite & (maxima > 0)
    shares = np.divide(activations, maxima.astype(np.float32), out=np.zeros_like(activations), where=counts)
    places = np.repeat(np.arange(len(shares))[:, None], min(per_token, shares.shape[1]), 1)
    by_token = _fired(layer_index, activations, shares, places, _most(shares, per_token))
    peaks = _most(shares.max(0, keepdims=True), in_all)
    [strongest] = _fired(layer_index, activations, shares, shares[:, peaks[0]].argmax(0)[None], peaks)
    return LayerFired(tuple(by_token), strongest, int((~finite).sum()))


def together(layers: Iterable[LayerFired], *, per_token: int, in_all: int) -> LayerFired:
    """The same of several layers of one text."""
    parts = list(layers)
    by_token = [
        tuple(nlargest(per_token, (one for row in rows for one in row), key=_strength))
        for rows in zip(*(part.by_token for part in parts), strict=True)
    ]
    peaks = nlargest(in_all, (one for part in parts for one in part.peaks), key=_strength)
    return LayerFired(tuple(by_token), tuple(peaks), sum(part.n_not_finite for part in parts))


def _most(shares: Float[np.ndarray, "row unit"], n: int) -> Int[np.ndarray, "row rank"]:
    """In no order: where layers are wide, sorting all would take the longest."""
    rest = max(shares.shape[1] - n, 0)
    return np.argpartition(shares, rest, axis=1)[:, rest:]


def _fired(
    layer_index: int,
    activations: Float[np.ndarray, "token unit"],
    shares: Float[np.ndarray, "token unit"],
    tokens: Int[np.ndarray, "row rank"],
    units: Int[np.ndarray, "row rank"],
) -> list[tuple[Fired, ...]]:
    return [
        tuple(
            sorted(
                (
                    Fired(
                        NeuronId(layer_index, unit), token, float(activations[token, unit]), float(shares[token, unit])
                    )
                    for token, unit in zip(*row, strict=True)
                    if shares[token, unit] > 0
                ),
                key=_strength,
                reverse=True,
            )
        )
        for row in zip(tokens.tolist(), units.tolist(), strict=True)
    ]


def _strength(fired: Fired) -> tuple[float, int, int]:
    """Of equal shares the lower layer and neuron go first."""
    return fired.share, -fired.neuron.layer_index, -fired.neuron.neuron_index
