"""Small pictures of one neuron as geometry: the histogram of its activations, the interval of a score.

Here: numbers to places within a picture. Not here: the SVG (`templates/charts.html`), colours (`static/neuron.css`),
charts of layers and studies (`plots.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 600.0, 100.0
_N_BARS = 60
_LOWEST_SCORE = -0.2
"""The left end of a picture of a score; what lies further left is drawn there."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Some activations between two ends; x, y, width and height within WIDTH and HEIGHT, from the upper left."""

    low: float
    high: float
    count: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class ActivationHistogram:
    """How many tokens have which activation; heights by the logarithm of 1 + count."""

    bars: tuple[Bar, ...]
    low: float
    high: float
    zero: float | None
    """Where 0 lies, if it lies within."""
    n: int


@dataclass(frozen=True, slots=True)
class Whisker:
    """A score and its interval, from 0 to 100."""

    value: float
    low: float | None
    high: float | None
    zero: float


def activation_histogram(activations: Sequence[float]) -> ActivationHistogram | None:
    """None of nothing."""
    if not activations:
        return None
    counts, edges = np.histogram(np.asarray(activations, np.float64), bins=_N_BARS)
    low, high = float(edges[0]), float(edges[-1])
    heights = np.log1p(counts) / np.log1p(counts.max()) * HEIGHT
    step = WIDTH / _N_BARS
    bars = tuple(
        Bar(float(edges[i]), float(edges[i + 1]), int(counts[i]), i * step, HEIGHT - float(height), step, float(height))
        for i, height in enumerate(heights)
        if counts[i]
    )
    zero = -low / (high - low) * WIDTH if low < 0 < high else None
    return ActivationHistogram(bars, low, high, zero, len(activations))


def whisker(value: float, low: float | None, high: float | None) -> Whisker:
    """`value`, `low` and `high` are correlations."""
    return Whisker(
        _place(value), None if low is None else _place(low), None if high is None else _place(high), _place(0)
    )


def _place(score: float) -> float:
    return 100 * (min(1.0, max(_LOWEST_SCORE, score)) - _LOWEST_SCORE) / (1 - _LOWEST_SCORE)
