"""What is told of a study before it asks agrees with what it then asks of a server."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import dagster as dg
import numpy as np
import pytest

from neuron_assets.assets.counting import count_simulations
from neuron_assets.assets.estimating import Estimate, estimate
from neuron_assets.assets.held_out import most_excerpts
from neuron_assets.assets.question_lengths import CHARACTERS_A_TOKEN
from neuron_assets.assets.spending import spending_of
from neuron_assets.assets.study_component import table_resources
from neuron_assets.errors import NoDocuments
from neuron_assets.language_models.asker import Progress
from neuron_assets.language_models.database import Database
from neuron_assets.language_models.ledger import OBSERVATION, Entry, Ledger
from neuron_assets.language_models.model import Usage
from neuron_assets.method.labels import PersonsExplanation
from neuron_assets.method.records import NeuronId
from neuron_assets.project import Project
from neuron_assets.running import Run, Wanted, materialize
from neuron_assets.study import Study, read_study
from neuron_assets.tables.label_store import LabelStore
from neuron_assets.tables.store import TableStore
from tests.language_models.misbehaving_server import MisbehavingServer
from tests.polite_server import asking, characters, is_a_probe, is_about_simulating, polite_server
from tests.scenario import CORPUS, make_project, write_study

pytestmark = pytest.mark.slow

NOWHERE = "http://127.0.0.1:9/v1"
PRICES = {"parrot-1": {"tokens_in": 2.0, "tokens_cached": 0.5, "tokens_out": 8.0}}


def estimates(project: Project, study: Study) -> dict[str, Estimate]:
    neurons = {layer: study.neuron_indices(layer) for layer in study.layer_indices}
    found = estimate(study, neurons, project.requests, TableStore.at(project.tables))
    return {one.role: one for one in found}


@dataclass(frozen=True)
class World:
    """A study that was estimated, run, estimated again and run again."""

    project: Project
    study: Study
    server: MisbehavingServer
    before: dict[str, Estimate]
    after: dict[str, Estimate]
    runs: list[Run]
    told: dict[str, Progress]

    def asked(self, role: str) -> list[int]:
        """The characters of each request of the role."""
        bodies = [body for body in self.server.bodies if not is_a_probe(body)]
        return [characters(body) for body in bodies if is_about_simulating(body) == (role == "simulator")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("world")
    told: dict[str, Progress] = {}
    runs: list[Run] = []
    with polite_server() as server:
        project, study = make_project(root, **asking(server.url, layers=[1, 2], prices=PRICES))
        before = estimates(project, study)
        resources = table_resources(
            project.tables, project.requests, tell=lambda _log, what: lambda so_far: told.update({what: so_far})
        )
        with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
            materialize(Wanted(study, (1, 2)), instance, resources, runs.append)
            yield World(project, study, server, before, estimates(project, study), runs, told)


@pytest.mark.parametrize("role", ["explainer", "simulator"])
def test_requests_are_those_that_are_made(world: World, role: str) -> None:
    """Before the pass it is not known which questions come twice: the texts are few, and much alike."""
    assert len(world.asked(role)) == world.after[role].requests
    assert world.before[role].requests >= len(world.asked(role))
    assert world.before["explainer"].requests == 6
    assert world.before["simulator"].requests == 2 * (3 + 3) * (3 + 6)
    assert (world.before["simulator"].is_exact, world.after["simulator"].is_exact) == (False, True)


def test_what_people_wrote_is_simulated_and_counted(world: World) -> None:
    """Those of neurons that are not explained are left out."""
    study = world.study.model_copy(update={"layers": (2, 3), "name": "labelled"})
    before = count_simulations(study, {2: (5,), 3: (6,)}, TableStore.at(world.project.tables))
    for neuron in (NeuronId(2, 5), NeuronId(3, 6), NeuronId(3, 7)):
        label = PersonsExplanation(person="Ann", neuron=neuron, written_at=datetime.now(UTC), text="rivers")
        LabelStore(TableStore.at(world.project.tables), "labelled").add(label)
    after = count_simulations(study, {2: (5,), 3: (6,)}, TableStore.at(world.project.tables))

    assert after.n_questions - before.n_questions == 2 * most_excerpts(study)


@pytest.mark.parametrize("role", ["explainer", "simulator"])
def test_the_prompts_are_as_long_as_they_were_measured_to_be(world: World, role: str) -> None:
    sent, found = world.asked(role), world.before[role]

    assert found.tokens_in * CHARACTERS_A_TOKEN / found.requests == pytest.approx(np.mean(sent), rel=0.03)


@pytest.mark.parametrize("role", ["explainer", "simulator"])
def test_the_tokens_are_within_the_error_that_is_told(world: World, role: str) -> None:
    """The server counts characters by another number than the estimate."""
    asset = {"explainer": "explanations", "simulator": "simulations"}[role]
    rows = [row for row in spending_of(world.study, world.project.requests) if row.asset == asset]
    spent, n_answered = sum(row.tokens_in for row in rows), sum(row.answered for row in rows)
    each = {name: found[role].tokens_in / found[role].requests for name, found in vars(world).items() if name in WHEN}

    assert each["before"] == pytest.approx(spent / n_answered, rel=world.before[role].error)
    assert each["after"] == pytest.approx(spent / n_answered)


WHEN = ("before", "after")


def test_after_a_run_it_rests_on_the_ledger_and_its_money_is_what_was_spent(world: World) -> None:
    spent = spending_of(world.study, world.project.requests)
    money = [world.after[role].money for role in ("explainer", "simulator")]

    assert all("prompts of" in one.basis for one in world.before.values())
    assert [world.after[role].basis.split(" to ")[0] for role in world.after] == [
        f"{len(world.asked(role))} answers" for role in world.after
    ]
    assert sum(row.money or 0 for row in spent if row.asset != OBSERVATION) == pytest.approx(
        sum(one or 0 for one in money), rel=1e-4
    )


def test_replies_that_could_not_be_read_count_for_the_requests_that_are_told(world: World) -> None:
    """As many as this study's questions may take at most, where each is asked for again."""
    before = world.after["explainer"]
    model = next(row.model for row in spending_of(world.study, world.project.requests) if row.asset == "explanations")
    database = Database.open(world.project.requests)
    ledger = Ledger(database)
    unreadable = Entry(world.study.name, "explanations", 1, model, 1.0, "unreadable", Usage(100, 10))
    for _ in range(2):
        ledger.record(*([unreadable] * 3 * before.requests))
        found = estimates(world.project, world.study)["explainer"]

        assert before.requests < found.requests <= 3 * before.requests
        assert not found.is_exact
    database.close()

    assert found.requests == 3 * before.requests


