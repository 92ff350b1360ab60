"""Materializes a study from the command line or a notebook: what is missing or outdated, and nothing else.

Here: which runs to make, and in which order: one forward pass for all layers, then each layer by itself, then the
summary. Not here: what is there already (`standing.py`), what the runs do (`assets/`). Runs are recorded in the Dagster
instance, so the UI shows them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import dagster as dg
from dagster import AssetSelection, DagsterInstance
from dagster._core.errors import DagsterAssetCheckFailedError  # it has no public name

from neuron_assets.abandoned_runs import end_abandoned_runs, process_tags
from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.history import blocked_by
from neuron_assets.assets.observing import write_down
from neuron_assets.assets.partitions import layer_key, layer_partitions
from neuron_assets.assets.run_tags import run_tags
from neuron_assets.assets.shared_pass import FORWARD
from neuron_assets.assets.specs import (
    LOST,
    UNPARTITIONED,
    asset_key,
)
from neuron_assets.assets.spending import MADE_BY_ASKING, asks_a_server
from neuron_assets.assets.study_component import build_study
from neuron_assets.errors import CheckFailed, NeuronAssetsError, RunFailed
from neuron_assets.lineage import ALONE, INPUTS, REVISED, tables_of
from neuron_assets.standing import State
from neuron_assets.study import Study
from neuron_assets.tables.parquet import read_facts
from neuron_assets.tables.store import TableStore

_TITLES = {"layer_summary": "summary of all layers", "spending": "what asking has taken so far"}
_EXPLAINED = ("explanations", "meanings")
_BY_LAYER = tuple(table for table in INPUTS if table not in {*FORWARD, *UNPARTITIONED})
_RANGE_START, _RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to materialize of a study."""

    study: Study
    layers: tuple[int, ...]
    neurons: int | Literal["all"] | None = None
    """None: as the study says."""

    def key(self, layer_index: int) -> str:
        return layer_key(layer_index, self.study.subject.n_layers)


@dataclass(frozen=True, slots=True)
class Run:
    """One run that is to be made."""

    title: str
    tables: tuple[str, ...]
    first_layer: str | None = None
    last_layer: str | None = None
    config: Any = None

    @property
    def tags(self) -> dict[str, str]:
        if self.first_layer is None or self.first_layer == self.last_layer:
            return {}
        return {_RANGE_START: self.first_layer, _RANGE_END: str(self.last_layer)}


def materialize(
    wanted: Wanted, instance: DagsterInstance, resources: Mapping[str, Any], on_run: Callable[[Run], None]
) -> int:
    """Makes the runs that are needed, telling `on_run` of each before it starts; gives their number.

    `resources` are those of `table_resources`. Raises the error of this package that a run failed with, or RunFailed;
    where that was a run of one layer, the others are made before. What was made stays.
    """
    store: TableStore = resources["table_store"]
    desk: RequestDesk = resources["desk"]
    desk.look_again()  # a notebook lives long
    end_abandoned_runs(instance)
    n_runs, failed = 0, list[NeuronAssetsError]()
    # A person's own call waits for no other run; nor does one that was killed make any wait.
    assets = build_study(wanted.study, pools={}).assets or ()
    for run in runs_needed(wanted, store, desk, instance):
        on_run(run)
        n_runs += 1
        _observe(wanted.study, desk, instance)
        try:
            make_run(wanted.study, run, instance, assets, resources)
        except NeuronAssetsError as error:
            if run.tables[-1] in by_layer(wanted.study):
                failed.append(error)
            if error.hits_all_layers or not failed:
                raise
    if failed:
        if len(wanted.layers) > 1:
            failed[0].add_note(f"{len(failed)} of {len(wanted.layers)} layers failed; the others were gone on with.")
        raise failed[0]
    return n_runs


def by_layer(study: Study) -> tuple[str, ...]:
    """The tables that are made layer by layer, each after those before it."""
    return tuple(table for table in _BY_LAYER if table in tables_of(study))


def count_lost(wanted: Wanted, store: TableStore) -> int:
    """To how many questions of these layers, as they are there, nobody answered: the next call asks them again."""
    asked = [table for table in MADE_BY_ASKING if table in tables_of(wanted.study)]
    paths = [store.path(wanted.study.name, table, wanted.key(layer)) for table in asked for layer in wanted.layers]
    return sum(int(read_facts(path).notes.get(LOST, 0)) for path in paths if path.exists())


