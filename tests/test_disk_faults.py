"""Disks that fill up and folders that cannot be written: the error names culprit and mend, and what is there stays.

A file that may not grow stands in for a full disk, and a file in the place of a folder for one that is read-only: tests
may be run by a user whom no permission binds.
"""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from neuron_assets.assets.study_component import table_resources
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.project import Project
from neuron_assets.running import Wanted, materialize
from neuron_assets.study import Study
from tests.language_models.misbehaving_server import MisbehavingServer
from tests.polite_server import asking, is_a_probe, polite_server
from tests.scenario import make_project

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[1]
MEND = "the folder is writable and the disk has room"

COMMAND = """
import resource, sys
size = int(sys.argv.pop(1))
if size:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
from neuron_assets.cli import main
main()
"""


def by_command(project: Project, largest_file: int = 0, /, **environ: str) -> "subprocess.CompletedProcess[str]":
    """One layer, on the command line; where it is told, no file may grow beyond so many bytes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NEURON_", "DAGSTER_"))}
    own = {"DAGSTER_HOME": str(project.dagster_home), "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        [sys.executable, "-c", COMMAND, str(largest_file), "materialize", "tiny", "--layers", "1"],
        env={**kept, **own, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def make(project: Project, study: Study) -> None:
    """The same in this process, with all the room it needs."""
    resources: Any = table_resources(project.tables, project.requests)
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        materialize(Wanted(study, (1,)), instance, resources, lambda _run: None)


def tables(project: Project) -> dict[str, bytes]:
    root = Path(project.tables) / "tiny"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_full_disk_is_named_leaves_the_old_tables_and_once_mended_all_goes_on(tmp_path: Path) -> None:
    more = {"top": 30, "random": 30}  # so that Dagster's own files have room where a table has none
    project, study = make_project(tmp_path, splits={"fewest_documents": 5, "train": more, "valid": more})
    make(project, study)
    before = tables(project)
    (study.folder / "texts" / "new.txt").write_text("A new document about sockets and files. " * 20, encoding="utf-8")
    size = len(before["activations/L01.parquet"])
    full = by_command(project, size * 3 // 4)
    then = tables(project)
    make(project, study)
    after = tables(project)

    assert full.returncode == 1
    assert "-activations-L01.parquet could not be written" in full.stderr
    assert MEND in full.stderr
    assert "Traceback" not in full.stderr
    changed = {name for name, content in before.items() if then.get(name) != content}
    assert changed == {"excerpts.parquet"}
    assert before.keys() == then.keys() == after.keys()
    assert after["scores/L01.parquet"] != before["scores/L01.parquet"]


@pytest.mark.parametrize("place", ["/proc/neurons", "{root}/studies/tiny/study.yaml/data"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, place: str) -> None:
    project, _ = make_project(tmp_path)
    refused = by_command(project, NEURON_ASSETS_DATA=place.format(root=tmp_path))

    assert refused.returncode == 1
    assert f"{place.format(root=tmp_path)}/tiny/excerpts.parquet could not be written" in refused.stderr
    assert MEND in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("fault", ["no folder", "full"])
def test_a_home_in_which_dagster_cannot_work_is_named(tmp_path: Path, fault: str) -> None:
    project, study = make_project(tmp_path)
    if fault == "full":
        refused, home = by_command(project, 20_000), project.dagster_home
    else:
        home = study.folder / "study.yaml" / "home"
        refused = by_command(project, DAGSTER_HOME=str(home), NEURON_ASSETS_STUDIES=str(tmp_path / "studies"))

    assert refused.returncode == 1
    assert f"Dagster cannot work in its home {home}" in refused.stderr
    assert "set DAGSTER_HOME to another one" in refused.stderr
    assert "Traceback" not in refused.stderr


ASKING = """
import resource, sys
from pathlib import Path
import dagster as dg
from neuron_assets.assets.study_component import table_resources
from neuron_assets.errors import NeuronAssetsError
from neuron_assets.project import Project
from neuron_assets.running import Wanted, materialize

project = Project.from_environment({}, Path(sys.argv[1]))
resources = table_resources(project.tables, project.requests)

def on_run(run):
    if run.tables[0] == "explanations":
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

try:
    with dg.DagsterInstance.ephemeral() as instance:  # whose own files do not grow
        materialize(Wanted(project.study("tiny"), (1,)), instance, resources, on_run)
except NeuronAssetsError as error:
    print(type(error).__name__, error)
"""


def asked(server: MisbehavingServer) -> Counter[str]:
    return Counter(str(body) for body in server.bodies if not is_a_probe(body))


def test_a_request_store_whose_disk_is_full_ends_the_run_and_what_was_kept_is_not_asked_again(tmp_path: Path) -> None:
    at_once = 4
    with polite_server() as server:
        project, study = make_project(tmp_path, **asking(server.url, asking={"most_at_once": at_once}))
        told = subprocess.run(
            [sys.executable, "-c", ASKING, str(tmp_path)],
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        asked_before = sum(asked(server).values())
        with RequestStore.open(project.requests) as store:
            n_kept = len(store)
        make(project, study)
        questions = asked(server)

    assert told.startswith(f"StoreUnusable The request store {project.requests} cannot be used: "), told
    assert "its disk has room" in told
    assert 0 < n_kept <= asked_before <= n_kept + 2 * at_once  # under way, or about to be written down
    assert sum(questions.values()) <= len(questions) + 2 * at_once
    with RequestStore.open(project.requests) as store:
        assert len(store) == len(questions)
