"""A project whose history, answers and ledger are kept by a real PostgreSQL, as docs/operating.md says it."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from neuron_assets.cli import main
from neuron_assets.language_models.request_store import RequestStore
from tests.language_models.misbehaving_server import MODEL, MisbehavingServer
from tests.polite_server import asking, is_a_probe, polite_server
from tests.postgres_server import USER, Postgres
from tests.scenario import make_project

pytestmark = pytest.mark.slow

STORAGE = """
storage:
  postgres:
    postgres_db:
      username: { env: DAGSTER_PG_USERNAME }
      password: { env: DAGSTER_PG_PASSWORD }
      hostname: { env: DAGSTER_PG_HOST }
      port: { env: DAGSTER_PG_PORT }
      db_name: { env: DAGSTER_PG_DB }
      scheme: postgresql+psycopg2 # said outright: another version of SQLAlchemy understands the bare name otherwise
"""


@dataclass(frozen=True)
class Project:
    root: Path
    server: MisbehavingServer
    postgres: Postgres

    def run(self, *arguments: str) -> Result:
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        return result

    @property
    def n_asked(self) -> int:
        return sum(not is_a_probe(body) for body in self.server.bodies)


@pytest.fixture
def project(tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A study that asks a server, in a project that keeps nothing but tables in files."""
    variables = {
        "USERNAME": USER,
        "PASSWORD": postgres.password,
        "HOST": "127.0.0.1",
        "PORT": str(postgres.port),
        "DB": postgres.database,
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"DAGSTER_PG_{name}", value)
    monkeypatch.setenv("NEURON_ASSETS_REQUESTS", postgres.url)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster_home"))
    for name in ("NEURON_ASSETS_DATA", "NEURON_ASSETS_STUDIES"):
        monkeypatch.delenv(name, raising=False)
    with polite_server() as server:
        prices = {MODEL: {"tokens_in": 2.0, "tokens_out": 8.0}}
        make_project(tmp_path, **asking(server.url, layers=[1], prices=prices, budget={"money": 5}))
        settings = tmp_path / "dagster_home" / "dagster.yaml"
        shutil.copy(Path(__file__).parents[1] / "dagster_home" / "dagster.yaml", settings)
        settings.write_text(settings.read_text(encoding="utf-8") + STORAGE, encoding="utf-8")
        yield Project(tmp_path, server, postgres)


def test_a_study_is_materialized_found_again_and_tidied_up_with_all_history_on_postgres(project: Project) -> None:
    project.run("materialize", "tiny")
    n_asked = project.n_asked
    with dg.DagsterInstance.from_config(str(project.root / "dagster_home")) as instance:
        storage = type(instance.event_log_storage).__name__
        runs = [run.status for run in instance.get_runs()]
        layers = instance.get_materialized_partitions(dg.AssetKey(["tiny", "scores"]))
    again = project.run("materialize", "tiny")

    assert storage == "PostgresEventLogStorage"
    assert runs == [dg.DagsterRunStatus.SUCCESS] * 3
    assert layers == {"L01"}
    assert "everything asked for is there" in again.output
    assert project.n_asked == n_asked > 3
    with RequestStore.open(project.postgres.url) as store:
        assert len(store) == n_asked
    assert f"In all: {len(project.server.bodies)} requests" in project.run("ledger", "tiny").output
    assert project.run("requests", "status").output.startswith(f"{n_asked} answers in postgresql")

    project.run("materialize", "tiny", "--neurons", "4")
    told = project.run("gc", "--days", "0", "--yes").output
    with dg.DagsterInstance.from_config(str(project.root / "dagster_home")) as instance:
        left = sorted(run.tags["neuron_assets/step"] for run in instance.get_runs())

    assert (
        "that no latest result is from: 1\n" in told
    )  # of the first summary; the first run of a layer made token_index
    assert left == ["neuron_statistics", "scores", "spending", "token_index"]
    assert "everything asked for is there" in project.run("materialize", "tiny", "--neurons", "4").output
    databases = [path.name for path in project.root.rglob("*") if path.suffix in {".db", ".sqlite"}]
    assert databases == []
