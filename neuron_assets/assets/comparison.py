"""The step from the scores of several studies to how much they differ; only in studies that name others.

Put here: the asset `comparison`. Keep out: what is compared (`comparing.py`), the plot (`comparison_plot.py`).
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.comparing import compared, contents
from neuron_assets.assets.comparison_plot import comparison_plot, plotted
from neuron_assets.assets.pictures import image_link
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import Result, asset_key, hand_over, table_asset
from neuron_assets.errors import StudyError, TableError
from neuron_assets.lineage import inputs_of
from neuron_assets.project import current_project
from neuron_assets.study import Study, read_study
from neuron_assets.tables.compared import CORRELATION
from neuron_assets.tables.store import TableStore

COMPARED = "compared"
"""Note of `comparison`: a digest of all tables that it was made from, those of other studies, too."""


def comparison_assets(study: Study) -> list[dg.AssetsDefinition]:
    """The asset, or none where the study names no others."""
    return [_comparison_asset(study)] if study.compare_with else []


def compared_contents(study: Study, store: TableStore) -> str | None:
    """The note `COMPARED` as it would be now; None where that cannot be told: the step itself says why."""
    try:
        return contents(_studies(study), store)
    except (StudyError, TableError):
        return None


def _comparison_asset(study: Study) -> dg.AssetsDefinition:
    theirs = [dg.AssetKey([other, "scores"]) for other in study.compare_with]  # it reads their `metrics`, too, if any
    own = [asset_key(study, table) for table in inputs_of(study, "comparison")]

    @table_asset(study, "comparison", ins={}, also_after=[*own, *theirs])
    def comparison(
        context: dg.AssetExecutionContext,
        table_store: dg.ResourceParam[TableStore],
        desk: dg.ResourceParam[RequestDesk],
    ) -> Result:
        tag_run(context, study)
        studies = _studies(study)
        content = contents(studies, table_store)
        frame = compared(studies, table_store, desk.store)
        plot = comparison_plot(frame, f"{study.name} compared with {', '.join(study.compare_with)}")
        by_layer = dg.MetadataValue.md(image_link("image/svg+xml", plotted(plot, "svg")))
        context.add_asset_metadata({"by_layer": by_layer, **_facts(frame)}, asset_key(study, "comparison"))
        yield from hand_over(context, study, "comparison", frame, notes={COMPARED: content})

    return comparison


def _studies(study: Study) -> list[Study]:
    """The study, and those that it is compared with, as their files say now: they lie beside it, or in the project."""
    project = current_project()
    beside = {name: study.folder.parent / name / "study.yaml" for name in study.compare_with}
    return [study, *(read_study(path) if path.exists() else project.study(name) for name, path in beside.items())]


def _facts(frame: pl.DataFrame) -> Mapping[str, Any]:
    """Mean differences in correlation over all layers, by study and sample, and how many neurons that is."""
    rows = frame.filter(pl.col("layer_index").is_null(), pl.col("metric") == CORRELATION)
    facts: dict[str, Any] = {}
    for row in rows.to_dicts():
        name = f"{row['study']}_{row['sample']}"
        facts |= {f"neurons_{name}": row["n_neurons"], f"left_out_{name}": row["n_left_out"]}
        if row["difference"] is not None:
            facts[f"difference_{name}"] = round(row["difference"], 4)
    return facts
