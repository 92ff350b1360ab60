"""Two processes that make the same layer or the same file at once: nothing is torn, and all that is there agrees."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from upath import UPath

from neuron_assets.lineage import lineages
from neuron_assets.project import Project
from neuron_assets.tables.parquet import content_hash, read_facts, read_table
from neuron_assets.tables.store import TableStore
from tests.polite_server import asking, is_a_probe, polite_server
from tests.scenario import make_project

REPOSITORY = Path(__file__).parents[1]
BY_LAYER = ("activations", "neuron_statistics", "explanations", "candidates", "simulations", "scores")

WRITER = """
import sys
from upath import UPath
from neuron_assets.tables.parquet import TableFacts, write_table
from neuron_assets.tables.rows import frame

path, name = UPath(sys.argv[1]), sys.argv[2]
columns = {"layer_index": 0, "neuron_index": list(range(3000)), "sample": 0, "explainer": name, "failure": None}
rows = frame("explanations", columns | {"explanation": [f"{name} says {i}" for i in range(3000)]})
print("ready", flush=True)
sys.stdin.readline()
for _ in range(150):
    write_table(path, rows, TableFacts("explanations", name))
"""


@pytest.mark.slow
def test_a_file_that_two_processes_write_at_once_is_always_whole(tmp_path: Path) -> None:
    path = UPath(tmp_path / "L00.parquet")
    writers = {
        name: subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("anna", "berta")
    }
    for writer in writers.values():
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers.values():
        assert writer.stdin is not None
        print("go", file=writer.stdin, flush=True)
    seen: Counter[str] = Counter()
    while any(writer.poll() is None for writer in writers.values()):
        if path.exists():
            rows = read_table(path, "explanations")
            [explainer] = rows["explainer"].unique()
            assert rows["explanation"][-1] == f"{explainer} says 2999"
            seen[explainer] += 1

    assert [writer.wait() for writer in writers.values()] == [0, 0]
    assert seen.total() > 0
    assert read_facts(path).content == content_hash(read_table(path, "explanations"))
    assert [file.name for file in tmp_path.iterdir()] == ["L00.parquet"]


def begin(project: Project) -> "subprocess.Popen[str]":
    """One layer, on the command line."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NEURON_", "DAGSTER_"))}
    return subprocess.Popen(
        [sys.executable, "-c", "from neuron_assets.cli import main; main()", "materialize", "tiny", "--layers", "1"],
        env={**kept, "DAGSTER_HOME": str(project.dagster_home), "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_two_runs_of_one_layer_at_once_end_well_and_leave_what_one_would_have_left(tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    (tmp_path / "together").mkdir()
    with polite_server() as server:
        alone, study = make_project(tmp_path / "alone", **asking(server.url))
        together, _ = make_project(tmp_path / "together", **asking(server.url))
        by_itself = begin(alone)
        told = [by_itself.communicate()[0]]
        server.bodies.clear()
        server.holds = lambda: sum(map(is_a_probe, server.bodies)) < 2  # until both have come to ask
        both = [begin(together), begin(together)]
        told += [process.communicate()[0] for process in both]

    assert [process.returncode for process in (by_itself, *both)] == [0, 0, 0], told
    store, single = TableStore.at(together.tables), TableStore.at(alone.tables)
    for table in ("excerpts", *BY_LAYER):
        key = None if table == "excerpts" else "L01"
        path = store.path("tiny", table, key)
        facts = store.current_facts(path, lineages(study)[table])

        assert facts.content == content_hash(read_table(path, table))
        assert path.read_bytes() == single.path("tiny", table, key).read_bytes()
    assert list(Path(together.tables).rglob("*.partial")) == []
