"""The last step: the scores of all layers, by depth.

Put here: the asset `layer_summary`. Keep out: the numbers (`method/summary.py`) and the plots (`plots.py`).
"""

import dagster as dg
import polars as pl

from neuron_assets.assets.helped import helped_by_layer
from neuron_assets.assets.plots import distribution_plot, summary_plot
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import Result, asset_key, hand_over, input_of_all_layers, labels, table_asset
from neuron_assets.errors import NothingScored
from neuron_assets.study import Study
from neuron_assets.tables.explained import of_chosen
from neuron_assets.tables.summarized import summary_frame


def layer_summary_asset(study: Study) -> dg.AssetsDefinition:
    @table_asset(study, "layer_summary", ins=input_of_all_layers(study, "layer_summary"))
    def layer_summary(context: dg.AssetExecutionContext, scores: dict[str, pl.DataFrame]) -> Result:
        tag_run(context, study)
        if not scores:
            raise NothingScored(study.name)
        together = pl.concat(scores.values())
        frame = summary_frame(together, chooses=study.chooses, seed=study.scoring.seed, n_draws=study.scoring.draws)
        title = f"{study.name} · {labels(study, 'layer_summary')} · {len(scores)} of {len(study.layer_indices)} layers"
        facts = {
            "trend_by_depth": dg.MetadataValue.md(summary_plot(frame, title)),
            "distribution": dg.MetadataValue.md(distribution_plot(of_chosen(together), title)),
            "layers": len(scores),
            "layers_missing": len(study.layer_indices) - len(scores),
            **helped_by_layer(study, together),
        }
        context.add_asset_metadata(facts, asset_key(study, "layer_summary"))
        yield from hand_over(context, study, "layer_summary", frame)

    return layer_summary
