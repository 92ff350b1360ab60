"""When layers are made again by themselves: where somebody else would explain or simulate them now.

Put here: the schedule that looks who answers, the conditions of the tables, the sensor that evaluates them. Keep out:
the looking itself (`language_models.py`), and what a table records of who made it (`specs.py`).
https://docs.dagster.io/guides/automate/declarative-automation

A layer is compared with what stands in its own metadata, so nothing is missed when a daemon was down or lost its
cursor, a failed refresh is tried again at the next tick, and nothing happens where the same model answers as before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster import AutomationCondition as Condition
from dagster import DagsterInstance

from neuron_assets.assets.specs import MADE_BY, ROLES, Role, asset_key
from neuron_assets.errors import InvalidStudy
from neuron_assets.model_sections import HostedExplainer, HostedSimulator
from neuron_assets.study import Study

OBSERVED_BY = "observed_by"
"""Metadata of an observation: the schedule that made it, or that it was made by hand."""
_REFRESHED = "neuron_assets/refresh"
"""Tag of the runs that the sensor starts."""

HANGS_ON: Mapping[str, tuple[Role, ...]] = {
    "explanations": ("explainer",),
    "candidates": ("explainer",),
    "simulations": ("explainer", "simulator"),
    "scores": ("explainer", "simulator"),
}
"""The roles whose work each table of a layer is."""
FOLLOWS: Mapping[str, tuple[str, ...]] = {"layer_summary": ("scores",), "spending": ("explanations", "simulations")}
"""The tables of all layers, and those of a layer after whose refresh they are made again."""


@dataclass(frozen=True)
class MadeByAnother(Condition[dg.AssetKey]):
    """The layers whose rows another model made than the one that the schedule saw last."""

    roles: tuple[Role, ...]

    @property
    def name(self) -> str:
        return f"made by another {' or '.join(self.roles)}"

    @property
    def description(self) -> str:
        return "Made by another model than the refresh schedule saw last; a layer that tells nobody is left alone."

    def evaluate(self, context: Any) -> dg.AutomationResult[dg.AssetKey]:
        view, key = context.asset_graph_view, context.key
        now = {role: seen_by_schedule(view.instance, key.path[0], role) for role in self.roles}
        if not any(now.values()):
            return dg.AutomationResult(context, context.get_empty_subset())
        layers = {
            layer
            for layer, whose in recorded(view.instance, key).items()
            if any(now[role] and role in whose and whose[role] != now[role] for role in self.roles)
        } & set(context.candidate_subset.expensively_compute_partition_keys())
        return dg.AutomationResult(context, view.get_subset_from_partition_keys(key, context.partitions_def, layers))


@dataclass(frozen=True)
class BehindARefresh(Condition[dg.AssetKey]):
    """A table of all layers that is older than a layer which was refreshed by itself."""

    inputs: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"older than refreshed {' or '.join(self.inputs)}"

    def evaluate(self, context: Any) -> dg.AutomationResult[dg.AssetKey]:
        instance: DagsterInstance = context.asset_graph_view.instance
        own = instance.fetch_materializations(context.key, limit=1).records
        is_behind = bool(own) and any(
            _was_refreshed(instance, dg.AssetKey([context.key.path[0], table]), own[0].storage_id)
            for table in self.inputs
        )
        return dg.AutomationResult(context, context.candidate_subset if is_behind else context.get_empty_subset())


def seen_by_schedule(instance: DagsterInstance, study: str, role: Role) -> str | None:
    """Who filled the role when the schedule looked last; None where it never did."""
    for record in instance.fetch_observations(dg.AssetKey([study, f"{role}_model"]), limit=50).records:
        observation = record.asset_observation
        if observation and observation.metadata.get(OBSERVED_BY) == dg.TextMetadataValue(schedule_name(study)):
            return observation.data_version
    return None


def outdated_layers(instance: DagsterInstance, study: Study, role: Role, now: str) -> list[str]:
    """The layers of which some rows hang on another model in that role than the one that is there now."""
    tables = [table for table, roles in HANGS_ON.items() if role in roles]
    found = {
        layer
        for table in tables
        for layer, whose in recorded(instance, asset_key(study, table)).items()
        if whose.get(role, now) != now
    }
    return sorted(found)


def recorded(instance: DagsterInstance, key: dg.AssetKey) -> Mapping[str, Mapping[str, str]]:
    """Of each layer that is there, whose work it is by role; nothing for one that does not tell."""
    # Not public: the latest event of each partition. Asked for one by one they would be a query a layer.
    latest = instance.event_log_storage.get_latest_storage_id_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    if not latest:
        return {}
    wanted = dg.AssetRecordsFilter(asset_key=key, storage_ids=list(latest.values()))
    whose: dict[str, Mapping[str, str]] = {}
    for record in instance.fetch_materializations(wanted, limit=len(latest)).records:
        made = record.asset_materialization
        told = made.metadata.get(MADE_BY) if made else None
        if made and made.partition and isinstance(told, dg.JsonMetadataValue) and isinstance(told.value, dict):
            whose[made.partition] = {str(role): str(identity) for role, identity in told.value.items()}
    return whose


def conditions(study: Study) -> Mapping[str, Condition[dg.AssetKey]]:
    """Of each table that is refreshed by itself, when that is."""
    tick = Condition.cron_tick_passed(study.refresh.cron, study.refresh.timezone)
    at_rest = ~Condition.in_progress() & ~Condition.any_deps_in_progress()
    once = ~Condition.newly_requested().since(tick)
    made_by_another = {table: MadeByAnother(roles) & at_rest & once for table, roles in HANGS_ON.items()}
    once_each = ~Condition.newly_requested().since(tick | Condition.any_deps_updated())
    behind = {table: BehindARefresh(inputs) & at_rest & once_each for table, inputs in FOLLOWS.items()}
    return made_by_another | behind


def schedule_name(study: str) -> str:
    return f"{study}__refresh"


def refresh(study: Study) -> dg.Definitions:
    """The schedule that looks who answers, and the sensor that has outdated layers made again.

    Raises InvalidStudy for a time that is no cron expression.
    """
    off = _costs_money(study)
    text = (
        "Looks who explains and who simulates, once a tick. Layers that another model made are then explained, "
        f"simulated and scored again, by the sensor `{study.name}__automation`."
    )
    costs = (
        f" **Off until you switch it on, for it costs money.** Observe `{study.name}/explainer_model` by hand before: "
        "its metadata tell what a refresh would take. The study's budget holds."
    )
    try:
        schedule = dg.ScheduleDefinition(
            name=schedule_name(study.name),
            cron_schedule=study.refresh.cron,
            execution_timezone=study.refresh.timezone,
            target=dg.AssetSelection.assets(*(asset_key(study, f"{role}_model") for role in ROLES)),
            description=text + costs if off else text,
            default_status=dg.DefaultScheduleStatus.STOPPED if off else dg.DefaultScheduleStatus.RUNNING,
            tags={"neuron_assets/study": study.name},
        )
    except dg.DagsterInvalidDefinitionError as error:
        problem = f"`refresh.cron`: {study.refresh.cron!r} is no cron expression of five fields, such as 0 3 * * *"
        raise InvalidStudy(study.folder / "study.yaml", [problem]) from error
    sensor = dg.AutomationConditionSensorDefinition(
        name=f"{study.name}__automation",
        target=dg.AssetSelection.groups(study.name, include_sources=True),
        description=f"Makes layers again that the schedule `{schedule.name}` found outdated; without it, nothing.",
        default_status=dg.DefaultSensorStatus.RUNNING,
        run_tags={"neuron_assets/study": study.name, _REFRESHED: "true"},
        use_user_code_server=True,  # the conditions are our own
        emit_backfills=False,
    )
    return dg.Definitions(schedules=[schedule], sensors=[sensor])


def _costs_money(study: Study) -> bool:
    """Whether a model is asked behind a server, but for those that the study says are free."""
    hosted = [one for one in (study.explainer, study.simulator) if isinstance(one, HostedExplainer | HostedSimulator)]
    prices = [study.prices.get(section.model) for section in hosted]
    return any(price is None or price.tokens_in + price.tokens_out > 0 for price in prices)


def _was_refreshed(instance: DagsterInstance, key: dg.AssetKey, since: int) -> bool:
    """Whether a layer of that table was made after that event, and by the sensor."""
    newer = dg.AssetRecordsFilter(asset_key=key, after_storage_id=since)
    run_ids = {record.run_id for record in instance.fetch_materializations(newer, limit=200).records}
    runs = instance.get_runs(dg.RunsFilter(run_ids=list(run_ids))) if run_ids else ()
    return any(_REFRESHED in run.tags for run in runs)
