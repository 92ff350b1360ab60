"""How scores go with depth, density, kurtosis, explainer and revision: the trends of all layers that are there.

Put here: the asset `trends`. Keep out: the numbers (`method/trends.py`) and the plots (`trend_plots.py`).
"""

import dagster as dg
import polars as pl

from neuron_assets.assets.pictures import image_link
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import Result, asset_key, hand_over, input_of_all_layers, table_asset
from neuron_assets.assets.trend_plots import layers_without_scores, trend_plots, trends_title
from neuron_assets.errors import NothingScored
from neuron_assets.study import Study
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.schemas import empty
from neuron_assets.tables.trends import BINNED_BY, trends_frame

_NOTHING_KNOWN = empty("neuron_statistics").select("layer_index", "neuron_index", *BINNED_BY.values())
_EVERY = pl.lit(True)  # noqa: FBT003  # a literal of polars


def trends_asset(study: Study) -> dg.AssetsDefinition:
    @table_asset(study, "trends", ins=input_of_all_layers(study, "trends"))
    def trends(
        context: dg.AssetExecutionContext, scores: dict[str, pl.DataFrame], neuron_statistics: dict[str, StoredTable]
    ) -> Result:
        tag_run(context, study)
        if not scores:
            raise NothingScored(study.name)
        known = [each.read(_EVERY, _NOTHING_KNOWN.columns) for each in neuron_statistics.values()]
        draws = {"seed": study.scoring.seed, "n_draws": study.scoring.draws}
        frame = trends_frame(
            pl.concat(scores.values()), pl.concat([_NOTHING_KNOWN, *known]), chooses=study.chooses, **draws
        )
        missing = layers_without_scores(study, frame)
        plots = trend_plots(frame, trends_title(study, missing))
        facts = {f"by_{name}": dg.MetadataValue.md(image_link("image/svg+xml", plot)) for name, plot in plots.items()}
        told = {"layers": len(scores), "missing": ", ".join(f"L{layer}" for layer in missing) or "no layer"}
        context.add_asset_metadata(facts | told, asset_key(study, "trends"))
        yield from hand_over(context, study, "trends", frame)

    return trends
