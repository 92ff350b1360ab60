"""How fast the viewer is, and what it holds and reads: a real server over a synthetic study (`large_study.py`).

`python -m benchmarks viewing` takes a small study, `python -m benchmarks.viewing` one of full size, or one that was
written before: `python -m benchmarks.viewing FOLDER`. Times are of the wall clock, of one request after the other.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from urllib.request import urlopen

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.large_study import NAME, Size, write_large_study
from benchmarks.row import Row
from neuron_assets.method.records import NeuronId
from neuron_assets.project import Project
from neuron_assets.viewer.places import neuron_url, study_url, tool_url
from neuron_assets.viewer.search import alike_in_firing, alike_in_words, search_token, search_words
from neuron_assets.viewer.shelf import OpenStudy, Shelf

SMALL = Size(layers=4, neurons=1000, excerpts=4000)
N_PAGES = 50
N_SEARCHES = 10
READING = 5
"""Seconds that a person looks at a study's page before they search; meanwhile the words are put in order."""


def benchmark(folder: Path | None = None, size: Size = SMALL) -> list[Row]:
    """The rows of the viewer over the study in `folder`, or over a new one."""
    if folder is not None:
        return list(_rows(Project.from_environment({}, folder)))
    with tempfile.TemporaryDirectory() as new:
        return list(_rows(write_large_study(Path(new), size)))


def _rows(project: Project) -> Iterator[Row]:
    study = Shelf(project).study(NAME)
    said = f"{len(study.study.layer_indices)} x {study.study.n_units:,} neurons"
    with _served(project) as server:
        ready = f"{server.seconds:.2f} ({server.worked():.2f})"
        yield Row(f"viewer of {said}: until it is ready, s (of a processor)", ready, "< 3")
        neurons, before = [neuron_url(NAME, neuron) for neuron in _some_neurons(study)], server.read()
        pages = server.get_all(neurons)
        n_read = (server.read() - before) / len(neurons)
        yield Row(f"a neuron's page, median / worst of {N_PAGES} (of a processor), ms", pages, "< 100")
        yield Row("of that read from files, MB a page", f"{n_read / 1e6:.1f} of {_size_of_a_layer(study) / 1e6:.0f}")
        server.get(study_url(NAME))
        time.sleep(READING)
        first = server.get(_searched("the word"))
        yield Row(f"the first search's page, {READING} s after the study's, ms", f"{first * 1e3:.0f}", "< 200")
        words = _words(study)
        yield Row("another search's page, likewise, ms", server.get_all([_searched(word) for word in words]), "< 200")
        yield Row("memory, highest / now, MB", f"{server.memory('VmHWM'):.0f} / {server.memory('VmRSS'):.0f}", "< 500")
    for name, asked in _searches(study):
        yield Row(f"{name}, the first / median of others, ms", _first_and_later(list(map(_timed, asked))), "- / < 200")


class _Server:
    """`neuron-assets view`, as a person starts it."""

    def __init__(self, process: subprocess.Popen[str], address: str, seconds: float) -> None:
        self._process, self._address, self.seconds = process, address, seconds

    def get(self, path: str) -> float:
        """Seconds until the whole page is there."""
        began = time.perf_counter()
        with urlopen(self._address + path, timeout=60) as answer:  # noqa: S310  # it was just started here
            answer.read()
        return time.perf_counter() - began

    def get_all(self, paths: list[str]) -> str:
        """The median and worst time of these pages, and the mean of the processor's, in milliseconds."""
        before, seconds = self.worked(), [self.get(path) for path in paths]
        worked = (self.worked() - before) / len(paths)
        return f"{median(seconds) * 1e3:.0f} / {max(seconds) * 1e3:.0f} ({worked * 1e3:.0f})"

    def memory(self, name: str) -> float:
        """Megabytes that are resident, by the name that Linux has for it."""
        return self._told("status", name) * 1024 / 1e6

    def worked(self) -> float:
        """Seconds of a processor that it has taken so far."""
        numbers = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")

    def read(self) -> int:
        """Bytes that it has read from files and sockets so far."""
        return self._told("io", "rchar")

    def _told(self, file: str, name: str) -> int:
        lines = Path(f"/proc/{self._process.pid}/{file}").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


@contextmanager
def _served(project: Project) -> Iterator[_Server]:
    folder = project.dagster_home.parent
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("NEURON_ASSETS", "DAGSTER"))}
    script, began = "from neuron_assets.cli import main; main()", time.perf_counter()
    command = [sys.executable, "-c", script, "view", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[2]
            yield _Server(process, address, time.perf_counter() - began)
        finally:
            process.terminate()


def _some_neurons(study: OpenStudy) -> list[NeuronId]:
    random, said = np.random.default_rng(0), study.study
    return [
        NeuronId(int(random.choice(said.layer_indices)), int(random.integers(said.n_units))) for _ in range(N_PAGES)
    ]


def _searches(study: OpenStudy) -> Iterator[tuple[str, list[Callable[[], object]]]]:
    """What is searched for, without a page."""
    neurons = _some_neurons(study)[:N_SEARCHES]
    words = _words(study)
    yield "words", [partial(search_words, study, f"the {word[:3]}") for word in words]
    yield "a token", [partial(search_token, study, word) for word in words]
    yield "alike in words", [partial(alike_in_words, study, neuron) for neuron in neurons]
    yield "alike in firing", [partial(alike_in_firing, study, neuron) for neuron in neurons]


def _words(study: OpenStudy) -> list[str]:
    """Of explanations."""
    texts = [hit.explanation or "" for hit in search_words(study, "the word", most=N_SEARCHES).hits]
    return [text.split()[2].strip(",") for text in texts]


def _searched(words: str) -> str:
    return tool_url("search", {"study": NAME, "q": words})


def _timed(asked: Callable[[], object]) -> float:
    began = time.perf_counter()
    asked()
    return time.perf_counter() - began


def _size_of_a_layer(study: OpenStudy) -> float:
    """Bytes of the tables of one layer, and of `excerpts`."""
    root = Path(str(study.store.root)) / study.name
    of_layer = root.glob(f"*/{study.key(0)}.parquet")
    return float(sum(path.stat().st_size for path in [*of_layer, root / "excerpts.parquet"]))


def _first_and_later(seconds: list[float]) -> str:
    return f"{seconds[0] * 1e3:.0f} / {median(seconds[1:]) * 1e3:.0f}"


if __name__ == "__main__":
    table = Table("what", "measured", "goal")
    for row in benchmark(Path(sys.argv[1]).absolute() if sys.argv[1:] else None, Size()):
        table.add_row(row.name, row.measured, row.goal)
    Console().print(table)
