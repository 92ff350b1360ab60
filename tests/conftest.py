"""What all tests share: arrays' axes are checked for real, CI skips nothing, and a real PostgreSQL.

Examples are drawn from a fixed seed, and none has a time limit: a commit passes or fails, whenever it is tested.
"""

import importlib.util
import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

from tests.postgres_server import Postgres, programs, running_postgres

install_import_hook("neuron_assets.method", "beartype.beartype")
settings.register_profile("same_each_time", derandomize=True, deadline=None)
settings.load_profile("same_each_time")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    folder = programs()
    missing = [name for name in ("dagster_postgres", "psycopg") if importlib.util.find_spec(name) is None]
    if folder is None or missing:
        pytest.skip(f"needs PostgreSQL (initdb is in {folder}) and the extra postgres (missing: {missing})")
    with running_postgres(folder) as server:
        yield server


@pytest.fixture
def postgres(postgres_server: Postgres) -> Postgres:
    """An empty database of a real PostgreSQL; tests that take it are slow."""
    return postgres_server.with_new_database()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where NEURON_ASSETS_NO_SKIPS is set, a skipped test has failed: what it needs should have been installed."""
    report = yield
    if report.skipped and os.environ.get("NEURON_ASSETS_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"
    return report
