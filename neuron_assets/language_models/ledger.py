"""What was asked over the network and what it took: tokens, money, seconds.

Here: writing it down, and adding it up. Not here: prices (`prices.py`), what a study may take (`budget.py`), answers
(an answer that is found in the request store took nothing, and stands in no ledger).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Literal

import numpy as np
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Insert,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    bindparam,
    func,
    select,
)

from neuron_assets.language_models.database import Database
from neuron_assets.language_models.model import Usage
from neuron_assets.language_models.prices import Price, price_of

Outcome = Literal["answered", "unreadable", "refused", "retried"]
"""What came of a request: a reply that could be read, one that could not, none for good, none for now."""

_ANSWERED: tuple[Outcome, ...] = ("answered", "unreadable")
"""What a server charges for."""

OBSERVATION = "observation"
"""In place of an asset: what was asked only to see who answers, or whether a server can be trusted."""

_TABLES = MetaData()

_USAGE = Table(
    "usage",
    _TABLES,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("asked_at", DateTime, nullable=False),  # UTC, when the outcome was known
    Column("study", String, nullable=False, index=True),
    Column("asset", String, nullable=False),
    Column("layer_index", Integer),
    Column("model", String, nullable=False),
    Column("tokens_in", BigInteger, nullable=False),
    Column("tokens_out", BigInteger, nullable=False),
    Column("tokens_cached", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("money", Float),  # US dollars; null where the price is unknown
    Column("outcome", String, nullable=False),
    Column("run_id", String),
    Column("is_estimated", Boolean),  # null, here and below: written down before there was such a column
    Column("is_batch", Boolean),
)

# The sums of `usage`, kept with it in one transaction: a budget is looked at before each request.
_TOTALS = Table(
    "usage_totals",
    _TABLES,
    Column("study", String, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("tokens_in", BigInteger, nullable=False),
    Column("tokens_out", BigInteger, nullable=False),
    Column("tokens_cached", BigInteger, nullable=False),
    Column("money", Float),  # null where no request has a price
    Column("n_without_price", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One request that went over the network."""

    study: str
    asset: str
    """Or OBSERVATION."""
    layer_index: int | None
    model: str
    """The identity of who answered, or was to answer."""
    seconds: float
    outcome: Outcome
    usage: Usage = field(default_factory=Usage)
    """Nothing, where there was no answer."""
    batch: bool = False
    """Whether it was part of a provider's batch, at half the price."""
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """What all requests of a study took, in all its runs."""

    requests: int
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    """Those of `tokens_in` that the server had seen before."""
    money: float | None
    """US dollars of those whose price is known; None where there are requests, and none with a price."""
    n_without_price: int
    """Answered requests whose model has no known price: they are not in `money`."""


@dataclass(frozen=True, slots=True)
class Spending:
    """What the requests of one asset, layer and model took; one row of a table."""

    asset: str
    layer_index: int | None
    model: str
    requests: int
    answered: int
    unreadable: int
    refused: int
    retried: int
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    cached_share: float | None
    """Of `tokens_in`, 0 to 1; None where there are none."""
    money: float | None
    """US dollars of those whose price is known; None where there is none."""
    n_without_price: int
    n_estimated: int
    """Answered requests whose tokens the server did not tell, or not all: they are estimated, rather too many."""
    median_seconds: float | None
    """Until the answer; None where nothing was answered. A provider's batch takes its own time, and is not in it."""
    p95_seconds: float | None


