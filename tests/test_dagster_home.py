"""What dagster.yaml says is what Dagster does: each key is one that the installed version knows and follows."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType  # there is no public name for whose ticks they are
from dagster._core.errors import DagsterInvalidConfigError  # nor for this error

HOME = Path(__file__).parents[1] / "dagster_home"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    shutil.copy(HOME / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def test_two_runs_at_once_and_one_step_of_a_pool(instance: dg.DagsterInstance) -> None:
    concurrency = instance.get_concurrency_config()

    assert concurrency.run_queue_config is not None
    assert concurrency.run_queue_config.max_concurrent_runs == 2
    assert concurrency.run_queue_config.max_user_code_failure_retries == 20  # it waits for the code to come back
    assert concurrency.pool_config.pool_granularity is not None
    assert concurrency.pool_config.pool_granularity.value == "op"
    assert concurrency.pool_config.default_pool_limit == 1


def test_the_limit_of_one_pool_can_be_raised_and_a_run_leaves_it_so(instance: dg.DagsterInstance) -> None:
    @dg.asset(pool="subject")
    def first() -> None: ...

    @dg.asset(pool="server")
    def second() -> None: ...

    storage = instance.event_log_storage
    storage.set_concurrency_slots("server", 4)  # what `dagster instance concurrency set` does
    assert dg.materialize([first, second], instance=instance).success

    assert [storage.get_concurrency_info(pool).slot_count for pool in ("subject", "server")] == [1, 4]


def test_what_a_killed_run_held_is_freed_within_half_a_minute(instance: dg.DagsterInstance) -> None:
    assert instance.run_monitoring_enabled
    wait = instance.run_monitoring_poll_interval_seconds
    assert wait + instance.run_monitoring_settings["free_slots_after_run_end_seconds"] < 30


def test_a_killed_run_is_started_again_and_a_failed_step_is_not(instance: dg.DagsterInstance) -> None:
    assert instance.run_retries_enabled
    assert instance.run_retries_max_retries == 2
    assert instance.run_retries_retry_on_asset_or_op_failure is False


@pytest.mark.parametrize("whose", list(InstigatorType))
def test_ticks_of_every_kind_are_forgotten_and_failures_last_longer(
    instance: dg.DagsterInstance, whose: InstigatorType
) -> None:
    kept = {status.value: days for status, days in instance.get_tick_retention_settings(whose).items()}

    assert set(kept) == {"STARTED", "SKIPPED", "SUCCESS", "FAILURE"}
    assert min(kept.values()) > 0  # -1 would be for ever
    assert max(kept["STARTED"], kept["SKIPPED"]) <= 7 < kept["FAILURE"]
    assert (kept["SUCCESS"] >= 90) == (whose is InstigatorType.SCHEDULE)


def test_nobody_is_told_anything_and_nobody_is_greeted(instance: dg.DagsterInstance) -> None:
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled


@pytest.mark.parametrize("line", ["  poll_interval_seconds", "  max_retries", "  auto_materialize", "    granularity"])
def test_a_key_that_dagster_does_not_know_would_be_refused(tmp_path: Path, line: str) -> None:
    """So the other tests cannot pass because of a default."""
    text = (HOME / "dagster.yaml").read_text(encoding="utf-8")
    assert f"\n{line}:" in text
    (tmp_path / "dagster.yaml").write_text(text.replace(f"\n{line}:", f"\n{line}x:"), encoding="utf-8")

    with pytest.raises(DagsterInvalidConfigError):
        dg.DagsterInstance.from_config(str(tmp_path))
