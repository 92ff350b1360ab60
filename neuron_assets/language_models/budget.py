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


def check_budget(spent: Spent, budget: Budget, study: str) -> None:
    """Raises BudgetSpent where nothing is left, PriceUnknown where nobody can say what is left."""
    if budget.money is not None:
        if spent.n_without_price:
            raise PriceUnknown(study, spent.n_without_price)
        if (spent.money or 0.0) >= budget.money:
            raise BudgetSpent(study, _dollars(spent.money or 0.0), _dollars(budget.money))
    if budget.requests is not None and spent.requests >= budget.requests:
        raise BudgetSpent(study, f"{spent.requests:,} requests", f"{budget.requests:,} requests")
    n_tokens = spent.tokens_in + spent.tokens_out
    if budget.tokens is not None and n_tokens >= budget.tokens:
        raise BudgetSpent(study, f"{n_tokens:,} tokens", f"{budget.tokens:,} tokens")


def _dollars(money: float) -> str:
    return f"${money:,.2f}" if money == 0 or money >= 1 else f"${money:.4f}"
