"""The file of a pass that goes on: whole or not there, and refused where it is of something else."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from upath import UPath

from neuron_assets.assets.checkpoint_file import CheckpointFile
from neuron_assets.subjects.harvest import Checkpoint

MADE_FROM = {"lineage": "0123", "excerpts": "4567", "batch size": "fitting"}
STATE = {
    "3.train.top.keys": torch.tensor([[2**62, -(2**62)]]),
    "3.train.top.rows": torch.tensor([[[1.5, -0.0]]], dtype=torch.float16),
    "3.moments.sums": torch.tensor([1 / 3, torch.inf], dtype=torch.float64)[::1],
    "3.moments.n_tokens": torch.tensor(7),
    "3.sample.values": torch.arange(6.0).reshape(2, 3).T,
    "5.train.random.peaks": torch.zeros(0),
}
LOG = logging.getLogger(__name__)


def file(path: UPath, *layers: int, **made_from: str) -> CheckpointFile:
    made = CheckpointFile(path, MADE_FROM | made_from, 0, LOG)
    made.begin(layers)
    return made


@pytest.fixture(params=["disk", "memory"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> UPath:
    """On a disk, and elsewhere."""
    name = "run-checkpoint.safetensors"
    return UPath(tmp_path / "deep" / name) if request.param == "disk" else UPath(f"memory://{tmp_path}/{name}")


def test_what_was_written_is_read_bit_for_bit(path: UPath) -> None:
    file(path, 3, 5).write(Checkpoint(96, 16, 32, STATE))
    found = file(path, 3, 5).read()

    assert found is not None
    assert (found.n_done, found.batch_size, found.batch_size_lowered_from) == (96, 16, 32)
    assert set(found.state) == set(STATE)
    for name, tensor in STATE.items():
        assert (found.state[name].dtype, found.state[name].shape) == (tensor.dtype, tensor.shape)
        assert found.state[name].numpy().tobytes() == tensor.numpy().tobytes()


def test_the_next_one_takes_its_place_and_none_is_left_at_the_end(path: UPath) -> None:
    written = file(path, 3)
    for n_done in (32, 64):
        written.write(Checkpoint(n_done, 32, None, STATE))
    found = written.read()
    names = [each.name for each in path.parent.iterdir()]
    written.remove()

    assert found is not None
    assert (found.n_done, found.batch_size_lowered_from) == (64, None)
    assert names == [path.name]
    assert (written.read(), list(written.layers())) == (None, [])


def test_it_tells_its_layers_and_is_read_for_no_others(path: UPath) -> None:
    file(path, 3, 5).write(Checkpoint(32, 32, None, STATE))

    assert list(file(path).layers()) == [3, 5]
    assert file(path, 3).read() is None
    assert path.exists()


@pytest.mark.parametrize("name", MADE_FROM)
def test_one_of_something_else_is_refused_by_name_and_removed(
    path: UPath, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    file(path, 3).write(Checkpoint(32, 32, None, STATE))

    assert file(path, 3, **{name: "other"}).read() is None
    assert f"is not gone on from, and removed: it is of another {name}." in caplog.text
    assert not path.exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-5],
        lambda _whole: b"",
        lambda whole: b"\xff" * len(whole),
        lambda whole: whole.replace(b'[3]"', b'[3!"'),
        lambda whole: whole.replace(b'"layers"', b'"leyers"'),
        lambda whole: whole.replace(b"n_done", b"n_dune"),
        lambda whole: whole.replace(b"__metadata__", b"__meta_data_"),
    ],
)
def test_one_that_is_damaged_is_refused_and_removed(
    path: UPath, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    file(path, 3).write(Checkpoint(32, 32, None, STATE))
    whole = path.read_bytes()
    path.write_bytes(damage(whole))

    assert damage(whole) != whole
    assert file(path, 3).read() is None
    assert "it cannot be read" in caplog.text
    assert not path.exists()


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't allocate memory")])
def test_a_write_for_which_memory_does_not_suffice_ends_nothing(
    path: UPath, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr("torch.Tensor.cpu", fail)
    file(path, 3).write(Checkpoint(64, 32, None, STATE))

    assert "could not be written" in caplog.text
    assert not path.exists()


def test_a_write_that_fails_leaves_the_one_before_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = UPath(tmp_path / "run-checkpoint.safetensors")
    file(path, 3).write(Checkpoint(32, 32, None, STATE))

    def fail(*_: object) -> NoReturn:
        raise OSError("no space")

    monkeypatch.setattr(type(path), "rename", fail)
    file(path, 3).write(Checkpoint(64, 32, None, STATE))
    found = file(path, 3).read()

    assert found is not None
    assert found.n_done == 32
    assert "checkpoint.safetensors: no space" in caplog.text
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_it_is_due_once_its_time_has_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [1000.0, 1299.0, 1300.0, 1300.0, 1300.0]
    monkeypatch.setattr("time.monotonic", lambda: seconds.pop(0))
    written = CheckpointFile(UPath(tmp_path / "run-checkpoint.safetensors"), MADE_FROM, 300, LOG, (), 0)
    written.begin([3])
    before, then = written.is_due(), written.is_due()
    written.write(Checkpoint(32, 32, None, STATE))

    assert (before, then, written.is_due(), seconds) == (False, True, False, [])
