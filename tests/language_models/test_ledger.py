"""The ledger: what went over the network is written down, and a budget is a hard stop."""

import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from neuron_assets.errors import BudgetSpent, PriceUnknown
from neuron_assets.language_models.budget import Budget, check_budget
from neuron_assets.language_models.database import Database
from neuron_assets.language_models.ledger import OBSERVATION, Entry, Ledger, Spent
from neuron_assets.language_models.model import Usage
from neuron_assets.language_models.prices import Price

PRICES = {"paid": Price(tokens_in=1.0, tokens_out=10.0, tokens_cached=0.5)}
ANSWERED = Entry(
    study="colours",
    asset="explanations",
    layer_index=3,
    model="paid",
    seconds=2.0,
    outcome="answered",
    usage=Usage(tokens_in=1000, tokens_out=100, tokens_cached=600),
)
ITS_MONEY = (400 * 1.0 + 600 * 0.5 + 100 * 10.0) / 1e6


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(str(tmp_path / "requests.sqlite"))
    yield opened
    opened.close()


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database, PRICES)


def test_a_study_that_asked_nothing_has_spent_nothing(ledger: Ledger) -> None:
    assert ledger.spent("colours") == Spent(0, 0, 0, 0, money=0.0, n_without_price=0)
    assert ledger.summary("colours") == []


def test_requests_are_added_up_per_study(ledger: Ledger) -> None:
    for study in ("colours", "shapes", "colours"):
        ledger.record(replace(ANSWERED, study=study))

    spent = ledger.spent("colours")

    assert (spent.requests, spent.tokens_in, spent.tokens_out, spent.tokens_cached) == (2, 2000, 200, 1200)
    assert spent.money == pytest.approx(2 * ITS_MONEY)
    assert ledger.spent("shapes").requests == 1


def test_a_batch_is_written_down_at_half_the_price(ledger: Ledger) -> None:
    ledger.record(replace(ANSWERED, batch=True))

    assert ledger.spent("colours").money == pytest.approx(ITS_MONEY / 2)


def test_the_time_that_a_batch_takes_is_nobodys_latency(ledger: Ledger) -> None:
    ledger.record(replace(ANSWERED, batch=True, seconds=7200.0))

    assert [row.median_seconds for row in ledger.summary("colours")] == [None]

    ledger.record(ANSWERED)

    assert [(row.median_seconds, row.p95_seconds) for row in ledger.summary("colours")] == [(2.0, 2.0)]


def test_money_nobody_knows_is_null_and_counted_not_zero(ledger: Ledger) -> None:
    ledger.record(replace(ANSWERED, model="unheard-of"))

    assert ledger.spent("colours").money is None
    assert ledger.spent("colours").n_without_price == 1
    assert ledger.summary("colours")[0].money is None


@pytest.mark.parametrize("models", [("unheard-of", "paid"), ("paid", "unheard-of")])
def test_the_known_part_of_the_money_stays_known_in_either_order(ledger: Ledger, models: tuple[str, str]) -> None:
    for model in models:
        ledger.record(replace(ANSWERED, model=model))

    assert ledger.spent("colours").money == pytest.approx(ITS_MONEY)
    assert ledger.spent("colours").n_without_price == 1


def test_a_price_that_comes_late_counts_for_what_was_asked_before(ledger: Ledger, database: Database) -> None:
    for entry in (replace(ANSWERED, batch=True), ANSWERED, replace(ANSWERED, model="unheard-of")):
        Ledger(database, {}).record(entry)
    for _ in range(2):
        ledger.give_late_prices("colours")

    spent = ledger.spent("colours")

    assert (spent.requests, spent.tokens_in, spent.n_without_price) == (3, 3000, 1)
    assert spent.money == pytest.approx(1.5 * ITS_MONEY)
    assert [row.money for row in ledger.summary("colours")] == [pytest.approx(1.5 * ITS_MONEY), None]


