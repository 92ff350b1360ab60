"""A command that is killed in the midst of a forward pass: the next one goes on, and ends with the same files."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.scenario import make_project

pytestmark = pytest.mark.slow

# It kills itself, so that it dies at the same work on every machine; nothing can catch or delay this signal.
MATERIALIZE = """
import os, signal, sys
from neuron_assets.assets import activations
from neuron_assets.cli import main
from neuron_assets.subjects.hooked import HookedSubject

class Speed(activations.Speed):
    batch_size: int | None = 8
    checkpoint_minutes: float = 0
    most_memory_gb: float | None = float(sys.argv[1])

activations.Speed = Speed
left, run = int(sys.argv[2]), HookedSubject.run

def run_and_die(subject, token_ids, layers, receive):
    global left
    left -= 1
    def receive_and_die(layer_index, given):
        receive(layer_index, given)
        if left == 0 and layer_index == layers[0]:
            os.kill(os.getpid(), signal.SIGKILL)
    run(subject, token_ids, layers, receive_and_die)

HookedSubject.run = run_and_die
main(["materialize", "tiny", "--layers", "1-2"])
"""
NEVER = 10**9
ALL_LAYERS, ONE_LAYER = 1.0, 1e-6
"""Gigabytes for what is kept: enough, and not even enough for one."""


def materialize(root: Path, gigabytes: float, dies_in_batch: int) -> int:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NEURON_", "DAGSTER_"))}
    environment = kept | {"DAGSTER_HOME": str(root / "dagster_home")}
    command = [sys.executable, "-c", MATERIALIZE, str(gigabytes), str(dies_in_batch)]
    return subprocess.run(command, env=environment, cwd=root, capture_output=True, check=False).returncode


def harvested(root: Path) -> dict[str, bytes]:
    folder = root / "data" / "tiny"
    tables = ("activations", "neuron_statistics")
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for table in tables
        for path in (folder / table).iterdir()
    }


def told(root: Path, layer: str) -> dict[str, Any]:
    with dg.DagsterInstance.from_config(str(root / "dagster_home")) as instance:
        records = dg.AssetRecordsFilter(asset_key=dg.AssetKey(["tiny", "activations"]), asset_partitions=[layer])
        made = instance.fetch_materializations(records, limit=1).records[0].asset_materialization
    assert made is not None
    return {name: value.value for name, value in made.metadata.items()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("undisturbed")
    make_project(root)
    assert materialize(root, ALL_LAYERS, NEVER) == 0
    return harvested(root)


def test_a_pass_that_is_killed_twice_goes_on_each_time(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    make_project(tmp_path)
    # One run of the subject goes before the batches: it tells how large what it lends is.
    died = [materialize(tmp_path, ALL_LAYERS, batch) for batch in (5, 4)]
    aside = [path.name[36:] for path in (tmp_path / "data" / "tiny" / ".set_aside").iterdir()]
    ended = materialize(tmp_path, ALL_LAYERS, NEVER)
    facts = told(tmp_path, "L01")

    assert (died, ended) == ([-signal.SIGKILL] * 2, 0)
    assert aside == ["-checkpoint.safetensors"]
    assert (facts["resumed_at_excerpt"], facts["batch_size"], facts["layers_of_the_pass"]) == (38, 8, 2)
    assert harvested(tmp_path) == undisturbed
    assert list((tmp_path / "data" / "tiny" / ".set_aside").iterdir()) == []


def test_passes_of_one_layer_that_are_killed_are_not_made_again(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    make_project(tmp_path)
    n_batches = 16  # of each layer
    died = materialize(tmp_path, ONE_LAYER, 1 + n_batches + 3)  # in the third batch of the second layer
    ended = materialize(tmp_path, ONE_LAYER, NEVER)
    first, second = told(tmp_path, "L01"), told(tmp_path, "L02")

    assert (died, ended) == (-signal.SIGKILL, 0)
    assert (first["forward_passes"], first["passes"]) == (0, 2)
    assert (second["forward_passes"], second["layers_of_the_pass"], second["resumed_at_excerpt"]) == (1, 1, 16)
    assert harvested(tmp_path) == undisturbed
