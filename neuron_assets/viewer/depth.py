"""The scores of all layers of a study: which of them can be read, how they go with depth, and which are best and worst.

Here: gathering. Not here: one layer's scores (`scored.py`), how it is shown (`study_page.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from neuron_assets.errors import TableError
from neuron_assets.lineage import lineages
from neuron_assets.method.records import NeuronId
from neuron_assets.study import Study
from neuron_assets.tables.explained import of_study
from neuron_assets.tables.reading import comparable_summary
from neuron_assets.tables.summarized import CHOSEN
from neuron_assets.viewer.plots import Line, Point
from neuron_assets.viewer.scored import (
    OWN,
    LayerScores,
    explanations_of,
    layer_scores,
    outdated,
    texts_are_those_scored,
)
from neuron_assets.viewer.shelf import OpenStudy

TWIN = "untrained_twin"
NAMES: Mapping[str, str] = {
    OWN: "explanations",
    "unigram_lookup": "unigram lookup",
    "bigram_lookup": "bigram lookup",
    "over_broad_control": "too broad a text",
    "shuffled_control": "shuffled texts",
    TWIN: "untrained twin",
}
"""Lines of a chart, in the order of its legend."""


_SUMMARY = ("layer_index", "author", "scorer", "sample", "mean", "mean_low", "mean_high")


@dataclass(frozen=True, slots=True)
class MadeBy:
    """Whose the scores are, as their tables say; where there are none, as study.yaml does."""

    subjects: tuple[str, ...]
    explainers: tuple[str, ...]
    """Identities."""
    simulators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Depth:
    """What the layers of a study say, and what is to be told about what they do not say."""

    layers: tuple[LayerScores, ...]
    intervals: Mapping[tuple[int, str, str], tuple[float | None, float | None]]
    """Of means, by layer, line and sample; of layers whose summary is of these scores."""
    twin: pl.DataFrame | None
    """Of the `layer_summary` of the untrained twin what stands there, where it can be compared."""
    no_twin: str | None
    """Why the twin is not shown, if there should be one."""
    made_by: MadeBy
    told: tuple[str, ...]
    """What else is wrong, a line each."""

    def mean(self, layer: LayerScores, line: str, sample: str) -> Mapping[str, Any] | None:
        """n, n_undefined, mean, low, high and share_above_half; None where there is no such line."""
        found = layer.means.get((line, sample))
        low, high = self.intervals.get((layer.layer_index, line, sample), (None, None))
        return None if found is None else {**found, "low": low, "high": high}

    def lines(self, sample: str) -> tuple[Line, ...]:
        """What is to be drawn over the layers."""
        found = [Line(line, name, tuple(self._points(line, sample))) for line, name in NAMES.items()]
        return tuple(line for line in found if line.points)

    def scores(self, sample: str) -> list[float]:
        return [score for layer in self.layers for score in layer.of_sample(sample)["ev_correlation"].drop_nulls()]

    def _points(self, line: str, sample: str) -> list[Point]:
        if line == TWIN:
            rows = [] if self.twin is None else self.twin.filter(pl.col("sample") == sample).to_dicts()
            return [
                Point(row["layer_index"], row["mean"], row["mean_low"], row["mean_high"])
                for row in rows
                if row["mean"] is not None
            ]
        means = ((layer, self.mean(layer, line, sample)) for layer in self.layers)
        return [
            Point(layer.layer_index, mean["mean"], mean["low"], mean["high"])
            for layer, mean in means
            if mean is not None and mean["mean"] is not None
        ]


@dataclass(frozen=True, slots=True)
class Noted:
    """A neuron among the best or worst."""

    neuron: NeuronId
    row: Mapping[str, Any]
    """Its score on top-and-random."""
    explanation: str | None
    """None where it was made again since it was scored."""


def read_depth(study: OpenStudy, layer_indices: Sequence[int] | None = None) -> Depth:
    """Of these layers, or all of the study; a table that is damaged is left out, and named."""
    layers, told = [], []
    for layer_index in study.study.layer_indices if layer_indices is None else layer_indices:
        try:
            found = layer_scores(study, layer_index)
        except TableError as error:
            told.append(f"Layer {layer_index} is left out. {error}")
        else:
            layers += [found] if found is not None else []
    lineage = lineages(study.study)["scores"]
    if early := [layer.layer_index for layer in layers if layer.facts.lineage != lineage]:
        told.append(outdated(f"The scores of {_listed(early)} were", study))
    try:
        intervals, old = _intervals(study, layers)
    except TableError as error:
        intervals, old = {}, []
        told.append(f"Means have no intervals. {error}")
    if old:
        again = f"neuron-assets materialize {study.name}"
        told.append(f"No intervals of the means of {_listed(old)} yet, as the summary is older or missing: {again}")
    twin, why = _twin(study) if layers else (None, None)
    return Depth(tuple(layers), intervals, twin, why, _made_by(study.study, layers), tuple(told))


def best_and_worst(study: OpenStudy, depth: Depth, n: int) -> tuple[list[Noted], list[Noted]]:
    """By top-and-random; the best first, and the worst first; no neuron is among both."""
    frames = [
        layer.of_sample("top_and_random").drop_nulls("ev_correlation").with_columns(layer_index=layer.layer_index)
        for layer in depth.layers
    ]
    if not frames:
        return [], []
    ranked = pl.concat(frames).sort("ev_correlation", "layer_index", "neuron_index", descending=[True, False, False])
    n_best = min(n, -(-ranked.height // 2))
    best, worst = ranked.head(n_best), ranked.tail(min(n, ranked.height - n_best)).reverse()
    texts = _texts(study, depth, pl.concat([best, worst]))
    noted = [
        [Noted(NeuronId(row["layer_index"], row["neuron_index"]), row, texts.get(_key(row))) for row in rows.to_dicts()]
        for rows in (best, worst)
    ]
    return noted[0], noted[1]


def _texts(study: OpenStudy, depth: Depth, wanted: pl.DataFrame) -> Mapping[tuple[int, int, int], str]:
    texts: dict[tuple[int, int, int], str] = {}
    for layer in depth.layers:
        neurons = wanted.filter(pl.col("layer_index") == layer.layer_index)["neuron_index"].to_list()
        try:
            known = bool(neurons) and texts_are_those_scored(study, layer.layer_index)
            rows = explanations_of(study, layer.layer_index, neurons) if known else None
        except TableError:  # the layer's own page tells it
            continue
        for row in [] if rows is None else rows.to_dicts():
            texts[_key(row | {"layer_index": layer.layer_index})] = row["explanation"]
    return texts


def _key(row: Mapping[str, Any]) -> tuple[int, int, int]:
    return row["layer_index"], row["neuron_index"], row["candidate"]


def _intervals(
    study: OpenStudy, layers: Sequence[LayerScores]
) -> tuple[dict[tuple[int, str, str], tuple[float | None, float | None]], list[int]]:
    """Ends of the intervals, and the layers whose scores the summary is not of. Raises UnreadableTable."""
    facts, summary = study.facts("layer_summary"), study.layer("layer_summary", columns=_SUMMARY)
    if facts is None or summary is None:
        return {}, [layer.layer_index for layer in layers]
    content = {layer.layer_index: layer.facts.content for layer in layers}
    names = {index: study.store.name(study.store.path(study.name, "scores", study.key(index))) for index in content}
    fresh = [index for index in content if facts.inputs.get(names[index]) == content[index]]
    rows = pl.concat([_own_rows(summary).with_columns(line=pl.lit(OWN)), summary.with_columns(line="author")])
    ends = {
        (row["layer_index"], row["line"], row["sample"]): (row["mean_low"], row["mean_high"])
        for row in rows.filter(pl.col("layer_index").is_in(fresh)).to_dicts()
    }
    return ends, sorted(content.keys() - set(fresh))


def _own_rows(summary: pl.DataFrame) -> pl.DataFrame:
    """Of a `layer_summary` the rows of what stands: the chosen, or where there was no choice the explainer's."""
    chosen = summary.filter(pl.col("author") == CHOSEN)
    return chosen if chosen.height else summary.filter((pl.col("scorer") == "simulation") & of_study())


def _made_by(study: Study, layers: Sequence[LayerScores]) -> MadeBy:
    def distinct(names: Iterable[str], otherwise: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(names)) or (otherwise,)

    return MadeBy(
        distinct((layer.facts.notes.get("subject", study.subject_label) for layer in layers), study.subject_label),
        distinct((name for layer in layers for name in layer.explainers), study.explainer_identity),
        distinct((name for layer in layers for name in layer.simulators), study.simulator_identity),
    )


def _twin(study: OpenStudy) -> tuple[pl.DataFrame | None, str | None]:
    """The twin's summary, or why it is not shown, if there should be one."""
    name = study.study.controls.untrained
    if name is None:
        return None, None
    try:
        found = comparable_summary(study.store, study.name, name)
        found = None if found is None else _own_rows(found.select(_SUMMARY))
    except (TableError, pl.exceptions.ColumnNotFoundError) as error:
        return None, f"The untrained twin {name} is not shown. {error}"
    missing = f"The untrained twin {name} is not shown: it is not made yet, or over other text or neurons: "
    return found, None if found is not None else f"{missing}neuron-assets materialize {name}"


def _listed(layers: Sequence[int]) -> str:
    return ("layer " if len(layers) == 1 else "layers ") + ", ".join(map(str, layers))