def test_a_look_at_who_answers_is_counted_but_is_no_question_and_bars_no_budget(ledger: Ledger) -> None:
    ledger.record(ANSWERED)
    ledger.record(replace(ANSWERED, asset=OBSERVATION, model="unheard-of"))

    spent = ledger.spent("colours")

    assert (spent.requests, spent.tokens_in, spent.n_without_price) == (2, 2000, 0)
    assert ledger.n_questions("colours") == 1


@pytest.mark.parametrize("outcome", ["refused", "retried"])
def test_a_request_without_answer_is_counted_and_lacks_no_price(ledger: Ledger, outcome: str) -> None:
    ledger.record(Entry("colours", "explanations", 3, "unheard-of", 0.1, outcome))  # type: ignore[arg-type]  # one of them

    assert ledger.spent("colours") == Spent(1, 0, 0, 0, money=None, n_without_price=0)


def test_the_summary_has_a_row_for_each_asset_layer_and_model(ledger: Ledger) -> None:
    for entry in (
        replace(ANSWERED, layer_index=None),
        replace(ANSWERED, layer_index=10),
        replace(ANSWERED, layer_index=9),
        replace(ANSWERED, layer_index=9, model="unheard-of"),
        replace(ANSWERED, asset="simulations"),
        replace(ANSWERED, study="shapes"),
    ):
        ledger.record(entry)

    assert [(row.asset, row.layer_index, row.model) for row in ledger.summary("colours")] == [
        ("explanations", 9, "paid"),
        ("explanations", 9, "unheard-of"),
        ("explanations", 10, "paid"),
        ("explanations", None, "paid"),
        ("simulations", 3, "paid"),
    ]


def test_the_summary_tells_outcomes_tokens_money_and_the_seconds_of_what_was_answered(ledger: Ledger) -> None:
    for seconds in range(1, 21):
        ledger.record(replace(ANSWERED, seconds=float(seconds)))
    ledger.record(replace(ANSWERED, outcome="unreadable", seconds=21.0))
    for outcome in ("retried", "retried", "refused"):
        ledger.record(replace(ANSWERED, outcome=outcome, usage=Usage(), seconds=900.0))

    (row,) = ledger.summary("colours")

    assert (row.requests, row.answered, row.unreadable, row.refused, row.retried) == (24, 20, 1, 1, 2)
    assert (row.tokens_in, row.tokens_out, row.tokens_cached) == (21_000, 2100, 12_600)
    assert row.cached_share == pytest.approx(0.6)
    assert row.money == pytest.approx(21 * ITS_MONEY)
    assert row.median_seconds == 11.0
    assert row.p95_seconds == 20.0
    assert row.n_without_price == 0


def test_estimates_are_told_from_counts(ledger: Ledger) -> None:
    for is_estimated in (True, False, True):
        ledger.record(replace(ANSWERED, usage=replace(ANSWERED.usage, is_estimated=is_estimated)))

    assert ledger.summary("colours")[0].n_estimated == 2


OLDER = """
    CREATE TABLE usage (
    id INTEGER PRIMARY KEY, asked_at DATETIME NOT NULL, study VARCHAR NOT NULL, asset VARCHAR NOT NULL,
    layer_index INTEGER, model VARCHAR NOT NULL, tokens_in BIGINT NOT NULL, tokens_out BIGINT NOT NULL,
    tokens_cached BIGINT NOT NULL, seconds FLOAT NOT NULL, money FLOAT, outcome VARCHAR NOT NULL, run_id VARCHAR);
    INSERT INTO usage VALUES
    (1, '2026-01-01 00:00:00', 'colours', 'explanations', 3, 'paid', 1000, 100, 600, 2.0, 0.0017, 'answered', NULL);
"""
"""A ledger as it was before it told estimates from counts."""


def test_an_older_ledger_goes_on_whoever_opens_it_first(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "requests.sqlite")) as older:
        older.executescript(OLDER)
    with ThreadPoolExecutor(8) as threads:
        ledgers = list(
            threads.map(lambda _: Ledger(Database.open(str(tmp_path / "requests.sqlite")), PRICES), range(8))
        )
    ledgers[0].record(replace(ANSWERED, usage=replace(ANSWERED.usage, is_estimated=True)))

    (row,) = ledgers[-1].summary("colours")

    assert (row.requests, row.tokens_in, row.n_estimated) == (2, 2000, 1)


