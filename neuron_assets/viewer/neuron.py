"""What the tables say of one neuron, gathered for its page.

Here: reading a neuron's rows, and which of its candidates stands. Not here: its excerpts (`neuron_excerpts.py`), how
any of it is shown (`neuron_page.py`, `templates/neuron.html`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import polars as pl

from neuron_assets.errors import TableError
from neuron_assets.lineage import lineages
from neuron_assets.method.controls import CONTROLS
from neuron_assets.method.labels import is_of_study
from neuron_assets.method.records import NeuronId
from neuron_assets.method.samples import CHOOSING, SAMPLES
from neuron_assets.tables.explained import is_explained, of_chosen, of_explainer, of_study
from neuron_assets.tables.measured import SHOWN_AS
from neuron_assets.tables.store import table_of
from neuron_assets.viewer.scored import outdated
from neuron_assets.viewer.shelf import OpenStudy

T = TypeVar("T")
Row = Mapping[str, Any]

_OF_CANDIDATE = ("neuron_index", "candidate", "author", "chosen", "scorer", "sample")
_SCORES = (
    *("layer_index", *_OF_CANDIDATE, "simulator", "ev_correlation", "ev_correlation_low", "ev_correlation_high"),
    *("n_excerpts", "n_documents", "n_tokens", "failure", "interval_failure"),
)
_METRICS = (
    *(*_OF_CANDIDATE, "metric", "value", "value_low", "value_high", "chance", "n_excerpts", "n_documents"),
    *("failure", "interval_failure"),
)
_TOLD_APART = ("activations", "candidates", "scores")
"""Tables that are told of where study.yaml, as it is now, would make others; each says whose neurons it is of."""
_OLD_SCORES = (
    "Explanations of layer {layer} changed after it was scored, so scores of earlier texts are left out. "
    "Score it again: neuron-assets materialize {study} --layers {layer}"
)


@dataclass(frozen=True, slots=True)
class Desk:
    """Reads the tables of one neuron, and writes down which of them cannot be read."""

    study: OpenStudy
    neuron: NeuronId
    told: list[str] = field(default_factory=list)
    """What is wrong with tables, in words."""

    def rows(self, table: str, columns: Sequence[str] | None = None) -> pl.DataFrame | None:
        """None where there is no such table of the layer, or where it cannot be read."""
        return self.tried(lambda: self.study.rows(table, self.neuron, columns), None)

    def tried(self, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except TableError as error:
            self.tell(str(error))
            return otherwise

    def tell(self, line: str) -> None:
        """Each once, however often it is met."""
        if line not in self.told:
            self.told.append(line)

    def is_made_from(self, table: str, source: str) -> bool:
        """Whether the layer's `table` was made from what `source` holds now; so it is where one of them is missing.

        Raises UnreadableTable.
        """
        layer = self.neuron.layer_index
        made, now = self.study.facts(table, layer), self.study.facts(source, None if source == "excerpts" else layer)
        if made is None or now is None:
            return True
        return all(content == now.content for path, content in made.inputs.items() if table_of(path) == source)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One explanation of the neuron, or a control."""

    number: int
    explanation: str | None
    failure: str | None
    author: str
    explainer: str
    parent: int | None
    taken_from: NeuronId | None
    """Whose text a shuffled control is."""
    is_control: bool
    stands: bool
    scores: Mapping[str, Row]
    """By sample; `choosing` is what candidates were chosen by."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Where one may go from here, within the layer."""

    before: NeuronId | None
    after: NeuronId | None
    explained_before: NeuronId | None
    explained_after: NeuronId | None


@dataclass(frozen=True, slots=True)
class SeenNeuron:
    """All that is said of it, but for its excerpts."""

    neuron: NeuronId
    subject: str
    """Whose neuron it is."""
    statistics: Row | None
    """None where the layer was not harvested."""
    candidates: tuple[Candidate, ...]
    lookups: Mapping[str, Mapping[str, Row]]
    """Scores of what reads no explanation, by name and sample."""
    metrics: tuple[Row, ...]
    """One row a sample and metric of the candidate that stands; `beside` has the same metric by author."""
    final: Mapping[str, Row]
    """Scores of the candidate that stands on the pool `test`, by sample; none before the final report."""
    neighbours: Neighbours

    @property
    def standing(self) -> Candidate | None:
        return next((candidate for candidate in self.candidates if candidate.stands), None)

    @property
    def is_chosen_between(self) -> bool:
        """Whether candidates have scores that they were chosen by."""
        return any(CHOOSING in candidate.scores for candidate in self.candidates)

    @property
    def controls(self) -> tuple[Candidate, ...]:
        return tuple(candidate for candidate in self.candidates if candidate.is_control)

    @property
    def n_own(self) -> int:
        """Candidates that may stand: neither controls nor people's."""
        return sum(is_of_study(candidate.author) for candidate in self.candidates)

    @property
    def simulator(self) -> str | None:
        """Whose simulations of the standing candidate were scored."""
        scores = {} if self.standing is None else self.standing.scores
        return next((score["simulator"] for score in scores.values()), None)

    @property
    def samples(self) -> tuple[str, ...]:
        """That something was scored on, but for the choice."""
        everything = [*(candidate.scores for candidate in self.candidates), *self.lookups.values()]
        there = {sample for scores in everything for sample in scores}
        return tuple(sample for sample in SAMPLES if sample in there)