def make_run(study: Study, run: Run, instance: DagsterInstance, assets: Any, resources: Mapping[str, object]) -> None:
    selection = AssetSelection.assets(*(asset_key(study, table) for table in run.tables))
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    try:
        dg.materialize(
            list(assets),
            selection=selection,
            instance=instance,
            resources=resources,
            partition_key=None if run.tags else run.first_layer,
            tags={**run_tags(study), "neuron_assets/step": run.tables[-1], **process_tags(), **run.tags},
            run_config=quiet | (run.config or {}),
        )
    except dg.DagsterExecutionInterruptedError as error:
        raise KeyboardInterrupt from error
    except Exception as error:  # whatever the code of a step raises comes through Dagster
        raise _our_error(error) or _check_failed(study, run, instance, error) or RunFailed(run.title, error) from error


def _observe(study: Study, desk: RequestDesk, instance: DagsterInstance) -> None:
    """Records who explains and who simulates, where that is not what was observed last."""
    for name, identity in (("explainer_model", desk.explainer(study)), ("simulator_model", desk.simulator(study))):
        write_down(instance, asset_key(study, name), identity)


def _our_error(error: BaseException | None) -> NeuronAssetsError | None:
    """The error of this package that Dagster wrapped, if there is one."""
    seen: set[int] = set()  # chains of contexts may be circles
    while error is not None and id(error) not in seen:
        if isinstance(error, NeuronAssetsError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _check_failed(study: Study, run: Run, instance: DagsterInstance, error: Exception) -> CheckFailed | None:
    """The check that ended a run, if it was one: the first of its first table."""
    if not isinstance(error, DagsterAssetCheckFailedError):
        return None
    keys = layer_partitions(study).get_partition_keys()
    layers = [key for key in keys if run.first_layer is not None and run.first_layer <= key <= str(run.last_layer)]
    for table in run.tables:
        for layer in [None] if table in UNPARTITIONED else layers:
            if complaint := blocked_by(instance, asset_key(study, table), layer):
                return CheckFailed(study.name, table, layer, complaint)
    return None


def runs_needed(wanted: Wanted, store: TableStore, desk: RequestDesk, instance: DagsterInstance) -> Iterator[Run]:
    """The runs that are needed; each is decided on after the one before it was made."""
    study = wanted.study
    state = State(study, wanted.neurons, store, desk, instance)
    forward = [layer for layer in wanted.layers if not all(state.stands(table, layer) for table in FORWARD)]
    if not state.stands("excerpts", None) and not forward:
        forward = list(wanted.layers)
    if forward:
        tables: tuple[str, ...] = FORWARD if state.stands("excerpts", None) else ("excerpts", *FORWARD)
        first, last = forward[0], forward[-1]  # a run covers a range; layers between are cheaper than a second pass
        title = f"{', '.join(tables)} of L{first} to L{last}: one forward pass"
        yield Run(title, tables, wanted.key(first), wanted.key(last))
    for layer in wanted.layers:
        stale = [table for table in by_layer(study) if not state.stands(table, layer)]
        if stale:
            outdated = REVISED[0] if stale[0] in REVISED else stale[0]  # one step makes both
            later = by_layer(study)[by_layer(study).index(outdated) :]
            tables = tuple(table for table in later if table in stale or table not in ALONE)
            key = wanted.key(layer)
            config = _explanations_config(study, wanted.neurons) if "explanations" in tables else None
            what = "explanations to scores" if set(tables) - ALONE else ", ".join(tables)
            yield Run(f"{what} of L{layer}", tables, key, key, config)
    ending = [table for table in ("layer_summary", "trends") if not state.stands_for_all_layers(table)]
    more = {"comparison": bool(study.compare_with), "spending": asks_a_server(study)}
    ending += [table for table, is_wanted in more.items() if is_wanted and not state.stands(table, None)]
    if ending:
        yield Run(", ".join(_TITLES.get(table, table) for table in ending), tuple(ending))


def _explanations_config(study: Study, neurons: int | Literal["all"] | None) -> Any:
    config = {"all": True} if neurons == "all" else {} if neurons is None else {"per_layer": neurons}
    return {"ops": {f"{study.name}__explanations": {"config": config}}}