def test_where_nothing_was_answered_there_is_no_share_and_no_latency(ledger: Ledger) -> None:
    ledger.record(replace(ANSWERED, outcome="retried", usage=Usage()))

    (row,) = ledger.summary("colours")

    assert (row.cached_share, row.median_seconds, row.p95_seconds) == (None, None, None)


def test_several_processes_lose_no_request(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    script = (
        "import sys; from neuron_assets.language_models.database import Database;"
        "from neuron_assets.language_models.ledger import Entry, Ledger;"
        "from neuron_assets.language_models.model import Usage;"
        "ledger = Ledger(Database.open(sys.argv[1]));"
        "[ledger.record(Entry('colours', 'a', 0, 'gpt-4.1', 1.0, 'answered', Usage(7, 3))) for _ in range(40)]"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, str(path)]) for _ in range(3)]

    assert [process.wait() for process in running] == [0, 0, 0]

    ledger = Ledger(Database.open(str(path)))
    (row,) = ledger.summary("colours")
    spent = ledger.spent("colours")

    assert (spent.requests, spent.tokens_in, spent.tokens_out) == (120, 840, 360)
    assert (row.requests, row.tokens_in, row.tokens_out) == (120, 840, 360)
    assert spent.money == pytest.approx(row.money)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def test_the_sums_are_the_same_in_every_database(tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> None:
    url = str(tmp_path / "ledger") if kind == "sqlite" else request.getfixturevalue("postgres").url
    ledger = Ledger(Database.open(url), PRICES)
    study = uuid.uuid4().hex
    for layer_index in (None, 1, 1):
        ledger.record(replace(ANSWERED, study=study, layer_index=layer_index))

    assert ledger.spent(study).requests == 3
    assert ledger.spent(study).money == pytest.approx(3 * ITS_MONEY)
    assert [(row.layer_index, row.requests) for row in ledger.summary(study)] == [(1, 2), (None, 1)]


SPENT = Spent(requests=12, tokens_in=900, tokens_out=100, tokens_cached=0, money=1.2, n_without_price=0)


@pytest.mark.parametrize(
    "budget", [Budget(), Budget(money=1.21), Budget(requests=13), Budget(tokens=1001), Budget(5.0, 50, 5000)]
)
def test_within_its_budget_a_study_goes_on(budget: Budget) -> None:
    check_budget(SPENT, budget, "colours")


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        (Budget(money=1.2), r"has spent \$1\.20 of its budget of \$1\.20\."),
        (Budget(money=0.05), r"has spent \$1\.20 of its budget of \$0\.0500\."),
        (Budget(requests=12), r"has spent 12 requests of its budget of 12 requests\."),
        (Budget(tokens=1000), r"has spent 1,000 tokens of its budget of 1,000 tokens\."),
        (Budget(money=5.0, requests=50, tokens=999), r"has spent 1,000 tokens of its budget of 999 tokens\."),
    ],
)
def test_at_any_of_its_bounds_a_study_stops_and_says_at_which(budget: Budget, told: str) -> None:
    with pytest.raises(BudgetSpent, match=f"The study colours {told}"):
        check_budget(SPENT, budget, "colours")


@pytest.mark.parametrize("budget", [Budget(money=1.5), Budget(requests=15), Budget(tokens=1250)])
def test_what_is_under_way_is_taken_to_cost_what_others_did(budget: Budget) -> None:
    check_budget(SPENT, budget, "colours", 2)
    with pytest.raises(BudgetSpent, match="and 3 requests are under way"):
        check_budget(SPENT, budget, "colours", 3)


def test_a_budget_in_dollars_needs_every_price() -> None:
    unpriced = replace(SPENT, money=None, n_without_price=12)

    with pytest.raises(PriceUnknown, match=r"nobody knows what 12 of its requests cost.*`prices`"):
        check_budget(unpriced, Budget(money=100.0), "colours")
    check_budget(unpriced, Budget(requests=13), "colours")
