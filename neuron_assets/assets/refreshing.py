"""When layers are made again by themselves: where somebody else would explain or simulate them now.

Put here: the schedule that looks who answers, the conditions of the tables, the sensor that evaluates them. Keep out:
the looking itself (`language_models.py`), and what a table records of who made it (`specs.py`).
https://docs.dagster.io/guides/automate/declarative-automation

A layer is compared with what stands in its own metadata, so nothing is missed when a daemon was down or lost its
cursor, a failed refresh is tried again at the next tick, and nothing happens where the same model answers as before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import dagster as dg
from dagster import AutomationCondition as Condition
from dagster import DagsterInstance
from dagster._check import CheckError  # what a wrong cron raises; it has no public name
from dagster._core.definitions.run_request import InstigatorType  # whose state it is; nor has this

from neuron_assets.assets.specs import MADE_BY, ROLES, Role, asset_key
from neuron_assets.assets.spending import MADE_BY_ASKING, servers_of
from neuron_assets.errors import InvalidStudy
from neuron_assets.lineage import tables_of
from neuron_assets.study import Study

OBSERVED_BY = "observed_by"
"""Metadata of an observation: the schedule that made it, or that it was made by hand."""
_REFRESHED = "neuron_assets/refresh"
"""Tag of the runs that the sensor starts."""

HANGS_ON: Mapping[str, tuple[Role, ...]] = {
    "explanations": ("explainer",),
    "counterexamples": ("explainer",),
    "revised_explanations": ("explainer",),
    "meanings": ("explainer",),
    "candidates": ("explainer",),
    "simulations": ("explainer", "simulator"),
    "scores": ("explainer", "simulator"),
    "judgements": ("explainer", "simulator"),
    "ablations": ("explainer", "simulator"),
    "metrics": ("explainer", "simulator"),
}
"""The roles whose work each table of a layer is."""
MADE_WITH: Mapping[str, str] = {
    **dict.fromkeys(("counterexamples", "revised_explanations", "meanings"), "explanations"),
    **dict.fromkeys(("judgements", "ablations"), "metrics"),
}
"""Tables that a study may ask for later on, and what shows that their layer was made."""
FOLLOWS: Mapping[str, tuple[str, ...]] = {
    "layer_summary": ("scores",),
    "trends": ("scores",),
    "comparison": ("scores",),
    "spending": MADE_BY_ASKING,
}
"""The tables of all layers, and those of a layer after whose refresh they are made again."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Who filled a role when the schedule looked last."""

    identity: str
    storage_id: int
    """Of that observation, among all that Dagster has recorded."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a layer's own metadata tell of how it was made."""

    whose: Mapping[str, str]
    """By role; nothing of a role that it does not tell."""
    n_lost: int
    """To how many of its questions nobody answered."""
    storage_id: int

    def is_behind(self, role: Role, seen: Seen | None) -> bool:
        """Whether the schedule saw later that another would make it; what was made since is left to its next look."""
        if seen is None or role not in self.whose or self.storage_id > seen.storage_id:
            return False
        return self.whose[role] != seen.identity or self.n_lost > 0


@dataclass(frozen=True)
class MadeByAnother(Condition[dg.AssetKey]):
    """The layers that hang on the work of another model than the one that the schedule saw, or on lost questions."""

    table: str
    above: tuple[str, ...]
    """It and those that it hangs on, as far as the study has them: what it no longer has was made by whomever."""
    on_by_default: bool
    """Whether the schedule runs where nobody has switched it on or off."""

    @property
    def name(self) -> str:
        return f"{self.table} made by another {' or '.join(HANGS_ON[self.table])}"

    @property
    def description(self) -> str:
        return "Made by another model than the refresh schedule saw last; a layer that tells nobody is left alone."

    def evaluate(self, context: Any) -> dg.AutomationResult[dg.AssetKey]:
        view, key = context.asset_graph_view, context.key
        study, instance = key.path[0], view.instance
        if not _is_on(instance, study, by_default=self.on_by_default):
            return dg.AutomationResult(context, context.get_empty_subset())
        seen = {role: seen_by_schedule(instance, study, role) for role in HANGS_ON[self.table]}
        layers = {
            layer
            for table in self.above
            for layer, made in recorded(instance, dg.AssetKey([study, table])).items()
            if any(made.is_behind(role, seen[role]) for role in HANGS_ON[table])
        } & set(context.candidate_subset.expensively_compute_partition_keys())
        # A layer that was never made stays so; a table that the study asks for since then is made for those below it.
        beside = dg.AssetKey([study, MADE_WITH.get(self.table, self.table)])
        layers &= recorded(instance, key).keys() | recorded(instance, beside).keys()
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


def seen_by_schedule(instance: DagsterInstance, study: str, role: Role) -> Seen | None:
    """None where it never looked."""
    for record in instance.fetch_observations(dg.AssetKey([study, f"{role}_model"]), limit=50).records:
        observation = record.asset_observation
        if observation and observation.metadata.get(OBSERVED_BY) == dg.TextMetadataValue(schedule_name(study)):
            return Seen(str(observation.data_version), record.storage_id)
    return None


def outdated_layers(instance: DagsterInstance, study: Study, role: Role, now: str) -> list[str]:
    """The layers of which some rows hang on another model in that role than the one that is there now."""
    tables = [table for table, roles in HANGS_ON.items() if role in roles and table in tables_of(study)]
    found = {
        layer
        for table in tables
        for layer, made in recorded(instance, asset_key(study, table)).items()
        if made.whose.get(role, now) != now
    }
    return sorted(found)


