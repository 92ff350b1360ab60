"""The commands about asking after a study has asked a server: what it took, and what is kept."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import Result

from neuron_assets.language_models.database import Database
from neuron_assets.language_models.ledger import Ledger
from neuron_assets.language_models.model import Usage
from tests.commands_about_asking import PRICES, entry, run, use, words
from tests.language_models.misbehaving_server import MODEL, MisbehavingServer
from tests.polite_server import asking, is_a_probe, polite_server
from tests.scenario import make_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Asked"]:
    """A project whose study has asked a server, through the command line."""
    root = tmp_path_factory.mktemp("asked")
    with polite_server() as server, pytest.MonkeyPatch.context() as patched:
        make_project(root, **asking(server.url, layers=[1], prices=PRICES))
        use(root, patched)
        materialized = run("materialize", "tiny")
        assert materialized.exit_code == 0, materialized.output
        yield Asked(root, server, materialized)


@dataclass(frozen=True)
class Asked:
    root: Path
    server: MisbehavingServer
    materialized: Result

    @property
    def n_requests(self) -> int:
        return sum(not is_a_probe(body) for body in self.server.bodies)


@pytest.fixture
def again(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> Asked:
    use(asked.root, monkeypatch)
    return asked


def test_a_run_ends_with_what_asking_has_taken(again: Asked) -> None:
    spending = pl.read_parquet(again.root / "data" / "tiny" / "spending.parquet")

    assert "summary of all layers, trends, what asking has taken so far" in again.materialized.output
    places = [("explanations", 1), ("observation", None), ("simulations", 1)]
    assert spending.select("asset", "layer_index").rows() == places
    assert spending["requests"].to_list()[1] == 1
    assert spending["requests"].sum() == again.server.n_requests == again.n_requests + 1
    assert spending.select(pl.sum_horizontal("unreadable", "refused", "retried")).to_series().sum() == 0


def test_what_asking_has_taken_is_made_anew_when_there_is_more_of_it(again: Asked) -> None:
    n_before = again.n_requests
    nothing_new = run("materialize", "tiny")
    database = Database.open(str(again.root / "data" / "requests.sqlite"))
    Ledger(database).record(entry(f"{MODEL}@elsewhere", Usage(10, 2)))
    database.close()
    grown = run("materialize", "tiny")

    assert "everything asked for is there" in nothing_new.output
    assert again.n_requests == n_before
    assert [line.strip() for line in grown.output.splitlines()][1] == "what asking has taken so far"
    spending = pl.read_parquet(again.root / "data" / "tiny" / "spending.parquet")
    assert spending.filter(pl.col("asset") != "observation")["requests"].sum() == n_before + 1


def test_the_ledger_is_shown_by_step_and_layer(again: Asked) -> None:
    explanations = words(run("ledger", "tiny"), "explanations")

    assert explanations[1:4] == ["L1", "3", "0"]
    assert float(explanations[7]) > 0


def test_after_a_run_the_estimate_rests_on_the_ledger_and_says_so(again: Asked) -> None:
    result = run("estimate", "tiny")

    assert "answers to this study, in its ledger" in result.output
    assert int(words(result, "simulator")[1]) == again.n_requests - 3


def test_answers_travel_from_one_store_to_another_and_are_forgotten(
    again: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = again.root / "answers.jsonl"
    n = again.n_requests
    status, exported = run("requests", "status"), run("requests", "export", str(file))
    monkeypatch.setenv("NEURON_ASSETS_REQUESTS", str(again.root / "other.sqlite"))
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    imports = [run("requests", "import", str(file)).output for _ in range(2)]
    identity = json.loads(file.read_text(encoding="utf-8").splitlines()[0])["identity"]
    name = identity.partition("@")[0]
    prunes = [
        run("requests", "prune", *which).output
        for which in (("--before", today), ("--model", "nobody"), ("--model", name, "--before", "2999-01-01"))
    ]

    assert status.output.startswith(f"{n} answers in ")
    assert status.output.endswith(f"  {n} of {identity}\n")
    assert exported.output == f"{n} answers written to {file}\n"
    assert imports == [f"{n} answers taken over\n", "0 answers taken over\n"]
    assert prunes == [
        "0 answers forgotten\n",
        f"0 answers forgotten\nKept are answers of {identity}.\n",
        f"{n} answers forgotten\n",
    ]
    assert run("requests", "status").output.startswith("0 answers in ")