class Ledger:
    """The usage table of a database, with the prices that hold. Its operations raise StoreUnusable."""

    def __init__(self, database: Database, prices: Mapping[str, Price] | None = None, alias: str | None = None) -> None:
        """`prices` overrule the list that comes with this package; `alias` is what they may call the model asked."""
        self._database = database
        self._prices = prices
        self._alias = alias
        database.create(_TABLES)
        self._add_to_totals = _adding_to_totals(database)

    def record(self, *entries: Entry) -> None:
        """Writes down requests that have ended, at least one."""
        rows = [self._row(entry) for entry in entries]
        with self._database.transaction() as connection:
            connection.execute(_USAGE.insert(), rows)
            for study in {entry.study for entry in entries}:
                connection.execute(self._add_to_totals, _totals(study, [row for row in rows if row["study"] == study]))

    def _row(self, entry: Entry) -> dict[str, Any]:
        price = price_of(entry.model, self._prices, self._alias)
        names = ("study", "asset", "layer_index", "model", "seconds", "outcome", "run_id")
        return {name: getattr(entry, name) for name in names} | {
            "asked_at": datetime.now(UTC).replace(tzinfo=None),
            "tokens_in": entry.usage.tokens_in,
            "tokens_out": entry.usage.tokens_out,
            "tokens_cached": entry.usage.tokens_cached,
            "money": None if price is None else price.money(entry.usage, batch=entry.batch),
            "is_estimated": entry.usage.is_estimated,
            "is_batch": entry.batch,
        }

    def give_late_prices(self, study: str, model: str | None = None) -> None:
        """Gives their money to requests whose model had no price when they were answered, and has one now.

        Where a model is told, it is for its requests alone, and `alias` is its own.
        """
        if not self.spent(study).n_without_price:
            return
        is_lacking = (_USAGE.c.study == study) & _USAGE.c.outcome.in_(_ANSWERED) & _USAGE.c.money.is_(None)
        is_meant = is_lacking if model is None else is_lacking & (_USAGE.c.model == model)
        money = select(func.sum(_USAGE.c.money)).where(_USAGE.c.study == study)
        n_lacking = select(func.count()).select_from(_USAGE).where(is_lacking & (_USAGE.c.asset != OBSERVATION))
        sums = {"money": money.scalar_subquery(), "n_without_price": n_lacking.scalar_subquery()}
        with self._database.transaction() as connection:
            connection.execute(select(_TOTALS).where(_TOTALS.c.study == study).with_for_update())
            rows = connection.execute(select(_USAGE).where(is_meant)).all()
            priced = _priced(rows, self._prices, None if model is None else self._alias)
            if priced:
                of_row = _USAGE.update().where(_USAGE.c.id == bindparam("row_id"))
                connection.execute(of_row.values(money=bindparam("dollars")), priced)
                connection.execute(_TOTALS.update().where(_TOTALS.c.study == study).values(**sums))

    def spent(self, study: str) -> Spent:
        """What all requests of the study took so far; as quick after many requests as after few."""
        with self._database.transaction() as connection:
            row = connection.execute(select(_TOTALS).where(_TOTALS.c.study == study)).mappings().one_or_none()
        if row is None:
            return Spent(0, 0, 0, 0, money=0.0, n_without_price=0)
        return Spent(**{total.name: row[total.name] for total in fields(Spent)})

    def n_questions(self, study: str) -> int:
        """How many requests the study has made beside those that only look who answers."""
        asked = (_USAGE.c.study == study) & (_USAGE.c.asset != OBSERVATION)
        with self._database.transaction() as connection:
            return connection.scalar(select(func.count()).select_from(_USAGE).where(asked)) or 0

    def summary(self, study: str) -> list[Spending]:
        """The study's requests by asset, layer and model, in this order; what belongs to no layer comes last."""
        places = (_USAGE.c.asset, _USAGE.c.layer_index, _USAGE.c.model)
        names = ("outcome", "tokens_in", "tokens_out", "tokens_cached", "money", "seconds", "is_estimated", "is_batch")
        asked = select(*places, *(_USAGE.c[name] for name in names)).where(_USAGE.c.study == study)
        with self._database.transaction() as connection:
            few_at_once = connection.execution_options(yield_per=1000)
            rows = few_at_once.execute(asked.order_by(*(place.nulls_last() for place in places)))
            groups = groupby(rows, lambda row: (row.asset, row.layer_index, row.model))
            return [_spending(*place, list(group)) for place, group in groups]


def _priced(rows: Sequence[Row[Any]], prices: Mapping[str, Price] | None, alias: str | None) -> list[dict[str, Any]]:
    """Of the rows whose model has a price, what they cost."""
    price_by_model = {model: price_of(model, prices, alias) for model in {row.model for row in rows}}
    priced = []
    for row in rows:
        price = price_by_model[row.model]
        if price is not None:
            usage = Usage(row.tokens_in, row.tokens_out, row.tokens_cached)
            priced.append({"row_id": row.id, "dollars": price.money(usage, batch=bool(row.is_batch))})
    return priced


def _totals(study: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What some requests of a study took together."""
    moneys = [row["money"] for row in rows if row["money"] is not None]
    return {
        "study": study,
        "requests": len(rows),
        **{name: sum(row[name] for row in rows) for name in ("tokens_in", "tokens_out", "tokens_cached")},
        "money": math.fsum(moneys) if moneys else None,
        "n_without_price": sum(_lacks_price(row["asset"], row["outcome"], row["money"]) for row in rows),
    }


def _adding_to_totals(database: Database) -> Insert:
    row = database.insert(_TOTALS)
    old, new = _TOTALS.c, row.excluded
    sums = {column.name: column + new[column.name] for column in old if column.name != "study"}
    # Where one of the two is null, the sum is the other.
    sums["money"] = func.coalesce(sums["money"], old.money, new.money)
    return row.on_conflict_do_update(index_elements=[old.study], set_=sums)


def _spending(asset: str, layer_index: int | None, model: str, rows: Sequence[Row[Any]]) -> Spending:
    """The sums of some rows, at least one."""
    outcomes = Counter(row.outcome for row in rows)
    tokens_in, tokens_cached = sum(row.tokens_in for row in rows), sum(row.tokens_cached for row in rows)
    moneys = [row.money for row in rows if row.money is not None]
    seconds = [row.seconds for row in rows if row.outcome in _ANSWERED and not row.is_batch]
    median, p95 = np.percentile(seconds, [50, 95]).tolist() if seconds else (None, None)
    return Spending(
        asset=asset,
        layer_index=layer_index,
        model=model,
        requests=len(rows),
        answered=outcomes["answered"],
        unreadable=outcomes["unreadable"],
        refused=outcomes["refused"],
        retried=outcomes["retried"],
        tokens_in=tokens_in,
        tokens_out=sum(row.tokens_out for row in rows),
        tokens_cached=tokens_cached,
        cached_share=tokens_cached / tokens_in if tokens_in else None,
        money=math.fsum(moneys) if moneys else None,
        n_without_price=sum(_lacks_price(asset, row.outcome, row.money) for row in rows),
        n_estimated=sum(bool(row.is_estimated) for row in rows),
        median_seconds=median,
        p95_seconds=p95,
    )


def _lacks_price(asset: str, outcome: Outcome, money: float | None) -> bool:
    """Whether something was charged, and nobody knows how much; to see who answers is a token or two."""
    return asset != OBSERVATION and outcome in _ANSWERED and money is None
