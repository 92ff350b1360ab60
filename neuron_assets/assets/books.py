"""What one step asks, written down and held against the study's budget.

Put here: the joining of study, ledger and prices. Keep out: the ledger itself (`language_models/ledger.py`), asking
(`asked.py`).
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuron_assets.errors import ModelWithoutPrice
from neuron_assets.judge_sections import AskedModel, LocalJudge
from neuron_assets.language_models.asker import Progress, Requested
from neuron_assets.language_models.budget import Budget, check_budget
from neuron_assets.language_models.database import Database
from neuron_assets.language_models.ledger import OBSERVATION, Entry, Ledger
from neuron_assets.language_models.model import Usage
from neuron_assets.language_models.prices import Price, price_of
from neuron_assets.model_sections import LocalExplainer
from neuron_assets.study import Study


@dataclass(frozen=True, slots=True)
class Errand:
    """For which asset and layer of which run something is asked."""

    asset: str
    layer_index: int | None
    run_id: str | None
    on_progress: Callable[[Progress], None] = lambda _progress: None


class Books:
    """Of one errand; told of requests on the thread that asks."""

    def __init__(
        self,
        study: Study,
        section: AskedModel,
        errand: Errand,
        database: Database,
    ) -> None:
        """A model in this process costs nothing."""
        self._study = study
        self._errand = errand
        own = {section.model: Price(0.0, 0.0)} if isinstance(section, LocalExplainer | LocalJudge) else {}
        self._prices = {**prices_of(study), **own}
        self._alias = section.model
        self._ledger = Ledger(database, self._prices, self._alias)
        self._budget = Budget(**study.budget.model_dump())
        self._lock = threading.Lock()
        self._asked: list[Requested] = []

    def check_price(self, identity: str) -> None:
        """Before the first request; raises ModelWithoutPrice where the budget is in dollars and this one has none."""
        self._ledger.give_late_prices(self._study.name, identity)
        if self._budget.money is not None and price_of(identity, self._prices, self._alias) is None:
            raise ModelWithoutPrice(self._study.name, identity)

    def check(self, n_others: int) -> None:
        """Before each request, with how many others stand in no book yet; raises BudgetSpent or PriceUnknown."""
        if self._budget != Budget():
            check_budget(self._ledger.spent(self._study.name), self._budget, self._study.name, n_others)

    def record(self, asked: Sequence[Requested]) -> None:
        """After requests; one that only looks who answers is none of the asset's own."""
        with self._lock:
            self._asked += [one for one in asked if not one.is_look]
        self._ledger.record(*map(self._entry, asked))

    def _entry(self, asked: Requested) -> Entry:
        return Entry(
            study=self._study.name,
            asset=OBSERVATION if asked.is_look else self._errand.asset,
            layer_index=self._errand.layer_index,
            model=asked.identity,
            usage=asked.usage or Usage(),
            seconds=asked.seconds,
            outcome=asked.outcome,
            batch=asked.batch,
            run_id=self._errand.run_id,
        )

    def facts(self) -> Mapping[str, Any]:
        """Sums for the layer's metadata; no `dollars` where a price is not known."""
        with self._lock:
            asked = list(self._asked)
        answered = [
            (one.usage, price_of(one.identity, self._prices, self._alias), one.batch) for one in asked if one.usage
        ]
        usages = [usage for usage, _, _ in answered]
        moneys = [price and price.money(usage, batch=batch) for usage, price, batch in answered]
        facts: dict[str, Any] = {
            "requests": len(asked),
            "tokens_in": sum(usage.tokens_in for usage in usages),
            "tokens_out": sum(usage.tokens_out for usage in usages),
            "tokens_cached": sum(usage.tokens_cached for usage in usages),
            "n_estimated": sum(usage.is_estimated for usage in usages),
        }
        if None not in moneys:
            facts["dollars"] = round(sum(money or 0.0 for money in moneys), 6)
        return facts


def prices_of(study: Study) -> Mapping[str, Price]:
    """The study's own prices."""
    return {name: Price(**price.model_dump()) for name, price in study.prices.items()}
