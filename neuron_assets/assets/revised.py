"""The step from explanations to revised ones, in the light of where they go wrong.

Put here: the multi-asset `counterexamples` and `revised_explanations`. Keep out: what a mistake is and how rules answer
it (`method/mistakes.py`, `method/rules/revising.py`), and whether the new text is better (`choices.py`).
"""

import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl
from threadpoolctl import ThreadpoolController

from neuron_assets.assets.checks import few_failures, has_all, rounds_of
from neuron_assets.assets.explainers import is_no_fault
from neuron_assets.assets.partitions import layer_partitions
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.several_tables import tables_out
from neuron_assets.assets.specs import Result, asset_key, check_specs, hand_over, made_by, seconds_since
from neuron_assets.lineage import inputs_of
from neuron_assets.method.choosing import rows_in
from neuron_assets.method.records import Answer, NeuronRecord
from neuron_assets.method.rules.fitting import RuleParameters
from neuron_assets.method.rules.revising import RevisionParameters, revise_by_rules
from neuron_assets.method.samples import shown_rows
from neuron_assets.model_sections import RulesExplainer
from neuron_assets.study import Study
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.revised import Round, counterexamples_frame, revised_frame
from neuron_assets.tables.rows import activations_of, corpus, neuron_records

REVISED = ("counterexamples", "revised_explanations")


def revised_asset(study: Study) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=f"{study.name}__revised_explanations",
        outs=tables_out(study, REVISED),
        ins={name: dg.AssetIn(asset_key(study, name)) for name in inputs_of(study, REVISED[-1])},
        partitions_def=layer_partitions(study),
        check_specs=[spec for table in REVISED for spec in check_specs(study, table)],
    )
    def revised_explanations(
        context: dg.AssetExecutionContext,
        excerpts: pl.DataFrame,
        activations: StoredTable,
        explanations: pl.DataFrame,
    ) -> Result:
        tag_run(context, study)
        began = time.monotonic()
        rounds = list(_revised(study, excerpts, activations, explanations))
        found, revised = counterexamples_frame(rounds), revised_frame(study.explainer_identity, rounds)
        whose = made_by(revised) | seconds_since(began)
        for table, facts in zip(REVISED, (_found(found), _changed(rounds, explanations)), strict=True):
            context.add_asset_metadata(facts | whose, asset_key(study, table), context.partition_key)
        expected = rounds_of(explanations["neuron_index"].unique().sort().to_list(), study.revision.rounds)
        judged = revised.filter(~is_no_fault())
        n_left_out = revised.height - judged.height
        failures = few_failures(judged, n_left_out, study.checks.most_failures)
        yield from hand_over(context, study, REVISED[0], found, lambda rows: [has_all(rows, expected)])
        yield from hand_over(context, study, REVISED[1], revised, lambda rows: [has_all(rows, expected), failures])

    return revised_explanations


def _found(counterexamples: pl.DataFrame) -> dict[str, Any]:
    faults = dict(counterexamples.drop_nulls("fault").group_by("fault").len().sort("fault").iter_rows())
    return {"counterexamples": counterexamples["cost"].count(), **faults}


def _changed(rounds: list[Round], explanations: pl.DataFrame) -> dict[str, Any]:
    """How many neurons say something else after the last round."""
    first = dict(explanations.filter(pl.col("sample") == 0).select("neuron_index", "explanation").iter_rows())
    last = {each.looked_at.neuron.neuron_index: each.revised for each in rounds}
    changed = sum(revised.value != first[neuron] for neuron, revised in last.items())
    return {"changed": changed, "failures": sum(each.revised.value is None for each in rounds)}


def _revised(
    study: Study, excerpts: pl.DataFrame, activations: StoredTable, explanations: pl.DataFrame
) -> Iterator[Round]:
    """Of each neuron all rounds."""
    neurons, texts = explanations["neuron_index"].unique().sort().to_list(), corpus(excerpts)
    of_train, of_calibration = (
        neuron_records(activations_of(activations, split, neurons), texts) for split in ("train", "calibration")
    )
    first = {row["neuron_index"]: Answer(row["explanation"], row["failure"]) for row in explanations.to_dicts()}
    # A second thread gains nothing on such small matrices, and takes a core from whoever has a use for it.
    with ThreadpoolController().limit(limits=1, user_api="blas"):
        for train, calibration in zip(of_train, of_calibration, strict=True):
            look = calibration.only(rows_in(calibration, "look", study.scoring.choosing_seed))
            shown = train.only(shown_rows(train.exemplars))
            yield from _rounds(study, first[train.neuron.neuron_index], shown, look)


def _rounds(study: Study, first: Answer[str], shown: NeuronRecord, look: NeuronRecord) -> Iterator[Round]:
    """Each from what the one before it gave; what was not explained cannot be revised."""
    section = study.explainer
    assert isinstance(section, RulesExplainer)
    rules = RuleParameters(n_rules=section.n_rules, longest=section.longest)
    revision = RevisionParameters(n_counterexamples=study.revision.counterexamples)
    now = first
    for number in range(1, study.revision.rounds + 1):
        parent = number - 1  # `rules` give one explanation a neuron
        if now.value is None:
            yield Round(look, number, parent, now, (), "there is no explanation")
            continue
        made = revise_by_rules(now.value, shown.exemplars, look.exemplars, rules, revision)
        now = Answer(made.explanation)
        why_none = None if made.counterexamples else _why_none(look)
        yield Round(look, number, parent, now, made.counterexamples, why_none)


def _why_none(look: NeuronRecord) -> str:
    return (
        "no token speaks against it"
        if len(look.exemplars.excerpt_indices)
        else "none of its documents may be looked at"
    )
