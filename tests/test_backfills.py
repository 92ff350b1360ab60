"""Backfills as people launch them in the UI: all layers of a whole graph, scattered layers, only what has failed."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
import pytest

from tests.dagster_backfills import FAST, Dev, dev
from tests.language_models.misbehaving_server import MisbehavingServer
from tests.polite_server import asking, is_a_probe, polite_server
from tests.scenario import write_study

pytestmark = pytest.mark.slow

SCATTERED, BROKEN = ("L00", "L02", "L05"), "L02"
"""The layers of the study whose server is asked, and the one whose simulations cannot be written at first."""
WHOLE = ("L01", "L02", "L04")
"""All layers of the study that is made as a whole, by rules."""
FORWARD = ("activations", "neuron_statistics")
BY_LAYER = ("explanations", "candidates", "simulations", "scores")


@dataclass(frozen=True)
class Backfilled:
    """The backfills, by id, once all have ended."""

    running: Dev
    server: MisbehavingServer
    whole: str
    forward: str
    by_layer: str
    """In which one layer failed."""
    failed_only: str
    """The same again, after the cause was mended."""
    asked_before: Counter[str]
    """Until the cause was mended."""
    there_before: set[str]
    """The layers that were scored by then."""


def asked(server: MisbehavingServer) -> Counter[str]:
    return Counter(str(body) for body in server.bodies if not is_a_probe(body))


@pytest.fixture(scope="module")
def backfilled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backfilled]:
    root = tmp_path_factory.mktemp("project")
    write_study(root, "whole", layers=[int(layer.removeprefix("L")) for layer in WHOLE])
    in_the_way = root / "data" / "tiny" / "simulations" / f"{BROKEN}.parquet"
    in_the_way.mkdir(parents=True)
    with polite_server() as server:
        write_study(root, "tiny", **asking(server.url))
        with dev(root) as running:
            running.make_excerpts("tiny")
            whole = running.backfill("whole", ["excerpts", *FORWARD, *BY_LAYER, "layer_summary"], None)
            forward = running.backfill("tiny", FORWARD, SCATTERED)
            running.wait_for("tiny", FORWARD, SCATTERED)
            by_layer = running.backfill("tiny", BY_LAYER, SCATTERED)
            running.ended(by_layer)
            asked_before, there_before = asked(server), running.materialized("tiny", "scores")
            in_the_way.rmdir()
            failed_only = running.failed_only(by_layer)
            for backfill in (failed_only, whole, forward):
                running.ended(backfill)
            yield Backfilled(running, server, whole, forward, by_layer, failed_only, asked_before, there_before)


def test_a_backfill_of_scattered_layers_takes_one_forward_pass(backfilled: Backfilled) -> None:
    told = [backfilled.running.metadata("tiny", "activations", layer) for layer in SCATTERED]

    assert backfilled.running.status(backfilled.forward) == "COMPLETED_SUCCESS"
    assert len(backfilled.running.runs(backfilled.forward)) == len(SCATTERED)
    assert sum(each["forward_passes"] for each in told) == 1
    assert {(each["layers_of_the_pass"], each["run_of_the_pass"]) for each in told} == {
        (len(SCATTERED), told[0]["run_of_the_pass"])
    }
    assert list((backfilled.running.home.parent / "data" / "tiny" / ".set_aside").iterdir()) == []


def test_a_whole_graph_is_made_by_one_backfill(backfilled: Backfilled) -> None:
    runs = [
        ({key.path[-1] for key in run.asset_selection or ()}, run.tags)
        for run in backfilled.running.runs(backfilled.whole)
    ]
    n_harvests = sum("activations" in tables for tables, _ in runs)
    layers_scored = sorted(tags["dagster/partition"] for tables, tags in runs if "scores" in tables)

    assert backfilled.running.status(backfilled.whole) == "COMPLETED_SUCCESS"
    assert n_harvests == 1
    assert layers_scored == [*WHOLE]
    assert all(set(WHOLE) == backfilled.running.materialized("whole", table) for table in (*FORWARD, *BY_LAYER))
    assert backfilled.running.metadata("whole", "activations", "L02")["layers_of_the_pass"] == len(WHOLE)
    assert backfilled.running.metadata("whole", "layer_summary", None)["layers"] == len(WHOLE)


def test_each_layer_has_a_run_of_its_own_and_one_that_fails_stops_no_other(backfilled: Backfilled) -> None:
    runs = {run.tags["dagster/partition"]: run for run in backfilled.running.runs(backfilled.by_layer)}

    assert backfilled.running.status(backfilled.by_layer) == "COMPLETED_FAILED"
    assert {layer: run.status.value for layer, run in runs.items()} == {
        layer: "FAILURE" if layer == BROKEN else "SUCCESS" for layer in SCATTERED
    }
    assert backfilled.there_before == set(SCATTERED) - {BROKEN}


def test_the_error_of_the_failed_run_names_the_file_and_the_mend(backfilled: Backfilled) -> None:
    [run] = [run for run in backfilled.running.runs(backfilled.by_layer) if run.status.value == "FAILURE"]
    with backfilled.running.instance() as instance:
        [failure] = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)

    assert f"simulations/{BROKEN}.parquet could not be written" in str(failure.dagster_event)
    assert "Check that the folder is writable and the disk has room" in str(failure.dagster_event)


def test_failed_only_makes_the_rest_and_asks_for_nothing_twice(backfilled: Backfilled) -> None:
    [run] = backfilled.running.runs(backfilled.failed_only)

    assert backfilled.running.status(backfilled.failed_only) == "COMPLETED_SUCCESS"
    assert run.tags["dagster/partition"] == BROKEN
    assert backfilled.running.materialized("tiny", "scores") == set(SCATTERED)
    assert backfilled.asked_before == asked(backfilled.server)
    assert set(backfilled.asked_before.values()) == {1}


def test_no_more_runs_at_once_than_the_limit_and_yet_several(backfilled: Backfilled) -> None:
    limit = FAST["concurrency"]["runs"]["max_concurrent_runs"]
    with backfilled.running.instance() as instance:
        records = instance.get_run_records()
    times = [(record.start_time, record.end_time) for record in records if record.dagster_run.remote_job_origin]
    at_once = [sum(begin <= start < end for begin, end in times if begin and end) for start, _ in times if start]

    assert max(at_once) == limit
