"""Charts as geometry: where each line, band and bar of a picture lies, in the units of its view box.

Here: numbers. Not here: how they are drawn (`templates/plots.html`), their colours (`static/study.css`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neuron_assets.viewer.words import number

WIDTH, HEIGHT = 440, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 10, 10, 36
_MOST_TICKS = 12
_N_BINS = 20
"""Of a histogram, from -1 to 1."""


@dataclass(frozen=True, slots=True)
class Point:
    """A mean at a layer, with its interval if it has one."""

    layer_index: int
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """Points of one kind, by layer; `kind` is what the colours know it by."""

    kind: str
    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    place: float
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A point as it is drawn; `low` and `high` are the ends of its interval, upside down as all of a picture is."""

    x: float
    y: float
    low: float | None
    high: float | None
    told: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """A line as it is drawn; no path where it is a single point, no band where a point has no interval."""

    kind: str
    path: str
    band: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """The axes that are drawn around."""

    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    zero: float | None
    """Where zero lies on the upright axis, if it is in the picture."""


@dataclass(frozen=True, slots=True)
class Chart:
    frame: Frame
    lines: tuple[Drawn, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    is_negative: bool
    told: str


@dataclass(frozen=True, slots=True)
class ScoreHistogram:
    frame: Frame
    bars: tuple[Bar, ...]


def lowest_and_highest(charts: Sequence[Sequence[Line]]) -> tuple[float, float]:
    """Ends of an upright axis that all these charts may share: whole fifths, from 0 to 1 at the least."""
    points = [point for lines in charts for line in lines for point in line.points]
    ends = [point.value if point.low is None else min(point.value, point.low) for point in points]
    return math.floor(min([0.0, *ends]) * 5) / 5, 1.0


def line_chart(lines: Sequence[Line], layers: Sequence[int], low: float, high: float) -> Chart:
    """Each line over the layers, in their order; `low` and `high` are the ends of the upright axis."""
    left, right = _LEFT, WIDTH - _RIGHT
    step = (right - left) / max(len(layers), 1)
    places = {layer: left + (at + 0.5) * step for at, layer in enumerate(layers)}
    every = -(-len(layers) // _MOST_TICKS) or 1
    ticks = tuple(Tick(places[layer], str(layer)) for layer in list(layers)[::every])
    return Chart(_frame(ticks, low, high), tuple(_drawn(line, places, low, high) for line in lines))


def score_histogram(scores: Sequence[float]) -> ScoreHistogram:
    """How many scores lie in each tenth; it begins at 0, or where the lowest score is."""
    counts = [0] * _N_BINS
    for score in scores:
        counts[min(_N_BINS - 1, max(0, int((score + 1) * _N_BINS / 2)))] += 1
    first = min([_N_BINS // 2, *(at for at, count in enumerate(counts) if count)])
    most = max([1, *counts])
    step = (WIDTH - _RIGHT - _LEFT) / (_N_BINS - first)
    bars = []
    for at in range(first, _N_BINS):
        low, high = at * 2 / _N_BINS - 1, (at + 1) * 2 / _N_BINS - 1
        y = _height(counts[at], 0, most)
        told = f"{counts[at]} of {len(scores)} from {number(low, 1)} to {number(high, 1)}"
        x = _LEFT + (at - first) * step
        bars.append(Bar(x + 0.5, y, step - 1, HEIGHT - _BOTTOM - y, low < -1e-9, told))  # but for rounding
    edges = range(first, _N_BINS + 1, 2 if _N_BINS - first <= _N_BINS // 2 else 4)
    x_ticks = tuple(Tick(_LEFT + (at - first) * step, number(at * 2 / _N_BINS - 1, 1)) for at in edges)
    y_ticks = tuple(Tick(_height(count, 0, most), str(count)) for count in sorted({0, most // 2, most}))
    return ScoreHistogram(Frame(_LEFT, WIDTH - _RIGHT, _TOP, HEIGHT - _BOTTOM, x_ticks, y_ticks, None), tuple(bars))


def _frame(x_ticks: tuple[Tick, ...], low: float, high: float) -> Frame:
    fifths = range(round(low * 5), round(high * 5) + 1)
    y_ticks = tuple(Tick(_height(at / 5, low, high), number(at / 5, 1)) for at in fifths)
    return Frame(_LEFT, WIDTH - _RIGHT, _TOP, HEIGHT - _BOTTOM, x_ticks, y_ticks, _height(0, low, high))


def _drawn(line: Line, places: Mapping[int, float], low: float, high: float) -> Drawn:
    points = [point for point in line.points if point.layer_index in places]

    def end(value: float | None) -> float | None:
        return None if value is None else _height(value, low, high)

    marks = tuple(
        Mark(
            places[p.layer_index],
            _height(p.value, low, high),
            end(p.low),
            end(p.high),
            f"{line.name}, layer {p.layer_index}: {_told(p)}",
        )
        for p in points
    )
    path = "M" + "L".join(f"{mark.x:.1f} {mark.y:.1f}" for mark in marks) if len(marks) > 1 else ""
    return Drawn(line.kind, path, _band(marks), marks)


def _band(marks: Sequence[Mark]) -> str:
    if len(marks) < 2 or any(mark.low is None for mark in marks):
        return ""
    there = [f"{mark.x:.1f} {mark.high:.1f}" for mark in marks]
    back = [f"{mark.x:.1f} {mark.low:.1f}" for mark in reversed(marks)]
    return "M" + "L".join([*there, *back]) + "Z"


def _told(point: Point) -> str:
    ends = "" if point.low is None else f" [{number(point.low)}, {number(point.high)}]"
    return number(point.value) + ends


def _height(value: float, low: float, high: float) -> float:
    return _TOP + (high - value) / (high - low) * (HEIGHT - _TOP - _BOTTOM)
