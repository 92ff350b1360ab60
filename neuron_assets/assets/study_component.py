"""A study as Dagster definitions, and as a component that a YAML file can name.

Put here: the assembly of one study. Keep out: which studies there are (`definitions.py`).
https://docs.dagster.io/guides/build/components
"""

import warnings
from collections.abc import Mapping
from functools import cache

import dagster as dg

from neuron_assets.assets.ablations import ablations_asset
from neuron_assets.assets.activations import activations_asset
from neuron_assets.assets.asked import RequestDesk, Tell, log_answers
from neuron_assets.assets.candidates import candidates_asset
from neuron_assets.assets.comparison import comparison_assets
from neuron_assets.assets.corpus import corpus_asset
from neuron_assets.assets.corpus_reading import Hears, log_reading
from neuron_assets.assets.excerpts import excerpts_asset
from neuron_assets.assets.explanations import explanations_asset
from neuron_assets.assets.forward_pass import Progress, log_progress
from neuron_assets.assets.io_manager import ParquetTables
from neuron_assets.assets.judgements import judgements_asset
from neuron_assets.assets.labels import labels_asset
from neuron_assets.assets.language_models import language_model_assets
from neuron_assets.assets.layer_summary import layer_summary_asset
from neuron_assets.assets.meanings import meanings_asset
from neuron_assets.assets.metrics import metrics_asset
from neuron_assets.assets.pools import pools_of
from neuron_assets.assets.refreshing import conditions, refresh
from neuron_assets.assets.revised import revised_asset
from neuron_assets.assets.scores import scores_asset
from neuron_assets.assets.simulations import simulations_asset
from neuron_assets.assets.specs import IO_MANAGER_KEY, TABLE
from neuron_assets.assets.spending import spending_assets
from neuron_assets.assets.subject_model import subject_model_asset
from neuron_assets.assets.token_index import token_index_asset
from neuron_assets.assets.trends import trends_asset
from neuron_assets.assets.trying_again import WAITS
from neuron_assets.lineage import tables_of
from neuron_assets.project import current_project
from neuron_assets.study import Study, read_study


def build_study(study: Study, *, tables: str | None = None, pools: Mapping[str, str] | None = None) -> dg.Definitions:
    """The assets of one study, without resources: several studies share those.

    The page of each table says in which folder below `tables` it lies. `pools` says for what the step of a table waits;
    None: as `pools_of` says.
    """
    wait_for = pools_of(study) if pools is None else pools
    with warnings.catch_warnings():
        # Backfill policies, partitioned checks and observable sources: Dagster is pinned and their use is tested.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        refreshed = conditions(study)
        steps = [
            corpus_asset(study),
            subject_model_asset(study),
            excerpts_asset(study),
            activations_asset(study, wait_for.get("activations")),
            explanations_asset(study, wait_for.get("explanations")),
            *([revised_asset(study, wait_for.get("revised_explanations"))] if study.revises else []),
            *([meanings_asset(study, wait_for.get("meanings"))] if study.lists_meanings else []),
            labels_asset(study),
            candidates_asset(study),
            simulations_asset(study, wait_for.get("simulations")),
            scores_asset(study),
            *([judgements_asset(study, wait_for.get("judgements"))] if "judgements" in tables_of(study) else []),
            *([ablations_asset(study, wait_for.get("ablations"))] if "ablations" in tables_of(study) else []),
            *([metrics_asset(study)] if "metrics" in tables_of(study) else []),
            token_index_asset(study),
            layer_summary_asset(study),
            trends_asset(study),
            *comparison_assets(study),
            *spending_assets(study),
            *language_model_assets(study),
        ]
        assets = dg.map_asset_specs(
            lambda spec: _with_folder(spec, tables).replace_attributes(
                automation_condition=refreshed.get(spec.key.path[-1])
            ),
            steps,
        )
        return dg.Definitions.merge(dg.Definitions(assets=dg.with_source_code_references(assets)), refresh(study))


def _with_folder(spec: dg.AssetSpec, tables: str | None) -> dg.AssetSpec:
    if tables is None or TABLE not in spec.metadata:
        return spec
    return spec.merge_attributes(metadata={"dagster/uri": "/".join([tables, *spec.key.path])})


@cache  # Dagster takes two studies together only where their resources are the same object
def table_resources(  # noqa: PLR0913  # what differs between a person's call, Dagster and tests
    root: str,
    requests: str,
    progress: Progress = log_progress,
    tell: Tell = log_answers,
    *,
    reading: Hears = log_reading,
    offline: bool = False,
    waits: tuple[float, ...] = (),
) -> Mapping[str, object]:
    """What the assets of every study need: the tables below `root`, and who hears how far everything has come.

    `requests` is where answers of language models are kept; offline, nothing else is asked. `waits` are the seconds
    before each further try of a step whose server does not answer.
    """
    tables = ParquetTables(root=root)
    desk = RequestDesk(requests, offline, tell, waits, tables.store)
    return {IO_MANAGER_KEY: tables, "table_store": tables.store, "progress": progress, "reading": reading, "desk": desk}


class StudyComponent(dg.Component, dg.Model, dg.Resolvable):
    """A study in the folder of its defs.yaml."""

    study: str = "study.yaml"
    """The study file, relative to defs.yaml."""

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        study, project = read_study(context.path / self.study), current_project()
        resources = table_resources(project.tables, project.requests, waits=WAITS)
        assets = build_study(study, tables=project.tables)
        return dg.Definitions.merge(assets, dg.Definitions(resources=resources))
