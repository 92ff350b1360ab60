"""The small study as Dagster looks at it by itself, without its daemon, for tests of refreshing."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from neuron_assets.assets.refreshing import schedule_name
from neuron_assets.assets.study_component import build_study, table_resources
from neuron_assets.project import Project
from neuron_assets.study import read_study
from tests.served_tables import ENDING

BY_EXPLAINER = ("candidates", "explanations", "scores", "simulations")
SUMMARIES = {table: ["all"] for table in ENDING}
NIGHT = dt.datetime(2026, 1, 5, 3, 0, 30, tzinfo=dt.UTC)
"""Just after a tick of the schedule."""

DAY = dt.timedelta(days=1)
FEWER_RULES = {"provider": "rules", "n_rules": 5}


def all_of(*layers: str) -> dict[str, list[str]]:
    """These layers of all that hangs on the explainer."""
    return {table: list(layers) for table in BY_EXPLAINER}


@dataclass
class World:
    """The small study with layers 1 and 2, and what Dagster remembers between two looks."""

    project: Project
    path: Path
    instance: dg.DagsterInstance
    cursor: Any = None

    @property
    def definitions(self) -> dg.Definitions:
        resources = table_resources(self.project.tables, self.project.requests)
        shared = dg.Definitions(resources=resources, executor=dg.in_process_executor)
        return dg.Definitions.merge(build_study(read_study(self.path)), shared)

    def change(self, **sections: Any) -> None:
        self.path.write_text(yaml.safe_dump(yaml.safe_load(self.path.read_text()) | sections))

    def tick(self) -> None:
        """What the schedule does when its time has come."""
        tags = {"dagster/schedule_name": schedule_name("tiny")}
        assert self.observation().execute_in_process(instance=self.instance, tags=tags).success

    def observation(self) -> dg.JobDefinition:
        repository = self.definitions.get_repository_def()
        return repository.get_job(repository.get_schedule_def(schedule_name("tiny")).job_name)

    def look(self, at: dt.datetime, *, forgotten: bool = False) -> dict[str, list[str]]:
        """What the sensor requests now, layers by table; `forgotten`: with a lost cursor."""
        result = dg.evaluate_automation_conditions(
            self.definitions, self.instance, cursor=None if forgotten else self.cursor, evaluation_time=at
        )
        self.cursor = result.cursor
        found = {
            one.key.path[-1]: sorted(one.true_subset.expensively_compute_partition_keys())
            if one.true_subset.is_partitioned
            else ["all"]
            for one in result.results
            if isinstance(one.key, dg.AssetKey) and not one.true_subset.is_empty
        }
        return dict(sorted(found.items()))

    def make(self, tables: dict[str, list[str]], **tags: str) -> None:
        """Runs what was requested, as the daemon would: a run a layer."""
        definitions = self.definitions
        for layer in sorted({layer for layers in tables.values() for layer in layers}):
            selection = [["tiny", table] for table, layers in tables.items() if layer in layers]
            job = definitions.resolve_implicit_global_asset_job_def()
            result = job.execute_in_process(
                instance=self.instance,
                asset_selection=[dg.AssetKey(path) for path in selection],
                partition_key=None if layer == "all" else layer,
                tags=tags,
            )
            assert result.success

    def refreshed(self, tables: dict[str, list[str]]) -> None:
        self.make(tables, **{"neuron_assets/refresh": "true"})

    def n_events(self, table: str) -> int:
        return len(self.instance.fetch_materializations(dg.AssetKey(["tiny", table]), limit=100).records)
