"""What a study may take, held against what it took.

Here: the bounds, and the hard stop at them. Not here: what it took (`ledger.py`), prices (`prices.py`).
"""

from dataclasses import dataclass

from neuron_assets.errors import BudgetSpent, PriceUnknown
from neuron_assets.language_models.ledger import Spent


@dataclass(frozen=True, slots=True)
class Budget:
    """What a study may take in all its runs; None sets no bound."""

    money: float | None = None
    """US dollars."""
    requests: int | None = None
    tokens: int | None = None
    """In and out together."""


def check_budget(spent: Spent, budget: Budget, study: str, n_others: int = 0) -> None:
    """Before a request: raises BudgetSpent where nothing is left for it, PriceUnknown where nobody knows what is left.

    `n_others` have been sent, or are sent with it, and stand in no book yet: each is taken to cost what others did, on
    average. So what is spent goes beyond the budget by about one request at most, however many are sent at once.
    """
    others = n_others / max(1, spent.requests)
    told = f", and {n_others:,} requests are under way" if n_others else ""
    if budget.money is not None:
        if spent.n_without_price:
            raise PriceUnknown(study, spent.n_without_price)
        money = spent.money or 0.0
        if money * (1 + others) >= budget.money:
            raise BudgetSpent(study, _dollars(money), _dollars(budget.money) + told)
    if budget.requests is not None and spent.requests + n_others >= budget.requests:
        raise BudgetSpent(study, f"{spent.requests:,} requests", f"{budget.requests:,} requests{told}")
    n_tokens = spent.tokens_in + spent.tokens_out
    if budget.tokens is not None and n_tokens * (1 + others) >= budget.tokens:
        raise BudgetSpent(study, f"{n_tokens:,} tokens", f"{budget.tokens:,} tokens{told}")


def _dollars(money: float) -> str:
    return f"${money:,.2f}" if money == 0 or money >= 1 else f"${money:.4f}"
