"""The final report of a study: its pool `test` is opened once, for what stands then, and that is written down.

Here: when it may be opened, the table `openings`, and the runs. Not here: what the runs do (`assets/final_scores.py`),
how it is printed (`final_commands.py`).

The opening is written down before anything is simulated: whoever breaks it off has opened the pool all the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
from dagster import DagsterInstance

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.final_scores import final_assets
from neuron_assets.assets.specs import LOST
from neuron_assets.assets.study_component import build_study
from neuron_assets.errors import MissingTable, NothingKeptOfTest, NotReadyForFinal, PoolWasOpened, TableError
from neuron_assets.lineage import FINAL, lineages
from neuron_assets.running import Run, Wanted, make_run, runs_needed
from neuron_assets.tables.openings import Stand, is_last, looks_at, opening_rows, stand_of
from neuron_assets.tables.parquet import TableFacts, read_facts, read_table, write_table
from neuron_assets.tables.schemas import empty
from neuron_assets.tables.store import TableStore
from neuron_assets.tables.validation import checked


@dataclass(frozen=True, slots=True, eq=False)
class FinalReport:
    """What came of a study on `test`."""

    scores: pl.DataFrame
    """The table `final_scores` of all its layers."""
    looks: pl.DataFrame
    """Of `openings`, those at this pool; the last is this report's."""


def report_finally(
    wanted: Wanted,
    instance: DagsterInstance,
    resources: Mapping[str, Any],
    on_run: Callable[[Run], None],
    *,
    again: bool = False,
) -> FinalReport:
    """Opens `test` for what stands for the neurons of `wanted`, simulates and scores it there.

    Where it was opened for just that, nothing new is opened, and what is there is not made again. Raises
    NotReadyForFinal where something of the study is missing or outdated, NothingKeptOfTest, PoolWasOpened where it was
    opened for other texts and not `again` was said, and what a run raises.
    """
    study, store = wanted.study, resources["table_store"]
    if (missing := next(runs_needed(wanted, store, resources["desk"], instance), None)) is not None:
        raise NotReadyForFinal(study.name, missing.title)
    if study.splits.test.random == 0 or study.splits.test.top < study.scoring.top:
        raise NothingKeptOfTest(study.name, study.scoring.top)
    looks = _opened(wanted, store, resources["desk"], again=again)
    # A person's own call waits for no other run.
    assets = [*(build_study(study, pools={}).assets or ()), *final_assets(study)]
    for key in map(wanted.key, wanted.layers):
        if not all(_stands(wanted, store, table, key) for table in FINAL):
            run = Run(f"final simulations and scores of {key}", FINAL, key, key)
            on_run(run)
            make_run(study, run, instance, assets, resources)
    paths = [store.path(study.name, FINAL[-1], wanted.key(layer)) for layer in wanted.layers]
    return FinalReport(pl.concat(read_table(path, FINAL[-1]) for path in paths), looks)


def _opened(wanted: Wanted, store: TableStore, desk: RequestDesk, *, again: bool) -> pl.DataFrame:
    """All looks at this pool, with this one; it is written down where it is a new one."""
    study = wanted.study
    path = store.path(study.name, "openings")
    excerpts = read_facts(store.path(study.name, "excerpts")).content
    try:
        there = read_table(path, "openings")
    except MissingTable:
        there = empty("openings")
    looks, stands = looks_at(there, excerpts), {layer: _stand(wanted, store, layer) for layer in wanted.layers}
    if looks.height and is_last(looks, stands):
        return looks
    if looks.height and not again:
        raise PoolWasOpened(study.name, looks.row(0, named=True)["opened_at"])
    models = (desk.explainer(study), desk.simulator(study))
    new = opening_rows(looks, stands, datetime.now(UTC), excerpts, *models)
    facts = TableFacts("openings", lineages(study)[FINAL[-1]], notes={"study": study.name})
    write_table(path, checked("openings", pl.concat([there, new])), facts)
    return pl.concat([looks, new])


def _stand(wanted: Wanted, store: TableStore, layer: int) -> Stand:
    tables = ("candidates", "scores")
    return stand_of(*(read_table(store.path(wanted.study.name, each, wanted.key(layer)), each) for each in tables))


def _stands(wanted: Wanted, store: TableStore, table: str, key: str) -> bool:
    """Whether the table is there, made from what its inputs hold now, and no question of it is without an answer."""
    study = wanted.study
    try:
        return LOST not in store.current_facts(store.path(study.name, table, key), lineages(study)[table]).notes
    except TableError:
        return False