def see_neuron(desk: Desk, pools: Sequence[str] = ()) -> SeenNeuron:
    """Reads nothing but this neuron's rows, and which others of the layer are explained.

    Where `pools`, which may be shown, has `test`, the scores there are told too.
    """
    subject = _subject(desk)
    statistics = desk.rows("neuron_statistics")
    scores, metrics = _of_these_candidates(desk, "scores", _SCORES), _of_these_candidates(desk, "metrics", _METRICS)
    candidates = _candidates(desk, scores)
    final = _final(desk, candidates) if "test" in pools else {}
    return SeenNeuron(
        neuron=desk.neuron,
        subject=subject,
        statistics=statistics.row(0, named=True) if statistics is not None and statistics.height else None,
        candidates=candidates,
        lookups={} if scores is None else _by_author(scores.filter(pl.col("candidate").is_null())),
        metrics=() if metrics is None else _metrics(metrics, candidates),
        final=final,
        neighbours=_neighbours(desk),
    )


def _subject(desk: Desk) -> str:
    """As the tables say, if they do; tells where they were made by another study.yaml."""
    layer, now, label = desk.neuron.layer_index, lineages(desk.study.study), desk.study.study.subject_label
    read = {table: desk.tried(partial(desk.study.facts, table, layer), None) for table in _TOLD_APART}
    made = {table: facts for table, facts in read.items() if facts is not None}
    if early := [table for table, facts in made.items() if facts.lineage != now[table]]:
        desk.tell(outdated(f"Tables of layer {layer} ({', '.join(early)}) were", desk.study))
    return next((facts.notes["subject"] for facts in made.values() if "subject" in facts.notes), label)


def _candidates(desk: Desk, scores: pl.DataFrame | None) -> tuple[Candidate, ...]:
    rows = desk.rows("candidates")
    if rows is None:
        return ()
    chosen = [] if scores is None else of_chosen(scores)["candidate"].to_list()
    own = rows.filter(of_study())["candidate"].to_list()
    stands = next(iter(chosen), min(own, default=None))
    return tuple(_candidate(desk.neuron, row, scores, stands) for row in rows.to_dicts())


def _candidate(neuron: NeuronId, row: Row, scores: pl.DataFrame | None, stands: int | None) -> Candidate:
    lender = row["taken_from"]
    own = None if scores is None else scores.filter(pl.col("candidate") == row["candidate"])
    return Candidate(
        number=row["candidate"],
        explanation=row["explanation"],
        failure=row["failure"],
        author=row["author"],
        explainer=row["explainer"],
        parent=row["parent"],
        taken_from=None if lender is None else NeuronId(neuron.layer_index, lender),
        is_control=row["author"] in CONTROLS,
        stands=row["candidate"] == stands,
        scores={} if own is None else {score["sample"]: score for score in own.to_dicts()},
    )


def _of_these_candidates(desk: Desk, table: str, columns: Sequence[str]) -> pl.DataFrame | None:
    """None too where the table is of candidates that are no longer there."""
    if desk.tried(lambda: desk.is_made_from(table, "candidates"), otherwise=True):
        return desk.rows(table, columns)
    desk.tell(_OLD_SCORES.format(layer=desk.neuron.layer_index, study=desk.study.name))
    return None


def _final(desk: Desk, candidates: Sequence[Candidate]) -> dict[str, Row]:
    """Of the text that stands now: candidates may have been made again since the report, with the same texts or not."""
    stands = next((candidate for candidate in candidates if candidate.stands), None)
    scores = desk.rows("final_scores", _SCORES)
    read = desk.rows("final_simulations", ("neuron_index", "candidate", "explanation"))
    if stands is None or scores is None or read is None:
        return {}
    if (stands.number, stands.explanation) not in set(read.select("candidate", "explanation").iter_rows()):
        return {}
    return {row["sample"]: row for row in of_explainer(scores).to_dicts() if row["candidate"] == stands.number}


def _by_author(scores: pl.DataFrame) -> dict[str, dict[str, Row]]:
    found: dict[str, dict[str, Row]] = {}
    for row in scores.to_dicts():
        found.setdefault(row["author"], {})[row["sample"]] = row
    return found


def _metrics(metrics: pl.DataFrame, candidates: Sequence[Candidate]) -> tuple[Row, ...]:
    """Of the candidate that stands, each with the value of controls and lookups beside it."""
    stands = next((candidate.number for candidate in candidates if candidate.stands), None)
    if stands is None:
        return ()
    told = metrics.with_columns(SHOWN_AS)
    beside: dict[tuple[str, str], dict[str, float | None]] = {}
    for row in told.filter(pl.col("candidate").is_null() | pl.col("author").is_in(CONTROLS)).to_dicts():
        beside.setdefault((row["sample"], row["metric"]), {})[row["author"]] = row["value"]
    own = told.filter(pl.col("candidate") == stands).to_dicts()
    return tuple({**row, "beside": beside.get((row["sample"], row["metric"]), {})} for row in own)


def _neighbours(desk: Desk) -> Neighbours:
    layer, here, n_units = desk.neuron.layer_index, desk.neuron.neuron_index, desk.study.study.n_units
    table = desk.tried(lambda: desk.study.layer("candidates", layer, ["neuron_index"], is_explained()), None)
    explained = pl.Series([], dtype=pl.Int32) if table is None else table["neuron_index"]
    before, after = explained.filter(explained < here).max(), explained.filter(explained > here).min()

    def at(neuron_index: Any) -> NeuronId | None:
        return None if neuron_index is None else NeuronId(layer, int(neuron_index))

    return Neighbours(
        at(here - 1 if here > 0 else None), at(here + 1 if here + 1 < n_units else None), at(before), at(after)
    )
