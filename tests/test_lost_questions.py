"""Questions that nobody answered are asked again by the next call, and nothing else is.

The server fails while it is told to, and answers everything afterwards.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner
from starlette.responses import Response

from neuron_assets.assets.specs import asset_key
from neuron_assets.assets.study_component import build_study, table_resources
from neuron_assets.cli import main
from neuron_assets.project import Project
from neuron_assets.study import Study
from tests.language_models.misbehaving_server import Body, refusal, running
from tests.polite_server import answer, asking, is_a_probe, is_about_simulating
from tests.scenario import make_project

pytestmark = pytest.mark.slow

LAYER = "L01"


@dataclass
class Failing:
    """A server that fails at every third question of some kind, as long as it is ill."""

    only_simulating: bool = False
    ill: bool = True
    asked: Counter[str] = field(default_factory=Counter)
    lost: set[str] = field(default_factory=set)

    def __call__(self, body: Body, _number: int) -> Response:
        if is_a_probe(body):
            return answer(body)
        self.asked[str(body)] += 1
        concerned = is_about_simulating(body) or not self.only_simulating
        if self.ill and concerned and self.asked.total() % 3 == 1:
            self.lost.add(str(body))
            return refusal(500, "out of order")
        return answer(body)

    def recover(self) -> None:
        """From now on all is counted anew, and answered."""
        self.ill = False
        self.asked.clear()


def world(root: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> tuple[Project, Study]:
    monkeypatch.setenv("DAGSTER_HOME", str(root / "dagster_home"))
    for name in ("NEURON_ASSETS_DATA", "NEURON_ASSETS_STUDIES", "NEURON_ASSETS_REQUESTS"):
        monkeypatch.delenv(name, raising=False)
    return make_project(root, **asking(url, layers=[1], asking={"most_tries": 1}))


def call() -> str:
    result = CliRunner().invoke(main, ("materialize", "tiny"))
    assert result.exit_code == 0, result.output
    return result.output


def failures(project: Project) -> dict[str, int]:
    folder = Path(project.tables) / "tiny"
    paths = {table: folder / table / f"{LAYER}.parquet" for table in ("explanations", "simulations")}
    counts = {table: pl.read_parquet(path)["failure"].count() for table, path in paths.items()}
    return counts | {"layer_summary": int(pl.read_parquet(folder / "layer_summary.parquet")["n_undefined"].sum())}


def test_the_next_call_asks_what_nobody_answered_and_the_one_after_it_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Failing()
    with running(behaviour=server) as address:
        project, _ = world(tmp_path, monkeypatch, address.url)
        first_told, first_asked, before = call(), set(server.asked), failures(project)
        server.recover()
        second_told, second_asked, after = call(), server.asked.copy(), failures(project)
        server.asked.clear()
        third_told = call()

    assert first_told.rstrip().endswith("questions got no answer: call again to ask anew.")
    assert min(before.values()) > 0
    assert first_asked & set(second_asked) == server.lost
    assert {1} == set(second_asked.values())
    assert set(after.values()) == {0}
    assert "got no answer" not in second_told
    assert server.asked.total() == 0
    assert "everything asked for is there" in third_told


def test_materialized_again_in_dagster_an_asset_asks_what_nobody_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Failing(only_simulating=True)
    with running(behaviour=server) as address:
        project, study = world(tmp_path, monkeypatch, address.url)
        call()
        before, told_before = failures(project), lost_as_shown(study)
        server.recover()
        rematerialize(project, study, "simulations")
        again, told_again = set(server.asked), lost_as_shown(study)
        server.asked.clear()
        call()  # the scores
        after = failures(project)

    assert told_before == before["simulations"] >= len(server.lost) > 0
    assert again == server.lost
    assert told_again == 0
    assert server.asked.total() == 0
    assert set(after.values()) == {0}


def rematerialize(project: Project, study: Study, table: str) -> None:
    resources: Any = table_resources(project.tables, project.requests)
    selection = dg.AssetSelection.assets(asset_key(study, table))
    with dg.DagsterInstance.get() as instance:
        dg.materialize(
            list(build_study(study).assets or ()),  # type: ignore[arg-type]  # Dagster's own word for it is wider
            selection=selection,
            instance=instance,
            resources=resources,
            partition_key=LAYER,
        )


def lost_as_shown(study: Study) -> object:
    with dg.DagsterInstance.get() as instance:
        wanted = dg.AssetRecordsFilter(asset_key(study, "simulations"), asset_partitions=[LAYER])
        [record] = instance.fetch_materializations(wanted, limit=1).records
    assert record.asset_materialization is not None
    return record.asset_materialization.metadata["lost"].value
