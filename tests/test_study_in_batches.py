"""A whole study that asks by batches has the tables of one that asks directly, at half the money."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from neuron_assets.assets.study_component import table_resources
from neuron_assets.language_models.database import Database
from neuron_assets.language_models.ledger import Ledger
from neuron_assets.project import Project
from neuron_assets.running import Wanted, materialize
from neuron_assets.study import Study
from neuron_assets.tables.store import TableStore
from tests.language_models.batch_server import BatchServer, Course, batch_server
from tests.language_models.misbehaving_server import MODEL, Body
from tests.polite_server import answer, asking
from tests.scenario import make_project

pytestmark = pytest.mark.slow

LAYER = 1
TABLES = ("explanations", "simulations", "scores")


def polite(body: Body) -> tuple[int, Body]:
    return 200, json.loads(bytes(answer(body).body))


def made(root: Path, server: BatchServer, mode: str) -> tuple[Project, Study]:
    """A study of one layer, materialized."""
    prices = {MODEL: {"tokens_in": 1.0, "tokens_out": 2.0}}
    project, study = make_project(
        root, **asking(server.url, asking={"mode": mode}, prices=prices, layers=[LAYER], neurons={"per_layer": 2})
    )
    make(project, study)
    return project, study


def make(project: Project, study: Study) -> int:
    """How many runs that took."""
    resources: Any = table_resources(project.tables, project.requests)
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        return materialize(Wanted(study, (LAYER,)), instance, resources, lambda _: None)


def tables(project: Project, study: Study) -> list[pl.DataFrame]:
    store: TableStore = table_resources(project.tables, project.requests)["table_store"]  # type: ignore[assignment]
    key = Wanted(study, (LAYER,)).key(LAYER)
    return [pl.read_parquet(str(store.path(study.name, table, key))) for table in TABLES]


def money(project: Project, study: Study) -> float:
    database = Database.open(project.requests)
    spent = Ledger(database).spent(study.name).money
    database.close()
    assert spent is not None
    return spent


def test_a_study_by_batches_has_the_tables_of_one_asked_directly(tmp_path: Path) -> None:
    with batch_server(answer=polite, course=lambda _: Course(n_waits=0)) as server:
        directly = made(tmp_path / "direct", server, "direct")
        assert not server.batches
        in_batches = made(tmp_path / "batch", server, "batch")
        sizes = [len(server.lines(number)) for number in range(len(server.batches))]
        server.direct.clear()
        n_runs = make(*in_batches)

    for mine, others in zip(tables(*in_batches), tables(*directly), strict=True):
        assert mine.height > 0
        assert_frame_equal(mine, others)
    assert len(sizes) == 2  # of explanations, of simulations
    assert 0.5 < money(*in_batches) / money(*directly) < 0.7  # each step asks its first question directly
    assert n_runs == 0
    assert all(body["messages"][-1]["content"] == "Hello" for body in server.direct)
