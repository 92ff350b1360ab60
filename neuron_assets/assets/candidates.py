"""The step from explanations to what is simulated and scored: each explanation, and the controls beside it.

Put here: the asset `candidates`. Keep out: which neuron lends a control its text (`method/controls.py`).
"""

import time

import dagster as dg
import polars as pl

from neuron_assets.assets.checks import expected_candidates, has_all
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import Result, asset_key, hand_over, made_by, seconds_since, table_asset
from neuron_assets.method.controls import CONTROLS, OVER_BROAD_IN_RULES, OVER_BROAD_IN_WORDS
from neuron_assets.study import Study
from neuron_assets.tables.explained import candidates_frame
from neuron_assets.tables.meant import lists_frame


def candidates_asset(study: Study) -> dg.AssetsDefinition:
    @table_asset(study, "candidates")
    def candidates(
        context: dg.AssetExecutionContext,
        explanations: pl.DataFrame,
        **more: pl.DataFrame,  # revised_explanations and meanings, where the study asks for them
    ) -> Result:
        tag_run(context, study)
        began = time.monotonic()
        seed = study.controls.seed if study.controls.shuffled else None
        too_much = _over_broad(study) if study.controls.over_broad else None
        frame = candidates_frame(
            explanations,
            study.explainer.label,
            more.get("revised_explanations"),
            lists_frame(more["meanings"]) if "meanings" in more else None,
            control_seed=seed,
            over_broad=too_much,
        )
        facts = (
            {"failures": frame["failure"].count(), "controls": int(frame["author"].is_in(CONTROLS).sum())}
            | made_by(frame)
            | seconds_since(began)
        )
        context.add_asset_metadata(facts, asset_key(study, "candidates"), context.partition_key)
        expected = expected_candidates(explanations, study.controls, study.n_further)
        yield from hand_over(context, study, "candidates", frame, lambda rows: [has_all(rows, expected)])

    return candidates


def _over_broad(study: Study) -> str:
    return OVER_BROAD_IN_RULES if study.simulator.provider == "rules" else OVER_BROAD_IN_WORDS
