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
from neuron_assets.tables.openings import Look, Stand, is_last, opening_rows, stand_of
from neuron_assets.tables.parquet import TableFacts, read_facts, read_table, write_table
from neuron_assets.tables.schemas import empty
from neuron_assets.tables.store import TableStore
from neuron_assets.tables.validation import checked

_HANGS_ON_MORE = frozenset({"comparison", "spending"})
"""What is outdated as soon as others go on, or this report asks a server."""


@dataclass(frozen=True, slots=True, eq=False)
class FinalReport:
    """What came of a study on `test`."""

    scores: pl.DataFrame
    """The table `final_scores` of all its layers."""
    looks: pl.DataFrame
    """The table `openings`; the last look is this report's."""


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
    opened for anything else and not `again` was said, and what a run raises.
    """
    study, store = wanted.study, resources["table_store"]
    runs = runs_needed(wanted, store, resources["desk"], instance)
    if (missing := next((run for run in runs if not _HANGS_ON_MORE.issuperset(run.tables)), None)) is not None:
        raise NotReadyForFinal(study.name, missing.title)
    if study.splits.test.random < study.scoring.random or study.splits.test.top < study.scoring.top:
        raise NothingKeptOfTest(study.name, study.scoring.top, study.scoring.random)
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
    """All looks, with this one; it is written down where it is a new one."""
    study = wanted.study
    path, lineage = store.path(study.name, "openings"), lineages(study)[FINAL[-1]]
    try:
        there = read_table(path, "openings")
    except MissingTable:
        there = empty("openings")
    look = Look(
        excerpts=read_facts(store.path(study.name, "excerpts")).content,
        lineage=lineage,
        explainer=desk.explainer(study),
        simulator=desk.simulator(study),
        stands={layer: _stand(wanted, store, layer) for layer in wanted.layers},
    )
    if is_last(there, look):
        return there
    if there.height and not again:
        raise PoolWasOpened(study.name, there.row(0, named=True)["opened_at"])
    looks = pl.concat([there, opening_rows(there, look, datetime.now(UTC))])
    write_table(path, checked("openings", looks), TableFacts("openings", lineage, notes={"study": study.name}))
    return looks


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
