"""The step from explanations to what is simulated and scored: each explanation, and the controls beside it.

Put here: the asset `candidates`. Keep out: which neuron lends a control its text (`method/controls.py`).
"""

import time
from collections.abc import Mapping

import dagster as dg
import polars as pl

from neuron_assets.assets.checks import has_all
from neuron_assets.assets.expected_rows import expected_candidates
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import Result, asset_key, hand_over, made_by, seconds_since, table_asset
from neuron_assets.assets.viewer_links import layer_link
from neuron_assets.lineage import inputs_of
from neuron_assets.method.controls import CONTROLS, OVER_BROAD_IN_RULES, OVER_BROAD_IN_WORDS
from neuron_assets.study import Study
from neuron_assets.tables.explained import by_people, candidates_frame
from neuron_assets.tables.meant import lists_frame


def candidates_asset(study: Study) -> dg.AssetsDefinition:
    @table_asset(study, "candidates", ins=_inputs(study))
    def candidates(
        context: dg.AssetExecutionContext,
        explanations: pl.DataFrame,
        **more: pl.DataFrame | None,  # labels if there are; revised_explanations and meanings where they are asked for
    ) -> Result:
        tag_run(context, study)
        began, lists = time.monotonic(), more.get("meanings")
        seed = study.controls.seed if study.controls.shuffled else None
        too_much = _over_broad(study) if study.controls.over_broad else None
        frame = candidates_frame(
            explanations,
            study.explainer.label,
            more.get("revised_explanations"),
            None if lists is None else lists_frame(lists),
            more["labels"],
            control_seed=seed,
            over_broad=too_much,
        )
        facts = (
            {"failures": frame["failure"].count(), "controls": int(frame["author"].is_in(CONTROLS).sum())}
            | {"by_people": frame.filter(by_people()).height}
            | made_by(frame)
            | seconds_since(began)
            | layer_link(study, context.partition_key)
        )
        context.add_asset_metadata(facts, asset_key(study, "candidates"), context.partition_key)
        expected = expected_candidates(explanations, study.controls, study.n_further)
        yield from hand_over(context, study, "candidates", frame, lambda rows: [has_all(rows, expected)])

    return candidates


def _inputs(study: Study) -> Mapping[str, dg.AssetIn]:
    """Nobody need have materialized `labels` before; without it there are none."""
    may_be_missing = {"labels": {"allow_missing_partitions": True}}
    return {
        name: dg.AssetIn(asset_key(study, name), metadata=may_be_missing.get(name))
        for name in inputs_of(study, "candidates")
    }


def _over_broad(study: Study) -> str:
    return OVER_BROAD_IN_RULES if study.simulator.provider == "rules" else OVER_BROAD_IN_WORDS
