"""What the candidates of one neuron came from and were held against, gathered from its tables.

Here: revisions with their counterexamples, lists of meanings, every answer of a judge, ablations in short. Not here:
the candidates and their scores (`neuron.py`), how any of it is shown (`evidence_page.py`), what was asked (`asked.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from neuron_assets.tables.store import table_of
from neuron_assets.viewer.neuron import Candidate, Desk, SeenNeuron

MADE_FROM_OTHERS = (
    "The table `{table}` of this layer was made from other {source} than those that are there now, and is left out. "
    "Make it again: neuron-assets materialize {study} --layers {layer}"
)


@dataclass(frozen=True, slots=True)
class Text:
    """Tokens as the subject cuts them, and what the neuron did on each, raw."""

    tokens: tuple[str, ...]
    activations: tuple[float, ...] | None
    """None where that is not kept."""
    marked: frozenset[int] = frozenset()
    """Places of tokens that count here, from 0."""


@dataclass(frozen=True, slots=True)
class Counterexample:
    """What an explanation was held against."""

    excerpt_index: int | None
    """None for a sentence that the explainer wrote."""
    sentence: str | None
    should_fire: bool | None
    fault: str | None
    """`fires` or `silent`: what the explanation wrongly says there; None where it was borne out."""
    cost: float | None
    """What it takes from the correlation; None for a sentence."""
    text: Text | None
    """None where it was not measured."""
    failure: str | None


@dataclass(frozen=True, slots=True)
class Round:
    """One revision."""

    number: int
    parent: int
    """The candidate that was revised."""
    parent_text: str | None
    explainer: str
    explanation: str | None
    failure: str | None
    counterexamples: tuple[Counterexample, ...]
    why_none: str | None
    """Where there are no counterexamples."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """One entry of a list of meanings."""

    number: int
    n_excerpts: int
    tokens: tuple[str, ...]
    explanation: str | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said of one excerpt."""

    excerpt_index: int
    stratum: str
    text: Text | None
    """None where it cannot be shown."""
    probability: float | None
    failure: str | None

    @property
    def is_yes(self) -> bool:
        return self.probability is not None and self.probability > 0.5

    @property
    def is_right(self) -> bool | None:
        """None where there is no verdict."""
        return None if self.probability is None else self.is_yes == (self.stratum == "active")


@dataclass(frozen=True, slots=True)
class Judged:
    """All that one judge said of one candidate, asked in one way."""

    candidate: int
    scorer: str
    judge: str
    explanation: str | None
    verdicts: tuple[Verdict, ...]

    @property
    def n_judged(self) -> int:
        return sum(verdict.is_right is not None for verdict in self.verdicts)

    @property
    def n_right(self) -> int:
        return sum(verdict.is_right is True for verdict in self.verdicts)


@dataclass(frozen=True, slots=True)
class Ablated:
    """How far one candidate's simulation, in the neuron's place, moves what the subject says; means over excerpts."""

    candidate: int
    n_excerpts: int
    n_failed: int
    failure: str | None
    """Of the first that failed."""
    simulated: float | None
    """Divergence in nats; None where nothing was simulated."""
    mean: float | None
    """Where the neuron does its mean on every token instead; over the same excerpts."""
    noise: float | None


@dataclass(frozen=True, slots=True)
class Evidence:
    rounds: tuple[Round, ...]
    meanings: Mapping[int, tuple[Meaning, ...]]
    """By the length of the list."""
    judged: tuple[Judged, ...]
    """Those of the candidate that stands come first."""
    ablated: tuple[Ablated, ...]


def see_evidence(desk: Desk, seen: SeenNeuron) -> Evidence:
    """Reads nothing but this neuron's rows, and the excerpts that were judged."""
    by_number = {candidate.number: candidate for candidate in seen.candidates}
    return Evidence(
        rounds=_rounds(desk, by_number),
        meanings=_meanings(desk),
        judged=_judged(desk, by_number),
        ablated=_ablated(desk),
    )


def stands_on(desk: Desk, table: str, source: str = "excerpts") -> bool:
    """Whether the layer's table was made from what `source` holds now; says so where it was not."""
    layer = desk.neuron.layer_index
    of_layer = None if source == "excerpts" else layer
    made = desk.tried(lambda: desk.study.facts(table, layer), None)
    there = desk.tried(lambda: desk.study.facts(source, of_layer), None)
    if made is None or there is None:
        return False
    if all(content == there.content for path, content in made.inputs.items() if table_of(path) == source):
        return True
    desk.tell(MADE_FROM_OTHERS.format(table=table, source=source, study=desk.study.name, layer=layer))
    return False


def _rows(desk: Desk, table: str) -> list[dict[str, Any]]:
    """None of another cut."""
    rows = desk.rows(table) if stands_on(desk, table) else None
    return [] if rows is None else rows.to_dicts()


