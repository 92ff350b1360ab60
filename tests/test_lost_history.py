"""What Dagster's storage says is worded by what it is: files in the home, or a database server."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from neuron_assets.dagster_home import named_home
from neuron_assets.errors import HistoryUnusable, HomeUnusable, RunFailed, StoreUnusable


class ServerGoneError(Exception):
    """As the driver of a database server raises it."""


def lost(told: str) -> OperationalError:
    return OperationalError("SELECT 1", {}, ServerGoneError(told))


def test_a_file_that_cannot_be_written_is_the_homes_fault(tmp_path: Path) -> None:
    full = OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))
    with pytest.raises(HomeUnusable, match=r"disk is full\. Check that the folder is writable"), named_home(tmp_path):
        raise full


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (lost("server closed the connection\nunexpectedly"), "server closed the connection"),
        (lost(""), "ServerGoneError"),
        (NoConnectionFree("QueuePool limit reached"), "QueuePool limit reached"),
    ],
)
def test_a_database_server_that_is_lost_is_no_unwritable_home(tmp_path: Path, error: Exception, reason: str) -> None:
    with pytest.raises(HistoryUnusable) as raised, named_home(tmp_path):
        raise error

    assert f"named under `storage` in {tmp_path / 'dagster.yaml'}: {reason}. Check that the server" in str(raised.value)


def test_a_run_that_failed_for_a_lost_database_says_so_and_another_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(HistoryUnusable, match="gone"), named_home(tmp_path):
        raise RunFailed("scores", lost("gone")) from lost("gone")
    with pytest.raises(HistoryUnusable, match="gone"), named_home(tmp_path):
        raise RuntimeError("too many retries for DB connection") from lost("gone")
    with pytest.raises(StoreUnusable), named_home(tmp_path):  # of the answers, and it names itself
        raise StoreUnusable("requests", "gone") from lost("gone")
    with pytest.raises(RunFailed), named_home(tmp_path):
        raise RunFailed("scores", ValueError("else"))
