"""Runs, code servers and daemons that are killed in the midst of a backfill: nothing is lost, and nothing asked twice.

The server that is asked is our own, so that every question is seen. The moments are counted in questions, so that a
slow machine is killed at the same work as a fast one.
"""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.project import Project
from tests.dagster_backfills import Dev, Service, dev
from tests.dagster_server import REPOSITORY, wait_for
from tests.language_models.misbehaving_server import MisbehavingServer
from tests.polite_server import asking, is_a_probe, polite_server
from tests.scenario import write_study

pytestmark = pytest.mark.slow

SEED = 4
LAYERS = ("L00", "L02", "L03", "L05")
FORWARD = ("activations", "neuron_statistics")
BY_LAYER = ("token_index", "labels", "explanations", "candidates", "simulations", "scores")
KILLS: tuple[Service, ...] = ("run", "run", "code server", "code server", "daemon", "daemon")
AT_ONCE = 4
LATEST = 0.3
"""The share of all questions after which all that is to be killed is due: some layers are yet to begin then."""


@dataclass
class Killing:
    """What was killed, and when: after how many questions."""

    moments: list[tuple[float, Service]]
    done: list[tuple[int, Service]] = field(default_factory=list)
    n_runs: int = 0

    def look(self, running: Dev, n_asked: int) -> None:
        """Kills what is due, once it is there."""
        if self.moments and n_asked >= self.moments[0][0] and running.kill(self.moments[0][1]):
            _, service = self.moments.pop(0)
            self.done.append((n_asked, service))
            self.n_runs += service == "run"


@dataclass(frozen=True)
class Ended:
    """What came of two projects with the same study, of which one was left in peace."""

    undisturbed: Path
    disturbed: Path
    running: Dev
    killing: Killing
    questions: Counter[str]
    """Of the disturbed one: how often each was asked."""
    n_questions: int
    """Of the undisturbed one."""


def asked(server: MisbehavingServer) -> Counter[str]:
    return Counter(str(body) for body in server.bodies if not is_a_probe(body))


def materialize(root: Path, *layers: str) -> None:
    """As people do on the command line."""
    numbers = ",".join(layer.removeprefix("L0") for layer in layers)
    command = [sys.executable, "-c", "from neuron_assets.cli import main; main()", "materialize", "tiny"]
    (root / "dagster_home").mkdir()
    environ = {"DAGSTER_HOME": str(root / "dagster_home"), "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([*command, "--layers", numbers], env=environ, check=True, capture_output=True)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    undisturbed, disturbed = tmp_path_factory.mktemp("undisturbed"), tmp_path_factory.mktemp("disturbed")
    with polite_server() as server:
        for root in (undisturbed, disturbed):
            write_study(root, **asking(server.url, asking={"most_at_once": AT_ONCE}))
        materialize(undisturbed, *LAYERS)
        n_questions = len(asked(server))
        server.bodies.clear()
        server.seconds = 0.3
        chance = random.Random(SEED)
        moments = sorted(chance.uniform(0, LATEST * n_questions) for _ in KILLS)
        killing = Killing([(0, "run"), *zip(moments, chance.sample(KILLS, len(KILLS)), strict=True)])
        with dev(disturbed) as running:
            running.make_excerpts("tiny")
            backfill_until_all_is_there(running, killing, server)
            yield Ended(undisturbed, disturbed, running, killing, asked(server), n_questions)


def backfill_until_all_is_there(running: Dev, killing: Killing, server: MisbehavingServer) -> None:
    """A backfill from the forward pass on; where it ends before all is there, what failed is launched again."""
    backfills = [running.backfill("tiny", [*FORWARD, *BY_LAYER], LAYERS)]

    def is_all_there() -> bool:
        killing.look(running, sum(asked(server).values()))
        running.mend()
        if running.status(backfills[-1]).startswith(("FAILED", "COMPLETED_FAILED")):
            backfills.append(running.failed_only(backfills[-1]))
        return not killing.moments and all(set(LAYERS) <= running.materialized("tiny", table) for table in BY_LAYER)

    wait_for(is_all_there, 600, lambda: f"{backfills} {killing} {running.runs(backfills[-1])}")
    running.ended(backfills[-1])


def test_everything_was_killed_several_times(ended: Ended) -> None:
    killed = Counter(service for _, service in ended.killing.done)

    assert killed == Counter((*KILLS, "run"))
    assert ended.running.n_lives == 3


def test_the_files_are_those_of_a_run_that_was_left_in_peace(ended: Ended) -> None:
    files = {
        root: {
            path.relative_to(root): path.read_bytes() for path in (root / "data" / "tiny").rglob("*") if path.is_file()
        }
        for root in (ended.undisturbed, ended.disturbed)
    }
    expected = {path for path in files[ended.undisturbed] if path.stem in {"excerpts", *LAYERS}}  # it made a range

    assert len(expected) == 1 + len(LAYERS) * len((*FORWARD, *BY_LAYER))
    assert expected == set(files[ended.disturbed])
    assert [path for path in expected if files[ended.undisturbed][path] != files[ended.disturbed][path]] == []


def test_nothing_was_asked_twice_but_what_was_under_way(ended: Ended) -> None:
    """In a run that was killed, answers were under way, or about to be written down."""
    assert len(ended.questions) == ended.n_questions
    assert sum(ended.questions.values()) <= ended.n_questions + 2 * AT_ONCE * ended.killing.n_runs
    with RequestStore.open(Project.from_environment({}, ended.disturbed).requests) as store:
        assert len(store) == ended.n_questions
