"""Which errors of one layer end a call at once, and which are raised when the other layers have been gone on with.

The runs are played: what real ones raise is tested where it is raised.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from neuron_assets import running
from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.shared_pass import FORWARD
from neuron_assets.errors import (
    BatchNotDone,
    BudgetSpent,
    CheckFailed,
    FailedWrite,
    KeyMissing,
    ModelChanged,
    NeuronAssetsError,
    NotAnsweredYet,
    RunFailed,
    UnreadableStudy,
    UnreadableTable,
    UnsafeBaseUrl,
)
from neuron_assets.running import Run, Wanted, materialize
from tests.scenario import make_project

PASS = Run("pass", FORWARD, "L01", "L03")
LAYERS = [
    Run(f"layer {layer}", ("explanations", "candidates", "simulations", "scores"), f"L0{layer}", f"L0{layer}")
    for layer in (1, 2, 3)
]
SUMMARY = Run("summary", ("layer_summary",))

OF_ONE_LAYER = [
    CheckFailed("tiny", "scores", "L01", "it is wrong"),
    UnreadableTable("a file", "it is cut short"),
    RunFailed("layer 1", ValueError("who knows")),
    NotAnsweredYet(["L1N5"], 1),
    BatchNotDone("a server", "batch-1", "it expired"),
]
OF_ALL_LAYERS = [
    BudgetSpent("tiny", "$5", "$5"),
    KeyMissing("OPENAI_API_KEY"),
    UnsafeBaseUrl("http://", "no host"),
    ModelChanged("a server", "one", "another"),
    FailedWrite("a file", "the disk is full"),
    UnreadableStudy("texts.yaml", "no YAML"),
]

Play = Callable[[Mapping[Run, BaseException]], tuple[BaseException | None, list[str]]]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Calls `materialize`, its runs raising what is given; gives what was raised, and the runs that were begun."""
    study = make_project(tmp_path)[1]
    resources = {"table_store": None, "desk": RequestDesk(str(tmp_path / "requests.sqlite"))}
    monkeypatch.setattr(running, "runs_needed", lambda *_: iter([PASS, *LAYERS, SUMMARY]))
    monkeypatch.setattr(running, "_observe", lambda *_: None)

    def played(errors: Mapping[Run, BaseException]) -> tuple[BaseException | None, list[str]]:
        by_title = {run.title: error for run, error in errors.items()}

        def make(_study: object, run: Run, *_: Any) -> None:
            if run.title in by_title:
                raise by_title[run.title]

        monkeypatch.setattr(running, "make_run", make)
        begun: list[Run] = []
        raised = None
        with dg.DagsterInstance.ephemeral() as instance:
            try:
                materialize(Wanted(study, (1, 2, 3)), instance, resources, begun.append)
            except (NeuronAssetsError, KeyboardInterrupt) as error:
                raised = error
        return raised, [run.title for run in begun]

    return played


EVERY = [run.title for run in (PASS, *LAYERS, SUMMARY)]


@pytest.mark.parametrize("error", OF_ONE_LAYER, ids=lambda error: type(error).__name__)
def test_what_is_wrong_with_one_layer_stops_no_other(play: Play, error: NeuronAssetsError) -> None:
    raised, begun = play({LAYERS[0]: error})

    assert raised is error
    assert begun == EVERY
    assert error.__notes__ == ["1 of 3 layers failed; the others were gone on with."]


@pytest.mark.parametrize("error", OF_ALL_LAYERS, ids=lambda error: type(error).__name__)
def test_what_is_wrong_with_all_layers_ends_it_at_once(play: Play, error: NeuronAssetsError) -> None:
    raised, begun = play({LAYERS[0]: error})

    assert raised is error
    assert begun == ["pass", "layer 1"]


def test_of_several_layers_that_fail_the_first_is_told_with_their_number(play: Play) -> None:
    first, last = RunFailed("layer 1", ValueError("one")), RunFailed("layer 3", ValueError("two"))
    raised, begun = play({LAYERS[0]: first, LAYERS[2]: last})

    assert raised is first
    assert begun == EVERY
    assert first.__notes__ == ["2 of 3 layers failed; the others were gone on with."]


def test_a_failing_pass_ends_it_at_once(play: Play) -> None:
    error = CheckFailed("tiny", "activations", "L01", "it is wrong")

    assert play({PASS: error}) == (error, ["pass"])


def test_an_interruption_ends_it_at_once(play: Play) -> None:
    interruption = KeyboardInterrupt()

    assert play({LAYERS[0]: interruption}) == (interruption, ["pass", "layer 1"])


def test_a_summary_that_fails_after_a_layer_does_not_hide_the_layer_s_error(play: Play) -> None:
    first, last = RunFailed("layer 1", ValueError("one")), RunFailed("summary", ValueError("two"))

    assert play({LAYERS[0]: first, SUMMARY: last}) == (first, EVERY)
    assert play({SUMMARY: last}) == (last, EVERY)