def recorded(instance: DagsterInstance, key: dg.AssetKey) -> Mapping[str, Made]:
    """How each layer that is there was made last."""
    # Not public: the latest event of each partition. Asked for one by one they would be a query a layer.
    latest = instance.event_log_storage.get_latest_storage_id_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    if not latest:
        return {}
    wanted = dg.AssetRecordsFilter(asset_key=key, storage_ids=list(latest.values()))
    found = {}
    for record in instance.fetch_materializations(wanted, limit=len(latest)).records:
        if record.asset_materialization and record.asset_materialization.partition:
            metadata = record.asset_materialization.metadata
            told, lost = metadata.get(MADE_BY), metadata.get("lost")
            whose = told.value if isinstance(told, dg.JsonMetadataValue) and isinstance(told.value, dict) else {}
            n_lost = lost.value if isinstance(lost, dg.IntMetadataValue) and lost.value else 0
            by_role = {str(role): str(identity) for role, identity in whose.items()}
            found[record.asset_materialization.partition] = Made(by_role, n_lost, record.storage_id)
    return found


def conditions(study: Study) -> Mapping[str, Condition[dg.AssetKey]]:
    """Of each table that is refreshed by itself, when that is; raises InvalidStudy for a cron that is none."""
    try:
        tick = Condition.cron_tick_passed(study.refresh.cron, study.refresh.timezone)
    except CheckError as error:
        problem = f"`refresh.cron`: {study.refresh.cron!r} is no cron expression of five fields, such as 0 3 * * *"
        raise InvalidStudy(study.folder / "study.yaml", [problem]) from error
    once = ~Condition.newly_requested().since(tick)
    on_by_default = not _costs_money(study)
    layer_at_rest = _layer_at_rest(study)
    hanging = tuple(table for table in HANGS_ON if table in tables_of(study))
    made_by_another = {
        table: MadeByAnother(table, hanging[: number + 1], on_by_default) & layer_at_rest & once
        for number, table in enumerate(hanging)
    }
    at_rest = ~Condition.in_progress() & ~Condition.any_deps_in_progress()
    once_each = ~Condition.newly_requested().since(tick | Condition.any_deps_updated())
    behind = {table: BehindARefresh(inputs) & at_rest & once_each for table, inputs in FOLLOWS.items()}
    return made_by_another | behind


def _layer_at_rest(study: Study) -> Condition[dg.AssetKey]:
    """No run is at any table of the layer. All of them wait then, not only those below: a layer is refreshed whole.

    A look at who answers is no such run: where one is always under way, nothing would ever be refreshed.
    """
    tables = ("activations", *(table for table in HANGS_ON if table in tables_of(study)))
    return ~reduce(or_, (Condition.asset_matches(asset_key(study, table), Condition.in_progress()) for table in tables))


def schedule_name(study: str) -> str:
    return f"{study}__refresh"


def refresh(study: Study) -> dg.Definitions:
    """The schedule that looks who answers, and the sensor that has outdated layers made again."""
    off = _costs_money(study)
    text = (
        "Looks who explains and who simulates, once a tick. Layers that another model made are then explained, "
        f"simulated and scored again, by the sensor `{study.name}__automation`."
    )
    costs = (
        f" **Off until you switch it on, for it costs money.** Observe `{study.name}/explainer_model` by hand before: "
        "its metadata tell what a refresh would take. The study's budget holds."
    )
    schedule = dg.ScheduleDefinition(
        name=schedule_name(study.name),
        cron_schedule=study.refresh.cron,
        execution_timezone=study.refresh.timezone,
        target=dg.AssetSelection.assets(*(asset_key(study, f"{role}_model") for role in ROLES)),
        description=text + costs if off else text,
        default_status=dg.DefaultScheduleStatus.STOPPED if off else dg.DefaultScheduleStatus.RUNNING,
        tags={"neuron_assets/study": study.name},
    )
    sensor = dg.AutomationConditionSensorDefinition(
        name=f"{study.name}__automation",
        target=dg.AssetSelection.groups(study.name, include_sources=True),
        description=f"Makes layers again that `{schedule.name}` found outdated; nothing while that is off.",
        default_status=dg.DefaultSensorStatus.RUNNING,
        run_tags={"neuron_assets/study": study.name, _REFRESHED: "true"},
        use_user_code_server=True,  # the conditions are our own
        emit_backfills=False,
    )
    return dg.Definitions(schedules=[schedule], sensors=[sensor])


def _is_on(instance: DagsterInstance, study: str, *, by_default: bool) -> bool:
    """Whether the study's schedule runs."""
    states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    known = [state.is_running for state in states if state.name == schedule_name(study)]
    return any(known) if known else by_default


def _costs_money(study: Study) -> bool:
    """Whether a model is asked behind a server, but for those that the study says are free."""
    prices = [study.prices.get(section.model) for section in servers_of(study)]
    return any(price is None or price.tokens_in + price.tokens_out > 0 for price in prices)


def _was_refreshed(instance: DagsterInstance, key: dg.AssetKey, since: int) -> bool:
    """Whether a layer of that table was made after that event, and by the sensor."""
    newer = dg.AssetRecordsFilter(asset_key=key, after_storage_id=since)
    run_ids = {record.run_id for record in instance.fetch_materializations(newer, limit=200).records}
    runs = instance.get_runs(dg.RunsFilter(run_ids=list(run_ids))) if run_ids else ()
    return any(_REFRESHED in run.tags for run in runs)