@pytest.mark.parametrize(
    ("role", "changes", "measured"),
    [
        ("explainer", {"shown_top": 2}, {"explainer", "simulator"}),
        ("explainer", {"layout": "highlighted"}, {"explainer", "simulator"}),
        ("simulator", {"method": "logprobs"}, {"simulator"}),
        ("simulator", {"model": "parrot-2"}, {"simulator"}),
        ("simulator", {"api_key_env": "ANOTHER"}, set()),
    ],
)
def test_what_was_asked_in_another_way_or_of_another_model_is_no_measure(
    world: World, tmp_path: Path, role: str, changes: dict[str, object], measured: set[str]
) -> None:
    sections: Any = asking(world.server.url, layers=[1, 2], prices=PRICES)
    changed = read_study(write_study(tmp_path, **sections | {role: sections[role] | changes}))
    found = estimates(world.project, changed)

    assert measured == {role for role, one in found.items() if "prompts of" in one.basis}


def test_provider_batches_take_as_long_as_they_take(tmp_path: Path) -> None:
    project, study = make_project(tmp_path, **asking(NOWHERE, asking={"mode": "batch"}))

    assert [one.seconds for one in estimates(project, study).values()] == [None, None]


def test_whoever_listens_hears_of_every_answer(world: World) -> None:
    heard = {role: [p for what, p in world.told.items() if what.startswith(role)] for role in ("expl", "simu")}

    assert sorted(world.told) == [
        f"{table} of L0{layer}" for table in ("explanations", "simulations") for layer in (1, 2)
    ]
    assert [sum(p.n_requests for p in heard[role]) for role in heard] == [
        len(world.asked(role)) for role in world.after
    ]
    assert sum(p.n_failures for p in world.told.values()) == 0


def test_an_unknown_price_is_no_price(tmp_path: Path) -> None:
    project, study = make_project(tmp_path, **asking(NOWHERE))

    assert [one.money for one in estimates(project, study).values()] == [None, None]


def test_a_free_model_costs_nothing(tmp_path: Path) -> None:
    project, study = make_project(tmp_path, **asking(NOWHERE, prices={"parrot-1": {"tokens_in": 0, "tokens_out": 0}}))

    assert [one.money for one in estimates(project, study).values()] == [0, 0]


def test_nothing_is_sent_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, study = make_project(tmp_path, **asking("https://api.openai.com/v1"))

    def refuse(*_arguments: object, **_options: object) -> NoReturn:
        raise AssertionError("something is sent")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    assert set(estimates(project, study)) == {"explainer", "simulator"}


def test_every_sample_is_asked_for_and_simulated(tmp_path: Path) -> None:
    changes = asking(NOWHERE)
    one, three = (
        read_study(write_study(tmp_path, name, **changes | {"explainer": {**changes["explainer"], "samples": n}}))  # type: ignore[dict-item]
        for name, n in (("one", 1), ("three", 3))
    )
    project, _ = make_project(tmp_path)
    found = [estimates(project, study) for study in (one, three)]

    assert [each["explainer"].requests for each in found] == [18, 54]
    n_valid, n_calibration = 3 + 6, 2 + 2  # several are simulated on `calibration`, too: one is chosen there
    assert [each["simulator"].requests for each in found] == [18 * 2 * n_valid, 18 * 4 * (n_valid + n_calibration)]


def test_a_lone_neuron_has_no_control_to_simulate(tmp_path: Path) -> None:
    project, study = make_project(tmp_path, **asking(NOWHERE, neurons=[3]))

    assert estimates(project, study)["simulator"].requests == 6 * 9


def test_reading_probabilities_gives_no_tokens_back(tmp_path: Path) -> None:
    changes = asking(NOWHERE)
    project, study = make_project(tmp_path, **changes | {"simulator": changes["simulator"] | {"method": "logprobs"}})  # type: ignore[operator]

    found = estimates(project, study)["simulator"]

    assert found.tokens_out == 0
    assert found.tokens_in > 0


def test_texts_that_are_too_short_are_named(tmp_path: Path) -> None:
    project, study = make_project(tmp_path, **asking(NOWHERE, corpus=CORPUS | {"excerpt_length": 128}))

    with pytest.raises(NoDocuments):
        estimates(project, study)


def test_a_study_of_rules_asks_nothing(tmp_path: Path) -> None:
    assert estimates(*make_project(tmp_path)) == {}
