"""The sections of a study file that say how language models are asked, and what that may cost.

Here: what may be written under `asking`, `budget` and `prices`; nothing in it changes an answer. Not here: who is asked
(`model_sections.py`).
"""

from typing import Annotated, Literal

from pydantic import Field

from neuron_assets.sections import Count, Section

MOST_CONNECTIONS = 1000
"""Of the client's pool: more requests at once would wait there for a connection, and their time would run out."""


class AskingSection(Section):
    """How models are asked; nothing here changes an answer."""

    mode: Literal["direct", "batch"] = "direct"
    """direct: a request a question. batch: by the provider's batches, at half the price and within a day; for chat
    models of servers that take batches. The run waits; where it is stopped, the batch goes on, and the next run
    collects it. A batch that would go beyond the budget is not sent."""
    most_in_batch: Annotated[int, Field(ge=1, le=50_000)] = 10_000
    """Requests. Smaller ones spend less beyond a budget, and fit the provider's bound on tokens that wait."""
    megabytes_in_batch: Annotated[int, Field(ge=1, le=200)] = 50
    most_at_once: Annotated[int, Field(ge=1, le=MOST_CONNECTIONS)] = 8
    """Requests in flight; fewer while the server is crowded."""
    most_tries: Count = 6
    """How often a request is sent that the server does not answer."""
    timeout: Annotated[float, Field(gt=0)] = 120.0
    """Seconds for one request."""
    rows_at_once: Annotated[int, Field(ge=1)] = 40
    """For a local simulator: excerpts that go through the model together."""


class BudgetSection(Section):
    """What the study may spend in all its runs; the run that reaches it stops and keeps what it has."""

    money: Annotated[float, Field(gt=0)] | None = None
    """Dollars, by the price list."""
    tokens: Count | None = None
    requests: Count | None = None


class PriceSection(Section):
    """Dollars for a million tokens."""

    tokens_in: Annotated[float, Field(ge=0)]
    tokens_cached: Annotated[float, Field(ge=0)] | None = None
    """None: as `tokens_in`."""
    tokens_out: Annotated[float, Field(ge=0)]