def _rounds(desk: Desk, candidates: Mapping[int, Candidate]) -> tuple[Round, ...]:
    found, against = [], _rows(desk, "counterexamples")
    for row in _rows(desk, "revised_explanations"):
        of_round = [each for each in against if each["round"] == row["round"]]
        parent = candidates.get(row["parent"])
        none = next((each["failure"] for each in of_round if _is_none(each)), None)
        round_ = Round(
            number=row["round"],
            parent=row["parent"],
            parent_text=parent.explanation if parent else None,
            explainer=row["explainer"],
            explanation=row["explanation"],
            failure=row["failure"],
            counterexamples=tuple(_counterexample(each) for each in of_round if not _is_none(each)),
            why_none=none,
        )
        found.append(round_)
    return tuple(found)


def _is_none(row: Mapping[str, Any]) -> bool:
    """Whether it only says why there is no counterexample."""
    return row["excerpt_index"] is None and row["sentence"] is None


def _counterexample(row: Mapping[str, Any]) -> Counterexample:
    marked = frozenset() if row["token"] is None else frozenset({row["token"]})
    measured = row["activations"] is not None and row["tokens"] is not None
    return Counterexample(
        excerpt_index=row["excerpt_index"],
        sentence=row["sentence"],
        should_fire=row["should_fire"],
        fault=row["fault"],
        cost=row["cost"],
        text=Text(tuple(row["tokens"]), tuple(row["activations"]), marked) if measured else None,
        failure=row["failure"],
    )


def _meanings(desk: Desk) -> Mapping[int, tuple[Meaning, ...]]:
    found: dict[int, tuple[Meaning, ...]] = {}
    for row in _rows(desk, "meanings"):
        one = Meaning(row["meaning"], row["n_excerpts"], tuple(row["tokens"]), row["explanation"], row["failure"])
        found[row["n_meanings"]] = (*found.get(row["n_meanings"], ()), one)
    return found


def _judged(desk: Desk, candidates: Mapping[int, Candidate]) -> tuple[Judged, ...]:
    """But for what was said of texts that the candidates no longer have."""
    rows = _rows(desk, "judgements")
    current = [row for row in rows if _is_current(row, candidates)]
    if len(current) < len(rows):
        desk.tell("Some judgements are of earlier explanations, and are left out. Materialize again.")
    texts = _texts(desk, [row["excerpt_index"] for row in current])
    groups: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for row in current:
        groups.setdefault((row["candidate"], row["scorer"]), []).append(row)
    found = [
        Judged(
            candidate=candidate,
            scorer=scorer,
            judge=group[0]["judge"],
            explanation=group[0]["explanation"],
            verdicts=tuple(_verdict(row, texts) for row in group),
        )
        for (candidate, scorer), group in groups.items()
    ]
    return tuple(sorted(found, key=lambda one: (not candidates[one.candidate].stands, one.candidate, one.scorer)))


def _is_current(row: Mapping[str, Any], candidates: Mapping[int, Candidate]) -> bool:
    candidate = candidates.get(row["candidate"])
    return candidate is not None and candidate.explanation == row["explanation"]


def _verdict(row: Mapping[str, Any], texts: Mapping[int, Text]) -> Verdict:
    text = texts.get(row["excerpt_index"])
    marked = Text(text.tokens, text.activations, frozenset(row["marked"])) if text else None
    return Verdict(row["excerpt_index"], row["stratum"], marked, row["probability"], row["failure"])


def _texts(desk: Desk, excerpt_indices: Sequence[int]) -> Mapping[int, Text]:
    """Of the pools that may be shown."""
    if not excerpt_indices:
        return {}
    wanted = sorted(set(excerpt_indices))
    texts = desk.tried(lambda: desk.study.excerpts(wanted, ("excerpt_index", "split", "tokens")), None)
    pools: tuple[str, ...] = desk.tried(desk.study.shown_pools, ())
    rows = desk.rows("activations", ("excerpt_index", "activations")) if stands_on(desk, "activations") else None
    if texts is None:
        return {}
    did = {} if rows is None else dict(rows.filter(pl.col("excerpt_index").is_in(wanted)).iter_rows())
    return {
        row["excerpt_index"]: Text(tuple(row["tokens"]), did.get(row["excerpt_index"]))
        for row in texts.to_dicts()
        if row["split"] in pools
    }


def _ablated(desk: Desk) -> tuple[Ablated, ...]:
    stand = stands_on(desk, "ablations") and stands_on(desk, "ablations", "candidates")
    rows = desk.rows("ablations") if stand else None
    if rows is None:
        return ()
    replaced = pl.col("divergence_simulated").is_not_null()
    told = rows.group_by("candidate", maintain_order=True).agg(
        pl.len().alias("n_excerpts"),
        pl.col("failure").count().alias("n_failed"),
        pl.col("failure").drop_nulls().first(),
        pl.col("divergence_simulated").mean().alias("simulated"),
        pl.col("divergence_mean").filter(replaced).mean().alias("mean"),
        pl.col("noise").filter(replaced).max(),
    )
    return tuple(Ablated(**row) for row in told.to_dicts())
