"""The step from an explanation to expected activations on excerpts that nobody was shown.

Put here: the asset `simulations`. Keep out: how a simulator works (`method/`, `simulators.py`).
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
import polars as pl

from neuron_assets.assets.asked import RequestDesk, count_lost, errand
from neuron_assets.assets.pictures import simulation_picture
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.simulators import Simulated, Unseen, open_simulator
from neuron_assets.assets.specs import Result, asking_notes, asset_key, brief, hand_over, seconds_since, table_asset
from neuron_assets.assets.trying_again import ask_lost_again, trying_again
from neuron_assets.method.records import Answer, NeuronRecord
from neuron_assets.method.samples import simulated_rows
from neuron_assets.study import Study
from neuron_assets.tables.explained import simulated_matrix, simulations_frame
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.rows import activations_of, corpus, neuron_records
from neuron_assets.tables.schemas import empty


def simulations_asset(study: Study, pool: str | None) -> dg.AssetsDefinition:
    @table_asset(study, "simulations", also_after=["simulator_model"], pool=pool)
    def simulations(
        context: dg.AssetExecutionContext,
        desk: dg.ResourceParam[RequestDesk],
        excerpts: pl.DataFrame,
        activations: StoredTable,
        candidates: pl.DataFrame,
    ) -> Result:
        tag_run(context, study)
        began = time.monotonic()
        rows = activations_of(activations, "valid", candidates["neuron_index"].unique().to_list())
        tried = list(_tried(candidates, neuron_records(rows, corpus(excerpts)), study.scoring.top))
        about = errand(context, desk, "simulations")
        with trying_again(context, desk.waits), open_simulator(study, desk, about) as simulator:
            answers = list(simulator.simulate(one.unseen for one in tried if one.explanation))
            n_lost, coming = count_lost(answers), iter(answers)
            ask_lost_again(context, desk.waits, n_lost)
            made = [
                simulations_frame(
                    simulator.identity, one.record, one.candidate, next(coming) if one.explanation else one.failures
                )
                for one in tried
            ]
            facts = {"simulator": brief(simulator.identity), **simulator.facts()}
        frame = pl.concat([empty("simulations"), *made])
        facts |= _sample(study, tried, frame)
        facts |= {"failures": frame["failure"].count(), "lost": n_lost, **seconds_since(began)}
        context.add_asset_metadata(facts, asset_key(study, "simulations"), context.partition_key)
        return hand_over(context, study, "simulations", frame, asking_notes(simulator.identity, n_lost))

    return simulations


def _sample(study: Study, tried: "Sequence[_Tried]", frame: pl.DataFrame) -> dict[str, dg.MetadataValue]:
    """The first neuron of which something was simulated, if there is one."""
    there = set(frame.drop_nulls("simulated").select("neuron_index", "candidate").iter_rows())
    for one in tried:
        if (one.record.neuron.neuron_index, one.candidate) in there:
            mine = (pl.col("neuron_index") == one.record.neuron.neuron_index) & (pl.col("candidate") == one.candidate)
            simulated = simulated_matrix(frame.filter(mine), one.record)
            picture = simulation_picture(one.record, simulated, str(one.explanation), study.explainer.label)
            return {"sample": dg.MetadataValue.md(picture)}
    return {}


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """One candidate, and the held-out excerpts that it is tried on."""

    record: NeuronRecord
    candidate: int
    explanation: str | None
    failure: str | None

    @property
    def unseen(self) -> Unseen:
        exemplars = self.record.exemplars
        about = f"{self.record.neuron} candidate {self.candidate}"
        return Unseen(about, str(self.explanation), exemplars.tokens, exemplars.excerpt_indices.tolist())

    @property
    def failures(self) -> Simulated:
        return [Answer(None, self.failure) for _ in self.record.exemplars.excerpt_indices]


def _tried(candidates: pl.DataFrame, records: Iterable[NeuronRecord], n_top: int) -> Iterator[_Tried]:
    of_neuron = candidates.partition_by("neuron_index", as_dict=True)
    for whole in records:
        record = whole.only(simulated_rows(whole.exemplars, n_top))
        for row in of_neuron[(record.neuron.neuron_index,)].to_dicts():
            yield _Tried(record, row["candidate"], row["explanation"], row["failure"])
