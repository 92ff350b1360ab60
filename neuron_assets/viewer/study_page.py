"""The page of a study: what was run, how scores go with depth, its layers, its best and worst neurons.

Here: what stands there. Not here: reading the scores (`depth.py`), geometry (`plots.py`), one layer (`layer_page.py`).
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from neuron_assets.errors import TableError
from neuron_assets.method.records import SPLITS
from neuron_assets.method.summary import HALF
from neuron_assets.model_sections import HostedSection
from neuron_assets.sections import SampledNeurons
from neuron_assets.study import Study
from neuron_assets.viewer.depth import NAMES, Depth, MadeBy, best_and_worst, read_depth
from neuron_assets.viewer.places import dagster_url, study_of
from neuron_assets.viewer.plots import line_chart, lowest_and_highest, score_histogram
from neuron_assets.viewer.scored import OWN
from neuron_assets.viewer.shelf import OpenStudy
from neuron_assets.viewer.sorting import Column, read_order, sorted_by
from neuron_assets.viewer.templating import page
from neuron_assets.viewer.word_index import WORD_INDEX
from neuron_assets.viewer.words import SAMPLE_NAMES, labels

_CHARTED = ("top_and_random", "random_only")
_N_NOTED = 5
_COLUMNS = (
    Column("layer", "layer", descends=False, is_number=False),
    Column("mean", SAMPLE_NAMES["top_and_random"]),
    Column("random", SAMPLE_NAMES["random_only"]),
    Column("shuffled", NAMES["shuffled_control"]),
    Column("share", "above 0.5"),
    Column("n", "neurons"),
    Column("undefined", "undefined"),
    Column("best", "best neuron"),
)


def study_page(request: Request) -> Response:
    """?by=COLUMN&order=asc|desc sorts the table of layers."""
    study = study_of(request)
    depth = read_depth(study)
    made_by = depth.made_by
    order, told = read_order(request, _COLUMNS, "layer")
    lines = {sample: depth.lines(sample) for sample in _CHARTED}
    low, high = lowest_and_highest(list(lines.values()))
    layers = [layer.layer_index for layer in depth.layers]
    best, worst = best_and_worst(study, depth, _N_NOTED)
    scores = depth.scores("top_and_random")
    context = {
        "study": study,
        "told": [*told, *depth.told, *([depth.no_twin] if depth.no_twin else [])],
        "dagster": dagster_url(request, study),
        "labels": labels(made_by.subjects, made_by.explainers, made_by.simulators),
        "charts": {sample: line_chart(lines[sample], layers, low, high) for sample in _CHARTED if lines[sample]},
        "sample_names": SAMPLE_NAMES,
        "legend": {line.kind: line.name for drawn in lines.values() for line in drawn},
        "histogram": score_histogram(scores) if scores else None,
        "overall": _overall(depth),
        "best": best,
        "worst": worst,
        "columns": _COLUMNS,
        "order": order,
        "layers": sorted_by(_layers(study, depth), order),
        "facts": list(_facts(study, made_by)),
    }
    answer = page(request, "study.html", context)
    answer.background = BackgroundTask(WORD_INDEX.of, study)  # who searches next need not wait for it
    return answer


def _overall(depth: Depth) -> Mapping[str, Any]:
    """Over all layers that are scored."""
    neurons = [layer.of_sample("top_and_random") for layer in depth.layers]
    scores = pl.concat(neurons)["ev_correlation"] if neurons else pl.Series([], dtype=pl.Float64)
    return {
        "mean": scores.mean(),
        "n": len(scores),
        "n_undefined": scores.null_count(),
        "share_above_half": (scores > HALF).mean(),
    }


def _layers(study: OpenStudy, depth: Depth) -> list[dict[str, Any]]:
    """A row a layer of the study; of one without scores nothing but its number."""
    by_index = {layer.layer_index: layer for layer in depth.layers}
    rows = []
    for layer_index in study.study.layer_indices:
        row: dict[str, Any] = dict.fromkeys((column.name for column in _COLUMNS), None)
        row |= {"layer": layer_index, "means": {}, "harvested": study.has("neuron_statistics", layer_index)}
        if layer := by_index.get(layer_index):
            own, random = (depth.mean(layer, OWN, sample) for sample in _CHARTED)
            shuffled = depth.mean(layer, "shuffled_control", "top_and_random")
            scored = layer.of_sample("top_and_random").drop_nulls("ev_correlation")
            row["means"] = {"mean": own, "random": random, "shuffled": shuffled}
            row |= {name: mean and mean["mean"] for name, mean in row["means"].items()}
            if own:
                row |= {"share": own["share_above_half"], "n": own["n"], "undefined": own["n_undefined"]}
            if scored.height:
                best = scored.sort("ev_correlation", "neuron_index", descending=[True, False]).row(0, named=True)
                row |= {"best": best["ev_correlation"], "best_neuron": best["neuron_index"]}
        rows.append(row)
    return rows


def _facts(study: OpenStudy, made_by: MadeBy) -> Iterator[tuple[str, str]]:
    """What was run, in words; each a term and what it is."""
    said = study.study
    units = "" if said.units.label == "neurons" else f", {said.units.label}"
    yield "Subject", f"{' + '.join(made_by.subjects)}: {said.subject.n_layers} layers of {said.n_units:,} units{units}"
    yield "Layers", _in_words(said)
    yield "Corpus", f"{said.corpus.provider}, excerpts of {said.corpus.excerpt_length} tokens"
    yield "Pools", _unless_damaged(lambda: _pools(study))
    yield "Explainer", " + ".join(made_by.explainers)
    yield "Simulator", " + ".join(made_by.simulators)
    yield "Scorers", ", ".join(said.scoring.scorers).replace("_", " ")
    if said.scoring.asks_judge:
        yield "Judge", said.judge_identity
    yield "Revision", f"{said.revision.rounds} rounds" if said.revises else "none"
    if said.lists_meanings:
        yield "Meanings", f"lists of up to {said.meanings.most}"
    yield "Made", _made(study)
    yield "Spent", _unless_damaged(lambda: _spent(study))


def _in_words(study: Study) -> str:
    layers = study.layer_indices
    which = f"{len(layers)} of {study.subject.n_layers}" if len(layers) < study.subject.n_layers else "all"
    if study.neurons == "all":
        return f"{which}; all neurons of each are explained"
    chosen = study.neurons.per_layer if isinstance(study.neurons, SampledNeurons) else len(study.neurons)
    return f"{which}; {chosen} neurons of each are explained, all are harvested"


def _unless_damaged(tell: Callable[[], str]) -> str:
    try:
        return tell()
    except TableError as error:
        return str(error)


def _pools(study: OpenStudy) -> str:
    excerpts = study.layer("excerpts", columns=["split", "document_index"])
    if excerpts is None:
        return f"not cut yet: neuron-assets materialize {study.name}"
    documents = dict(excerpts.group_by("split").agg(pl.col("document_index").n_unique()).iter_rows())
    counts = dict(excerpts.group_by("split").len().iter_rows())
    told = [
        f"{split} {counts[split]:,} excerpts of {documents[split]:,} documents" for split in SPLITS if split in counts
    ]
    return "; ".join(told)


def _made(study: OpenStudy) -> str:
    """When the first and the last file was written that the page is of."""
    paths = [study.store.path(study.name, "excerpts")]
    paths += [study.store.path(study.name, "scores", study.key(layer)) for layer in study.study.layer_indices]
    times = []
    for path in paths:
        try:
            times.append(path.stat().st_mtime)
        except (OSError, AttributeError, NotImplementedError):  # it is not there, or its store tells no times
            continue
    known = [datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC") for time in times if time]
    if not known:
        return "not yet"
    return known[0] if min(known) == max(known) else f"{min(known)} to {max(known)}"


def _spent(study: OpenStudy) -> str:
    said = study.study
    models = (said.explainer, said.simulator, *([said.judge] if said.scoring.asks_judge else []))
    if not any(isinstance(model, HostedSection) for model in models):
        return "nothing: no server is asked"
    columns = ("requests", "tokens_in", "tokens_out", "money", "n_without_price")
    spending = study.layer("spending", columns=columns)
    if spending is None:
        return f"not added up yet: neuron-assets materialize {study.name}"
    sums = spending.sum().row(0, named=True)
    money = f"{'at least ' if sums['n_without_price'] else ''}{sums['money']:.4g} US dollars"
    tokens = f"{sums['tokens_in']:,} tokens in, {sums['tokens_out']:,} out"
    return f"{money}, {sums['requests']:,} requests, {tokens}"


ROUTES = (Route("/{study}", study_page),)
