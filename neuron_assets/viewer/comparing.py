"""Two studies, or two authors of one, side by side on the same neurons: by how much the second scores better.

Here: both sides, and the neurons on which they differ most. Not here: the arithmetic (`method/paired.py`), rows
(`tables/compared.py`), which studies may be compared (`comparable.py`), the page (`compare_page.py`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from neuron_assets.comparable import Standing, refuse_other_content, refuse_others, standing
from neuron_assets.errors import TableError
from neuron_assets.method.paired import paired_differences
from neuron_assets.method.records import NeuronId
from neuron_assets.tables.compared import CORRELATION, Cost, Draws, Side, comparison_frame
from neuron_assets.tables.declared import as_declared
from neuron_assets.tables.explained import of_chosen
from neuron_assets.tables.parquet import read_table
from neuron_assets.tables.summarized import first_of_each_author, sums_of
from neuron_assets.viewer.scored import explanations_of, texts_are_those_scored
from neuron_assets.viewer.shelf import OpenStudy

COMPARED_SAMPLES = ("top_and_random", "random_only")
_NEURON = ("layer_index", "neuron_index")
_COLUMNS = (*_NEURON, "candidate", "author", "chosen", "scorer", "sample", "explainer", "simulator")
_VALUE = (CORRELATION, "failure", "document_sums")
_SIMULATED = "simulation"


@dataclass(frozen=True, slots=True)
class Party:
    """One of the two."""

    study: OpenStudy
    author: str | None = None
    """Whose first candidates are compared; None: what stands for the neurons."""

    @property
    def name(self) -> str:
        return self.study.name if self.author is None else f"{self.study.name}:{self.author}"


@dataclass(frozen=True, slots=True)
class Differing:
    """A neuron, and what the two say of it."""

    neuron: NeuronId
    difference: float
    low: float | None
    high: float | None
    scores: tuple[float, float]
    texts: tuple[str | None, str | None]
    """None of a lookup, and where the texts were made again since they were scored."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    rows: Sequence[Mapping[str, Any]]
    """Of the table `comparison`: by sample and layer, that of all layers last."""
    differing: Sequence[Differing]
    """The largest differences on top-and-random first."""
    told: Sequence[str]


@dataclass(frozen=True, slots=True, eq=False)
class _Half:
    party: Party
    tables: Sequence[Standing]
    scores: pl.DataFrame
    """Rows of `scores` that are compared, one a neuron and sample."""


def compare(first: Party, second: Party, layers: Collection[int], n_differing: int) -> Comparison:
    """Of these layers. Raises NotComparable where the two do not score the same neurons on the same excerpts."""
    if first.study.name != second.study.name:
        refuse_others(first.study.study, second.study.study)
    (own, told), (theirs, more) = (_half(party, layers) for party in (first, second))
    refuse_other_content(first.study.study, second.study.study, own.tables, theirs.tables)
    if own.scores.is_empty() or theirs.scores.is_empty():
        nobody = [half.party.name for half in (own, theirs) if half.scores.is_empty()]
        return Comparison([], [], [*told, *more, f"{' and '.join(nobody)} has no scores here that stand."])
    rows, differing = _compared(own, theirs, n_differing)
    return Comparison(rows, differing, list(dict.fromkeys([*told, *more])))


def _half(party: Party, layers: Collection[int]) -> tuple[_Half, list[str]]:
    """What cannot be read is left out, and told."""
    tables, frames, told = [], [], []
    columns = (*_COLUMNS, *_VALUE)
    wanted = pl.col("sample").is_in(COMPARED_SAMPLES) & (pl.col("neuron_index") < party.study.study.n_units)
    for layer_index in layers:
        try:
            found = [
                each for each in standing(party.study.study, party.study.store, [layer_index]) if each.table == "scores"
            ]
            rows = [(each, read_table(each.path, each.table, wanted, columns)) for each in found]
            frames += [as_declared(each.path, each.table, frame) for each, frame in rows]
        except TableError as error:
            told.append(f"Layer {layer_index} of {party.study.name} is left out. {error}")
        else:
            tables += found
    scores = pl.concat(frames) if frames else pl.DataFrame(schema=dict.fromkeys(columns, pl.Null))
    if party.author is None or scores.is_empty():
        return _Half(party, tables, of_chosen(scores) if frames else scores), told
    own = first_of_each_author(scores).filter(pl.col("author") == party.author)
    return _Half(party, tables, own.with_columns(scorer=pl.lit(_SIMULATED))), told


def _compared(own: _Half, theirs: _Half, n_differing: int) -> tuple[Sequence[Mapping[str, Any]], Sequence[Differing]]:
    said = own.party.study.study.scoring
    rows = comparison_frame(_side(own), [_side(theirs)], Draws(said.seed, said.draws))
    top = pl.col("sample") == COMPARED_SAMPLES[0]
    pairs = own.scores.filter(top).join(theirs.scores.filter(top), on=_NEURON, suffix="_other")
    pairs = pairs.drop_nulls([CORRELATION, f"{CORRELATION}_other"])
    difference = pl.col(f"{CORRELATION}_other") - pl.col(CORRELATION)
    pairs = pairs.with_columns(difference=difference).sort(
        pl.col("difference").abs(), *_NEURON, descending=[True, False, False]
    )
    most = pairs.head(n_differing)
    sums = [sums_of(most.select(*_NEURON, CORRELATION, "document_sums"))]
    other = {f"{name}_other": name for name in (CORRELATION, "document_sums")}
    sums.append(sums_of(most.select(*_NEURON, *other).rename(other)))
    ends = paired_differences(*sums, seed=said.seed, n_draws=said.draws)
    texts = [
        _texts(half.party.study, most, column) for half, column in ((own, "candidate"), (theirs, "candidate_other"))
    ]
    differing = [
        Differing(
            NeuronId(row["layer_index"], row["neuron_index"]),
            row["difference"],
            end.low,
            end.high,
            (row[CORRELATION], row[f"{CORRELATION}_other"]),
            (texts[0][place], texts[1][place]),
        )
        for place, (row, end) in enumerate(zip(most.to_dicts(), ends, strict=True))
    ]
    return rows.to_dicts(), differing


def _side(half: _Half) -> Side:
    values = half.scores.with_columns(metric=pl.lit(CORRELATION), value=CORRELATION)
    return Side(
        half.party.name,
        " + ".join(half.scores["explainer"].unique().sort()),
        " + ".join(half.scores["simulator"].unique().sort()),
        {each.layer_index for each in half.tables},
        values.select(*_NEURON, "scorer", "sample", "metric", "value", "failure", "document_sums"),
        lambda _layers: Cost(None, "not looked at here"),
    )


def _texts(study: OpenStudy, rows: pl.DataFrame, candidate: str) -> list[str | None]:
    """Of each row the text of its candidate, if it is the one that was scored."""
    found: dict[tuple[int, int, int], str] = {}
    for (layer_index,), of_layer in rows.partition_by("layer_index", as_dict=True).items():
        try:
            known = texts_are_those_scored(study, layer_index)
            texts = explanations_of(study, layer_index, of_layer["neuron_index"].to_list()) if known else None
        except TableError:  # the layer's own page tells it
            continue
        for row in [] if texts is None else texts.to_dicts():
            found[layer_index, row["neuron_index"], row["candidate"]] = row["explanation"]
    return [found.get(key) for key in rows.select(*_NEURON, candidate).iter_rows()]
