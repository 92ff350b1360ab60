"""The page of a layer: its neurons, fifty a page, sorted and filtered as the address says.

Here: what the address wants, and what stands on the page. Not here: the rows (`layer.py`).
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import polars as pl
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from neuron_assets.method.records import NeuronId
from neuron_assets.viewer.depth import NAMES, read_depth
from neuron_assets.viewer.layer import STATES, Range, Wanted, read_layer
from neuron_assets.viewer.places import LAYER, dagster_url, layer_of, study_of
from neuron_assets.viewer.scored import OWN
from neuron_assets.viewer.shelf import OpenStudy
from neuron_assets.viewer.sorting import Column, read_order
from neuron_assets.viewer.templating import page
from neuron_assets.viewer.words import SAMPLE_NAMES, labels

N_A_PAGE = 50
_COLUMNS = (
    Column("neuron", "neuron", descends=False, is_number=False),
    Column("score", SAMPLE_NAMES["top_and_random"]),
    Column("explanation", "explanation", is_number=False, sorts=False),
    Column("random", SAMPLE_NAMES["random_only"]),
    Column("density", "active tokens"),
    Column("kurtosis", "kurtosis"),
    Column("failure", "failure", descends=False, is_number=False),
)
_SORTED_BY = {"neuron": "neuron_index", "density": "share_active"}
"""Columns of the rows that are named otherwise on the page."""
_MOST_OF_BAR = 0.99
"""The quantile that a bar is full at."""


@dataclass(frozen=True, slots=True)
class Ranged:
    """A column of which a range may be asked for."""

    column: str
    name: str
    fields: tuple[str, str]
    """In the address: the least and the most."""
    example: float
    unit: str = ""
    scale: float = 1
    """By which what is typed is greater than what the column holds."""


_RANGED = (
    Ranged("score", "score", ("least", "most"), 0.5),
    Ranged("share_active", "active tokens", ("least_density", "most_density"), 2.5, "%", 100),
    Ranged("kurtosis", "kurtosis", ("least_kurtosis", "most_kurtosis"), 20),
)
_WAYS = ("from", "to")


@dataclass(frozen=True, slots=True)
class Part:
    """Of the neurons that are wanted, those of one page."""

    number: int
    """From 1."""
    n_pages: int
    n_neurons: int
    rows: Sequence[Mapping[str, Any]]
    asked: Mapping[str, str]

    def link(self, number: int) -> str:
        return "?" + urlencode({**self.asked, "page": number})


def layer_page(request: Request) -> Response:
    """?by, ?order, ?page; ?least and ?most score, ?least_density, ?most_kurtosis, ...; ?state, ?words."""
    study = study_of(request)
    layer_index = layer_of(request, study)
    order, wrong = read_order(request, _COLUMNS, "score")
    wanted, unreadable = _wanted(request)
    layer, depth = read_layer(study, layer_index), read_depth(study, [layer_index])
    made_by = depth.made_by
    rows = wanted.of(layer.neurons).sort(
        _SORTED_BY.get(order.by, order.by), "neuron_index", descending=[order.descends, False], nulls_last=True
    )
    part, no_page = _part(request, rows)
    told = [*wrong, *unreadable, *no_page, *layer.told, *depth.told]
    means = {
        line: {sample: depth.mean(scored, line, sample) for sample in ("top_and_random", "random_only")}
        for scored in depth.layers
        for line in (OWN, "shuffled_control", "unigram_lookup")
    }
    context = {
        "study": study,
        "layer_index": layer_index,
        "dagster": dagster_url(request, study, layer_index),
        "labels": labels(made_by.subjects, made_by.explainers, made_by.simulators),
        "told": list(dict.fromkeys(told)),
        "means": {NAMES[line]: by_sample for line, by_sample in means.items() if any(by_sample.values())},
        "sample_names": SAMPLE_NAMES,
        "columns": _COLUMNS,
        "order": order,
        "part": part,
        "query": request.query_params,
        "ranged": _RANGED,
        "states": STATES,
        "counts": {state: Wanted(state=state).of(layer.neurons).height for state in STATES},
        "full": {name: layer.neurons[name].quantile(_MOST_OF_BAR) for name in ("share_active", "kurtosis")},
        "unseen": _unseen(layer.neurons, part, layer_index),
        "beside": _beside(study, layer_index),
    }
    return page(request, "layer.html", context)


def _wanted(request: Request) -> tuple[Wanted, list[str]]:
    """What the address asks for, and what of it cannot be understood."""
    told: list[str] = []
    query, ranges = request.query_params, {}
    for each in _RANGED:
        least, most = (_end(query.get(name, ""), each, way, told) for name, way in zip(each.fields, _WAYS, strict=True))
        ranges[each.column] = Range(least, most)
    state = query.get("state") or None
    if state is not None and state not in STATES:
        told.append(f"There is no state {state[:40]!r}; there are {', '.join(STATES)}.")
        state = None
    return Wanted(ranges, state, query.get("words", "")), told


def _end(text: str, ranged: Ranged, way: str, told: list[str]) -> float | None:
    """An end of a range in the unit of its column; None where there is none, or none that can be understood."""
    text = text.strip().replace(",", ".")
    try:
        value = float(text.removesuffix(ranged.unit)) / ranged.scale if text else None
    except ValueError:
        value = math.nan
    if value is None or math.isfinite(value):
        return value
    named = f"{ranged.name.capitalize()} {way}"
    told.append(f"{named}: a number such as {ranged.example} is meant, not {text[:40]!r}; it is not looked at.")
    return None


def _part(request: Request, rows: pl.DataFrame) -> tuple[Part, list[str]]:
    n_pages = max(1, -(-rows.height // N_A_PAGE))
    text = request.query_params.get("page", "1")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < len(str(10**9)) else 0
    told = [] if 1 <= number <= n_pages else [f"There is no page {text[:40]!r}; there are {n_pages}."]
    number = min(max(number, 1), n_pages)
    asked = {name: value for name, value in request.query_params.items() if name != "page"}
    shown = rows.slice((number - 1) * N_A_PAGE, N_A_PAGE)
    return Part(number, n_pages, rows.height, shown.to_dicts(), asked), told


def _unseen(neurons: pl.DataFrame, part: Part, layer_index: int) -> NeuronId | None:
    """One that is explained, drawn among those that do not stand on this page, if there are such."""
    shown = {row["neuron_index"] for row in part.rows}
    explained = neurons.filter(pl.col("explanation").is_not_null())["neuron_index"].to_list()
    others = [neuron for neuron in explained if neuron not in shown] or explained
    return NeuronId(layer_index, random.choice(others)) if others else None  # noqa: S311  # whichever


def _beside(study: OpenStudy, layer_index: int) -> tuple[int | None, int | None]:
    """The layers of the study before and after it."""
    layers = study.study.layer_indices
    before = max((layer for layer in layers if layer < layer_index), default=None)
    return before, min((layer for layer in layers if layer > layer_index), default=None)


ROUTES = (Route(LAYER, layer_page),)
