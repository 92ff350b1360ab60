"""The commands about asking where nothing has been asked: what they say before a run, and of what is wrong."""

import re
import socket
from io import StringIO
from pathlib import Path
from typing import NoReturn, get_args

import pytest
from rich.console import Console

from neuron_assets.assets.forward_pass import OnePass
from neuron_assets.language_models.asker import Progress
from neuron_assets.language_models.database import Database
from neuron_assets.language_models.ledger import Ledger, Outcome
from neuron_assets.language_models.model import Usage
from neuron_assets.language_models.prices import Price, known_prices
from neuron_assets.terminal import progress_bars
from tests.commands_about_asking import NOWHERE, PRICES, entry, run, use, words
from tests.polite_server import asking
from tests.scenario import make_project, write_study

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a study that asks a server, which is not there, and a study of rules."""
    make_project(tmp_path, **asking(NOWHERE, layers=[0, 1]))
    write_study(tmp_path, "rules")
    use(tmp_path, monkeypatch)
    return tmp_path


def test_an_estimate_tells_requests_tokens_money_and_time_and_sends_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> NoReturn:
        raise AssertionError("something is sent")

    write_study(home, **asking("https://api.openai.com/v1", layers=[0, 1], prices=PRICES))
    with monkeypatch.context() as patched:
        for name in ("connect", "connect_ex", "sendto"):
            patched.setattr(socket.socket, name, refuse)
        patched.setattr(socket, "getaddrinfo", refuse)
        result = run("estimate", "tiny")
    explainer, simulator = words(result, "explainer"), words(result, "simulator")

    assert (explainer[1], simulator[1:3]) == ("6", ["<=", "108"])
    assert "exact once the activations are materialized" in result.output
    tokens_in, tokens_out = (int(explainer[place].replace(",", "")) for place in (2, 3))
    assert float(explainer[5]) == pytest.approx((2 * tokens_in + 8 * tokens_out) / 1e6, rel=0.01)
    assert explainer[4].endswith("%")
    assert explainer[6:] == ["3", "s"]
    assert "40 prompts of" in result.output
    assert f"a list of {known_prices().written_down}" in " ".join(result.output.split())


def test_a_budget_that_cannot_be_held_is_told_by_the_estimate(home: Path) -> None:
    write_study(home, **asking("https://api.openai.com/v1", layers=[0], budget={"money": 5}))
    with_price = asking("https://api.openai.com/v1", layers=[0], budget={"money": 5}, prices=PRICES)

    assert "The budget is in dollars: nothing is asked of parrot-1 until" in run("estimate", "tiny").output
    write_study(home, **with_price)
    assert "The budget is in dollars" not in run("estimate", "tiny").output


def test_an_unknown_price_is_said_to_be_unknown(home: Path) -> None:
    result = run("estimate", "tiny", "--layers", "0")

    assert words(result, "explainer")[5] == "unknown"
    assert words(result, "simulator")[6] == "unknown"


@pytest.mark.parametrize(("neurons", "requests"), [("5", "10"), ("all", "1,536")])
def test_layers_and_neurons_may_be_chosen_as_for_a_run(home: Path, neurons: str, requests: str) -> None:
    assert words(run("estimate", "tiny", "--neurons", neurons), "explainer")[1] == requests


def test_a_study_of_rules_asks_nothing(home: Path) -> None:
    assert run("estimate", "rules").output == "rules asks no server: explainer rules, simulator rules.\n"
    assert run("ledger", "rules").output == "rules has asked no server so far.\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("estimate", "nobody"), 2, "There is no study 'nobody'"),
        (("estimate", "tiny", "--layers", "9"), 2, "Layer 9 does not exist"),
        (("estimate", "tiny", "--layers", "3"), 2, "Layer 3 is not one of the study tiny"),
        (("estimate", "tiny", "--neurons", "0"), 2, "neither a number from 1 nor"),
        (("ledger", "nobody"), 2, "There is no study 'nobody'"),
        (("requests", "import", "nothing.jsonl"), 2, "does not exist"),
        (("requests", "prune"), 2, "Say which"),
        (("requests", "prune", "--before", "yesterday"), 2, "does not match the format"),
    ],
)
def test_a_wrong_request_says_why(home: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    result = run(*arguments)

    assert result.exit_code == code
    assert message in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("arguments", [("ledger", "tiny"), ("estimate", "tiny"), ("requests", "status")])
def test_a_store_that_cannot_be_used_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    (home / "no_database").write_text("something else, and long enough to be looked at" * 9, encoding="utf-8")
    monkeypatch.setenv("NEURON_ASSETS_REQUESTS", str(home / "no_database"))

    result = run(*arguments)

    assert result.exit_code == 1
    assert "no_database cannot be used" in result.output
    assert "Traceback" not in result.output


def test_answers_that_are_no_answers_are_not_taken_over(home: Path) -> None:
    (home / "bad.jsonl").write_text('{"key": 1}\n', encoding="utf-8")

    result = run("requests", "import", str(home / "bad.jsonl"))

    assert result.exit_code == 1
    assert "line 1 is not an answered request" in result.output
    assert run("requests", "status").output.startswith("0 answers in ")


def test_a_file_that_cannot_be_written_is_named(home: Path) -> None:
    (home / "in_the_way").mkdir()

    result = run("requests", "export", str(home / "in_the_way"))

    assert result.exit_code == 1
    assert "in_the_way could not be written" in result.output


def test_what_is_not_known_of_the_whole_is_said(home: Path) -> None:
    database = Database.open(str(home / "data" / "requests.sqlite"))
    for model in ("a", "b"):
        usage = Usage(1000, 100, is_estimated=model == "b")
        Ledger(database, {"a": Price(1.0, 10.0)}).record(entry(model, usage))
    database.close()
    result = run("ledger", "tiny")

    assert [line.split()[4:8] for line in result.output.splitlines() if "explanations" in line] == [
        ["1,000", "100", "0%", "0.0020"],
        ["~1,000", "~100", "0%", "unknown"],
    ]
    assert "In all: 2 requests, >= 0.0020 dollars; 1 of them without a known price" in result.output
    assert "~: the server does not tell all of it" in result.output


def test_no_line_is_cut_at_80_columns(home: Path) -> None:
    """However much was asked, and whatever the model is called."""
    model = f"a-provider/{'a-long-name-' * 9}[bold]70b"
    database = Database.open(str(home / "data" / "requests.sqlite"))
    for outcome in get_args(Outcome):
        usage = Usage(98_765_432, 12_345_678, 98_765_432, is_estimated=True)
        Ledger(database).record(entry(model, usage, outcome))
        Ledger(database, {model: Price(9.0, 9.0)}).record(entry(model, usage, outcome))
    database.close()
    for asset in ("explainer", "simulator"):
        written = asking(NOWHERE)[asset]
        assert isinstance(written, dict)
        written["model"] = model
        write_study(home, **asking(NOWHERE, neurons="all", **{asset: written}))
        told = [run("ledger", "tiny").output, run("estimate", "tiny").output]

        assert not [line for output in told for line in output.splitlines() if len(line) > 80 or "…" in line]
        assert model in "".join(line.strip() for line in told[0].splitlines())
        assert f"In all: {2 * len(get_args(Outcome))} requests, >= " in told[0]
        assert "unknown" in told[1]


def test_how_far_a_pass_has_come_is_shown_and_not_cut_at_80_columns() -> None:
    shown = StringIO()
    with progress_bars(Console(file=shown, force_terminal=True, width=80)) as (of_pass, _, _):
        on_progress = of_pass(None, OnePass(range(48), 11, 12))
        for n_done in range(0, 60_000, 6_000):
            on_progress(n_done, 60_000)

    assert "pass 11 of 12" in shown.getvalue()
    assert re.search(r" 54000/60000, \d+ a second, 0:00:0\d left ", shown.getvalue())
    assert "…" not in shown.getvalue()


def test_how_far_asking_has_come_is_shown_and_not_cut_at_80_columns() -> None:
    shown = StringIO()
    console = Console(file=shown, force_terminal=True, width=80)
    with progress_bars(console) as (of_pass, of_asking, _):
        of_pass(None, OnePass((0,), 1, 1))(3, 7)
        of_asking(None, "explanations of L001")(Progress(3, 1, 2))
        of_asking(None, "simulations of L001")(Progress(123_456, 1_234, 123_432))

    assert "123,456 done, 123,432 asked, 1,234 failed" in shown.getvalue()
    assert "…" not in shown.getvalue()
