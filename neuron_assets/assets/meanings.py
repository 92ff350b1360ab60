"""The step from a neuron's top excerpts to several meanings, each explained by itself.

Put here: the asset `meanings`. Keep out: how excerpts are grouped (`method/meanings.py`), who explains
(`explainers.py`), and whether a list is better than the one explanation (`choices.py`).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from neuron_assets.assets.asked import RequestDesk, count_lost, errand
from neuron_assets.assets.checks import has_all
from neuron_assets.assets.expected_rows import neurons
from neuron_assets.assets.explainers import is_no_fault, open_explainer
from neuron_assets.assets.observing import seen_by_step
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
from neuron_assets.method.meanings import MeaningParameters, firing_tokens, meanings_of
from neuron_assets.method.records import Answer, NeuronRecord
from neuron_assets.method.samples import shown_rows
from neuron_assets.model_sections import brief
from neuron_assets.study import Study
from neuron_assets.tables.meant import Meaning, meanings_frame
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.rows import activations_of, corpus, neuron_records

_TOKENS_TOLD = 8
"""Of a group, at most."""


def meanings_asset(study: Study, pool: str | None) -> dg.AssetsDefinition:
    @table_asset(study, "meanings", also_after=["explainer_model"], pool=pool)
    def meanings(
        context: dg.AssetExecutionContext,
        desk: dg.ResourceParam[RequestDesk],
        excerpts: pl.DataFrame,
        activations: StoredTable,
        explanations: pl.DataFrame,
    ) -> Result:
        tag_run(context, study)
        began, wanted = time.monotonic(), explanations["neuron_index"].unique().sort().to_list()
        records = neuron_records(activations_of(activations, "train", wanted), corpus(excerpts))
        parted = [entry for record in records for entry in _parted(study, record)]
        about = errand(context, desk, "meanings")
        with trying_again(context, desk.waits), open_explainer(study, desk, about, samples=1) as explainer:
            seen_by_step(context, asset_key(study, "explainer_model"), explainer.identity)
            groups = [entry.group for entry in parted if entry.group is not None]
            answers = list(explainer.explain(group.only(explainer.rows(group.exemplars)) for group in groups))
            n_lost = count_lost(answers)
            ask_lost_again(context, desk.waits, n_lost)
            facts = {"lost": n_lost, "explainer": brief(explainer.identity), **explainer.facts()}
        frame = meanings_frame(explainer.identity, list(_explained(parted, answers)))
        facts |= _counts(frame) | made_by(frame) | seconds_since(began)
        context.add_asset_metadata(facts, asset_key(study, "meanings"), context.partition_key)
        expected = _lists_of(wanted, study.meanings.most)
        notes = asking_notes(explainer.identity, n_lost)
        yield from hand_over(context, study, "meanings", frame, lambda rows: [has_all(rows, expected)], notes=notes)

    return meanings


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """One entry of a list before it is explained, or a list that is not made."""

    told: Callable[[Answer[str]], Meaning]
    """The entry, once there is an answer."""
    group: NeuronRecord | None
    """What is shown of it; None where there is no such list."""
    failure: str | None = None
    """Why there is none."""


def _parted(study: Study, record: NeuronRecord) -> Iterator[_Entry]:
    """All lists of a neuron."""
    shown = record.only(shown_rows(record.exemplars))
    parameters = MeaningParameters(**study.meanings.model_dump())
    for n_meanings, groups in meanings_of(shown.exemplars, parameters).items():
        if groups.value is None:
            yield _Entry(partial(Meaning, record.neuron, n_meanings, 0, 0, ()), None, groups.failure)
        for number, group in enumerate(groups.value or ()):
            tokens = firing_tokens(shown.only(group.top).exemplars, _TOKENS_TOLD)
            told = partial(Meaning, record.neuron, n_meanings, number, len(group.top), tokens)
            yield _Entry(told, shown.only(group.rows))


def _explained(parted: Iterable[_Entry], answers: Iterable[Sequence[Answer[str]]]) -> Iterator[Meaning]:
    """With the next of the answers, where there was something to explain."""
    coming = iter(answers)
    for entry in parted:
        yield entry.told(Answer(None, entry.failure) if entry.group is None else next(coming)[0])


def _lists_of(neuron_indices: Sequence[int], most: int) -> pl.DataFrame:
    """The lists that must be told of, if only why there are none."""
    lengths = pl.DataFrame({"n_meanings": pl.Series(range(2, most + 1), dtype=pl.Int32)})
    return neurons(neuron_indices).join(lengths, how="cross")


def _counts(frame: pl.DataFrame) -> dict[str, Any]:
    """How many neurons could be parted, by the number of meanings."""
    made = pl.col("neuron_index").filter(pl.col("n_excerpts") > 0).n_unique()
    by_number = frame.group_by("n_meanings").agg(made).sort("n_meanings")
    parted = {f"parted_in_{n_meanings}": n for n_meanings, n in by_number.iter_rows()}
    return {**parted, "failures": frame.filter(~is_no_fault())["failure"].count()}
