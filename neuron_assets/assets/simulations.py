"""The step from an explanation to expected activations on excerpts that nobody was shown.

Put here: the asset `simulations`, and what it shares with the final report's. Keep out: how a simulator works
(`method/`, `simulators.py`).
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg
import polars as pl

from neuron_assets.assets.asked import RequestDesk, count_lost, errand
from neuron_assets.assets.checks import Finding, few_failures, has_all, scored_apart
from neuron_assets.assets.expected_rows import expected_simulations
from neuron_assets.assets.held_out import SIMULATED, simulated_in_words, simulated_rows_of
from neuron_assets.assets.observing import seen_by_step
from neuron_assets.assets.pictures import simulation_picture
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.simulators import Simulated, Unseen, open_simulator
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
from neuron_assets.assets.viewer_links import layer_link
from neuron_assets.lineage import lineages
from neuron_assets.method.records import Answer, NeuronRecord, Split
from neuron_assets.model_sections import brief
from neuron_assets.study import Study
from neuron_assets.tables.explained import by_people, simulated_matrix, simulations_frame
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.rows import corpus, neuron_records, shown_documents
from neuron_assets.tables.schemas import empty
from neuron_assets.tables.store import TableStore


def simulations_asset(study: Study, pool: str | None) -> dg.AssetsDefinition:
    @table_asset(study, "simulations", also_after=["simulator_model"], pool=pool)
    def simulations(  # noqa: PLR0913, PLR0917  # Dagster hands over inputs and resources as arguments
        context: dg.AssetExecutionContext,
        table_store: dg.ResourceParam[TableStore],
        desk: dg.ResourceParam[RequestDesk],
        excerpts: pl.DataFrame,
        activations: StoredTable,
        candidates: pl.DataFrame,
    ) -> Result:
        tag_run(context, study)
        rows = simulated_rows_of(study, activations, candidates["neuron_index"].unique().to_list())
        records = neuron_records(rows, corpus(excerpts))
        made = simulate_layer(context, study, "simulations", candidates, records, table_store, desk)
        apart = unshown(made.frame, excerpts, activations, ("valid", "calibration"))
        expected = expected_simulations(candidates, rows)
        yield from hand_over(
            context,
            study,
            "simulations",
            made.frame,
            lambda rows: [apart, *whole_with_few_failures(study, rows, candidates, expected)],
            notes={**made.notes, SIMULATED: simulated_in_words(study)},
        )

    return simulations


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """The simulations of one layer."""

    frame: pl.DataFrame
    notes: Mapping[str, str]
    """Of its file: who simulated, and how many questions got no answer."""


def simulate_layer(  # noqa: PLR0913, PLR0917  # what is simulated, by whom, and where it will stand
    context: dg.AssetExecutionContext,
    study: Study,
    table: str,
    candidates: pl.DataFrame,
    records: Iterable[NeuronRecord],
    store: TableStore,
    desk: RequestDesk,
) -> Made:
    """Each candidate on the excerpts of its neuron's record; what this simulator did already is kept.

    What it took goes into the metadata of `table`. Raises LanguageModelError.
    """
    began, layer = time.monotonic(), context.partition_key
    tried = list(_tried(candidates, records))
    there = store.current(study.name, table, lineages(study)[table], layer, {"candidates", "scores"})
    about = errand(context, desk, table)
    with trying_again(context, desk.waits), open_simulator(study, desk, about) as simulator:
        seen_by_step(context, asset_key(study, "simulator_model"), simulator.identity)
        kept = _kept(there, simulator.identity, tried)
        answers = list(simulator.simulate(one.unseen for one in tried if one.explanation and one.key not in kept))
        n_lost, coming = count_lost(answers), iter(answers)
        ask_lost_again(context, desk.waits, n_lost)
        made = [kept[one.key] if one.key in kept else one.rows(simulator.identity, coming) for one in tried]
        facts = {"simulator": brief(simulator.identity), **simulator.facts()}
    frame = pl.concat([empty("simulations"), *made])
    facts |= {"kept": sum(one.key in kept for one in tried), "failures": frame["failure"].count(), "lost": n_lost}
    facts |= _sample(study, tried, frame) | made_by(candidates, frame) | seconds_since(began) | layer_link(study, layer)
    context.add_asset_metadata(facts, asset_key(study, table), layer)
    return Made(frame, asking_notes(simulator.identity, n_lost))


def unshown(frame: pl.DataFrame, excerpts: pl.DataFrame, activations: StoredTable, pools: Sequence[Split]) -> Finding:
    """Whether the documents of what was simulated are of these pools, and none was shown to the explainer."""
    shown = shown_documents(activations, excerpts, frame["neuron_index"].unique().to_list())
    documents = frame.join(excerpts, on="excerpt_index")["document_index"]
    return scored_apart(excerpts, shown, documents, pools=pools)


def whole_with_few_failures(
    study: Study, frame: pl.DataFrame, candidates: pl.DataFrame, expected: pl.DataFrame
) -> list[Finding]:
    with_text = candidates.filter(pl.col("explanation").is_not_null(), ~by_people())
    judged = frame.join(with_text, on=("neuron_index", "candidate"), how="semi")
    return [
        has_all(frame, expected),
        few_failures(judged, frame.height - judged.height, study.checks.most_failures),
    ]


def _sample(study: Study, tried: "Sequence[_Tried]", frame: pl.DataFrame) -> dict[str, dg.MetadataValue]:
    """The first neuron of which something was simulated, if there is one."""
    there = set(frame.drop_nulls("simulated").select("neuron_index", "candidate").iter_rows())
    for one in tried:
        if (one.record.neuron.neuron_index, one.candidate) in there:
            mine = (pl.col("neuron_index") == one.record.neuron.neuron_index) & (pl.col("candidate") == one.candidate)
            simulated = simulated_matrix(frame.filter(mine), one.record)
            told = str(one.explanation), study.explainer.label, study.unit_name
            return {"sample": dg.MetadataValue.md(simulation_picture(one.record, simulated, *told))}
    return {}


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """One candidate, and the held-out excerpts that it is tried on."""

    record: NeuronRecord
    candidate: int
    explanation: str | None
    failure: str | None

    @property
    def key(self) -> tuple[int, int, str | None]:
        """What its simulation depends on, beside excerpts and simulator."""
        return self.record.neuron.neuron_index, self.candidate, self.explanation

    @property
    def excerpts(self) -> set[int]:
        return set(self.record.exemplars.excerpt_indices.tolist())

    @property
    def unseen(self) -> Unseen:
        exemplars = self.record.exemplars
        about = f"{self.record.neuron} candidate {self.candidate}"
        return Unseen(about, str(self.explanation), exemplars.tokens, exemplars.excerpt_indices.tolist())

    def rows(self, simulator: str, coming: Iterator[Simulated]) -> pl.DataFrame:
        """With the next of the answers that come; where there is no explanation, with why."""
        if self.explanation:
            answers = next(coming)
        else:
            answers = [Answer(None, self.failure) for _ in self.record.exemplars.excerpt_indices]
        return simulations_frame(simulator, self.record, self.candidate, self.explanation, answers)


def _kept(
    there: pl.DataFrame | None, simulator: str, tried: Iterable[_Tried]
) -> Mapping[tuple[object, ...], pl.DataFrame]:
    """What this simulator has simulated already, by neuron, candidate and text: whole, and without failures."""
    if there is None:
        return {}
    whose = ["neuron_index", "candidate", "explanation"]
    is_whole = (pl.col("simulator") == simulator).all() & pl.col("failure").is_null().all()
    found = there.filter(is_whole.over(whose)).partition_by(whose, as_dict=True)
    return {
        one.key: found[one.key].filter(pl.col("excerpt_index").is_in(one.excerpts))
        for one in tried
        if one.key in found and one.excerpts <= set(found[one.key]["excerpt_index"])
    }


def _tried(candidates: pl.DataFrame, records: Iterable[NeuronRecord]) -> Iterator[_Tried]:
    of_neuron = candidates.partition_by("neuron_index", as_dict=True)
    for record in records:
        for row in of_neuron[(record.neuron.neuron_index,)].to_dicts():
            yield _Tried(record, row["candidate"], row["explanation"], row["failure"])
