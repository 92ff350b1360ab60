"""What the tokens of hosted models cost.

Here: prices, and finding the one of a model. Not here: the list itself (`prices.yaml`, which a study overrules), and
adding up what was spent (`ledger.py`).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files

import yaml

from neuron_assets.language_models.model import Usage

_MILLION = 1_000_000
_BATCH_SHARE = 0.5
"""Of the price, for what a provider may answer within a day."""

_END_OF_NAME = re.compile(r"(-\d{3,}[-\d]*|-latest)?(?![\w.:/-])")
"""After a name only a date, another number of three digits or more, or the server may follow (`gpt-4.1-2025-04-14`,
`gpt-4.1@api.openai.com`): with another word, or a number such as 5.1, it is another model at another price."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens; raises ValueError on what is no price."""

    tokens_in: float
    tokens_out: float
    tokens_cached: float | None = None
    """For those of the tokens sent that the server had seen before; None where they cost as much as the others."""

    def __post_init__(self) -> None:
        for dollars in (self.tokens_in, self.tokens_out, self.tokens_cached or 0.0):
            if not math.isfinite(dollars) or dollars < 0:
                raise ValueError(f"{dollars} is not a price; write US dollars for a million tokens")

    def money(self, usage: Usage, *, batch: bool = False) -> float:
        """US dollars for what was used; half as much in a provider's batch."""
        cached = self.tokens_in if self.tokens_cached is None else self.tokens_cached
        n_fresh = max(0, usage.tokens_in - usage.tokens_cached)
        dollars = n_fresh * self.tokens_in + usage.tokens_cached * cached + usage.tokens_out * self.tokens_out
        return dollars / _MILLION * (_BATCH_SHARE if batch else 1)


@dataclass(frozen=True, slots=True)
class PriceList:
    prices: Mapping[str, Price]
    """By the model's name, as its provider writes it."""
    written_down: date
    """When: prices may have changed since."""


@cache
def known_prices() -> PriceList:
    """The list that comes with this package."""
    content = yaml.safe_load((files(__package__) / "prices.yaml").read_text(encoding="utf-8"))
    prices = {
        name: Price(tokens_in=price["in"], tokens_out=price["out"], tokens_cached=price["cached"])
        for name, price in content["dollars_per_million_tokens"].items()
    }
    return PriceList(prices, content["written_down"])


def price_of(model: str, overrides: Mapping[str, Price] | None = None, alias: str | None = None) -> Price | None:
    """The price under the longest name that `model`, or an identity that starts with it, begins with; else None.

    `overrides` come before the list, however short their names; in them what a study calls the model, its `alias`, is
    looked for too. None means that nobody knows the price, not that it is zero.
    """
    mine = overrides or {}
    for called, prices in ((model, mine), (alias or model, mine), (model, known_prices().prices)):
        names = [name for name in prices if called.startswith(name) and _END_OF_NAME.match(called, len(name))]
        if names:
            return prices[max(names, key=len)]
    return None
