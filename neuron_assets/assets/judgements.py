"""The step from explanations to verdicts: whether an excerpt holds what is said of the neuron.

Put here: the asset `judgements`. Keep out: who judges (`judges.py`), which excerpts (`method/judging/choosing.py`),
what is made of the verdicts (`judged_metrics.py`).
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import dagster as dg
import polars as pl

from neuron_assets.assets.asked import RequestDesk, count_lost, errand
from neuron_assets.assets.checks import Finding, few_failures, has_all, scored_apart
from neuron_assets.assets.claims import Claim, Judged
from neuron_assets.assets.expected_rows import expected_judgements
from neuron_assets.assets.held_out import Layer
from neuron_assets.assets.judges import Bench, open_judges
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import (
    Result,
    asking_notes,
    asset_key,
    hand_over,
    made_by,
    seconds_since,
    table_asset,
)
from neuron_assets.assets.trying_again import ask_lost_again, trying_again
from neuron_assets.lineage import lineages
from neuron_assets.method.judging.cases import Cases
from neuron_assets.method.records import Answer
from neuron_assets.model_sections import brief
from neuron_assets.study import Study
from neuron_assets.tables.explained import by_people
from neuron_assets.tables.judged import judgements_frame
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.rows import corpus, shown_documents
from neuron_assets.tables.schemas import empty
from neuron_assets.tables.store import TableStore

JUDGED = "judged"
"""Note of `judgements`: the scorers whose verdicts are in it."""


def judged_in_words(study: Study) -> str:
    return ", ".join(study.scoring.judged)


def judgements_asset(study: Study, pool: str | None) -> dg.AssetsDefinition:
    @table_asset(study, "judgements", pool=pool)
    def judgements(  # noqa: PLR0913, PLR0917  # Dagster hands over inputs and resources as arguments
        context: dg.AssetExecutionContext,
        table_store: dg.ResourceParam[TableStore],
        desk: dg.ResourceParam[RequestDesk],
        excerpts: pl.DataFrame,
        activations: StoredTable,
        candidates: pl.DataFrame,
        **simulations: pl.DataFrame,  # only where these are judged
    ) -> Result:
        tag_run(context, study)
        began, layer, simulated = time.monotonic(), context.partition_key, simulations.get("simulations")
        neurons = candidates["neuron_index"].unique().sort().to_list()
        cases = list(Layer(study, activations, corpus(excerpts), empty("neuron_statistics")).cases(neurons))
        tried = list(_tried(candidates, cases))
        there = table_store.current(study.name, "judgements", lineages(study)["judgements"], layer, {"candidates"})
        about = errand(context, desk, "judgements")
        with trying_again(context, desk.waits), open_judges(study, desk, about, simulated) as judges:
            kept = {} if simulated is not None else _kept(there, judges, tried)
            answers = list(judges.judge([one.claim for one in tried if one.explanation and one.key not in kept]))
            n_lost, coming = count_lost(answers), iter(answers)
            ask_lost_again(context, desk.waits, n_lost)
            made = [kept[one.key] if one.key in kept else one.rows(judges, coming) for one in tried]
            facts = {"judge": brief(judges.identity), **judges.facts()}
        frame = pl.concat([empty("judgements"), *made])
        facts |= {"kept": sum(one.key in kept for one in tried), "failures": frame["failure"].count(), "lost": n_lost}
        facts |= made_by(candidates, *simulations.values()) | seconds_since(began)
        context.add_asset_metadata(facts, asset_key(study, "judgements"), layer)
        shown = shown_documents(activations, excerpts, neurons)
        apart = scored_apart(excerpts, shown, frame.join(excerpts, on="excerpt_index")["document_index"])
        yield from hand_over(
            context,
            study,
            "judgements",
            frame,
            lambda rows: [apart, *_found(study, rows, candidates, cases)],
            notes={**asking_notes(judges.identity, n_lost), JUDGED: judged_in_words(study)},
        )

    return judgements


def _found(study: Study, frame: pl.DataFrame, candidates: pl.DataFrame, cases: Iterable[Cases]) -> list[Finding]:
    with_text = candidates.filter(pl.col("explanation").is_not_null(), ~by_people())
    judged = frame.join(with_text, on=("neuron_index", "candidate"), how="semi")
    return [
        has_all(frame, expected_judgements(candidates, cases)),
        few_failures(judged, frame.height - judged.height, study.checks.most_failures),
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """One candidate, and what it is judged on by one scorer."""

    cases: Cases
    candidate: int
    explanation: str | None
    failure: str | None

    @property
    def key(self) -> tuple[object, ...]:
        """What its judgement depends on, beside excerpts and judge."""
        return self.cases.record.neuron.neuron_index, self.candidate, self.cases.scorer, self.explanation

    @property
    def claim(self) -> Claim:
        return Claim(self.candidate, str(self.explanation), self.cases)

    def rows(self, judges: Bench, coming: Iterator[Judged]) -> pl.DataFrame:
        """With the next of the answers that come; where there is no explanation, with why."""
        answers: Judged = next(coming) if self.explanation else [Answer(None, self.failure) for _ in self.cases.strata]
        return judgements_frame(
            judges.of(self.cases.scorer).identity, self.cases, self.candidate, self.explanation, answers
        )


def _kept(
    there: pl.DataFrame | None, judges: Bench, tried: Iterable[_Tried]
) -> Mapping[tuple[object, ...], pl.DataFrame]:
    """What these judges have judged already, by neuron, candidate, scorer and text: whole, and without failures."""
    if there is None:
        return {}
    whose = ["neuron_index", "candidate", "scorer", "explanation"]
    identities = {one.cases.scorer: judges.of(one.cases.scorer).identity for one in tried}
    is_theirs = pl.col("judge") == pl.col("scorer").replace_strict(identities, default=None, return_dtype=pl.String)
    is_whole = is_theirs.all() & pl.col("failure").is_null().all()
    found = there.filter(is_whole.over(whose)).partition_by(whose, as_dict=True)
    return {
        one.key: found[one.key]
        for one in tried
        if one.key in found
        and found[one.key]["excerpt_index"].to_list() == one.cases.record.exemplars.excerpt_indices.tolist()
    }


def _tried(candidates: pl.DataFrame, cases: Iterable[Cases]) -> Iterator[_Tried]:
    of_neuron = candidates.partition_by("neuron_index", as_dict=True)
    for each in cases:
        if not len(each.strata):
            continue
        for row in of_neuron[each.record.neuron.neuron_index,].to_dicts():
            yield _Tried(each, row["candidate"], row["explanation"], row["failure"])
