"""The page that compares: ?a=STUDY&b=STUDY, each also STUDY:AUTHOR; ?layer=3, or ?layer=all.

Here: what is asked for, and what stands on the page. Not here: comparing (`comparing.py`).
"""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from neuron_assets.errors import NeuronAssetsError, TableError
from neuron_assets.viewer.comparing import COMPARED_SAMPLES, Party, compare
from neuron_assets.viewer.places import asked_study, shelf_of
from neuron_assets.viewer.scored import layer_scores
from neuron_assets.viewer.shelf import OpenStudy
from neuron_assets.viewer.templating import page
from neuron_assets.viewer.words import SAMPLE_NAMES

_N_DIFFERING = 20
_MOST_AT_ONCE = 4000
"""Neurons of which all layers are compared unless one is asked for; more take seconds."""
_ALL = "all"


def compare_page(request: Request) -> Response:
    """Without ?b nothing but the choice."""
    told: list[str] = []
    parties = [_party(request, name, told) for name in ("a", "b")]
    if parties[0] is None and not request.query_params.get("a"):
        study = asked_study(request)
        parties[0] = None if study is None else Party(study)
    first, second = parties
    layers = () if first is None else first.study.study.layer_indices
    layer = _layer(request, first, layers, told)
    found = None
    if first is not None and second is not None:
        try:
            found = compare(first, second, layers if layer == _ALL else (int(layer),), _N_DIFFERING)
        except NeuronAssetsError as error:
            told.append(str(error))
        except ValueError as error:  # sums of other excerpts
            told.append(f"{second.name} cannot be compared with {first.name}: {error}")
    context = {
        "study": None if first is None else first.study,
        "parties": parties,
        "choices": _choices(request, [party.study for party in parties if party is not None]),
        "chosen": [None if party is None else party.name for party in parties],
        "layers": layers,
        "layer": layer,
        "told": [*told, *(found.told if found is not None else ())],
        "found": found,
        "tables": _tables(found.rows) if found is not None else {},
        "sample_names": SAMPLE_NAMES,
    }
    return page(request, "compare.html", context)


def _party(request: Request, name: str, told: list[str]) -> Party | None:
    """What ?a or ?b names; None where it names none, which is told if it should."""
    study, _, author = request.query_params.get(name, "").partition(":")
    if not study:
        return None
    try:
        return Party(shelf_of(request).study(study), author or None)
    except NeuronAssetsError as error:
        told.append(str(error))
        return None


def _layer(request: Request, first: Party | None, layers: Sequence[int], told: list[str]) -> str:
    asked = request.query_params.get("layer", "")
    if asked in {_ALL, *map(str, layers)}:
        return asked
    if asked and layers:
        told.append(f"There is no layer {asked[:40]!r} to compare; there are {', '.join(map(str, layers))} and all.")
    if first is None or _n_scored(first.study) <= _MOST_AT_ONCE:
        return _ALL
    return str(layers[0])


def _n_scored(study: OpenStudy) -> int:
    n_scored = 0
    for layer_index in study.study.layer_indices:
        try:
            scores = layer_scores(study, layer_index)
        except TableError:  # it is told where it is compared
            continue
        n_scored += 0 if scores is None else scores.of_sample(COMPARED_SAMPLES[0]).height
    return n_scored


def _choices(request: Request, chosen: Sequence[OpenStudy]) -> dict[str, list[tuple[str, str]]]:
    """By study what can be compared, and its name: what stands, and of the studies that are chosen each author."""
    studies, _ = shelf_of(request).studies()
    names = {study.name for study in chosen}
    choices = {}
    for study in studies:
        if any(study.has("scores", layer) for layer in study.study.layer_indices):
            authors = _authors(study) if study.name in names else []
            told = [(f"{study.name}:{author}", f"{study.name}: {author.replace('_', ' ')}") for author in authors]
            choices[study.name] = [(study.name, study.name), *told]
    return choices


def _authors(study: OpenStudy) -> list[str]:
    authors: set[str] = set()
    for layer_index in study.study.layer_indices:
        try:
            scores = layer_scores(study, layer_index)
        except TableError:  # it is told where it is compared
            continue
        authors.update(() if scores is None else scores.authors)
    return sorted(authors)


def _tables(rows: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """By sample its rows, and how far its bars reach."""
    tables = {}
    for sample in COMPARED_SAMPLES:
        of_sample = [row for row in rows if row["sample"] == sample]
        names = ("difference", "difference_low", "difference_high")
        ends = [abs(row[name]) for row in of_sample for name in names if row[name] is not None]
        if of_sample:
            tables[sample] = {"rows": of_sample, "reach": max([0.05, *ends]), "all": of_sample[-1]}
    return tables


ROUTES = (Route("/-/compare", compare_page),)
