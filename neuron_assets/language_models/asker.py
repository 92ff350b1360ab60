"""Who is asked, and all that stands around asking: where replies are kept, how hard is tried, who is told.

Here: the nouns. Not here: asking itself (`asking.py`).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from neuron_assets.errors import UnreadableReply
from neuron_assets.language_models.answered_requests import AnsweredRequest, Kept
from neuron_assets.language_models.ledger import Outcome
from neuron_assets.language_models.limiter import Sleep
from neuron_assets.language_models.model import LanguageModel, Replied, Usage
from neuron_assets.method.questions import Prompt, Question


class Store(Protocol):
    """What is needed of a RequestStore."""

    def get(self, key: str, /) -> Kept | None: ...

    def put(  # noqa: PLR0913  # all that a kept reply is told with
        self,
        key: str,
        prompt: Prompt,
        replied: Replied,
        *,
        seconds: float,
        parameters: Mapping[str, Any],
        about: str,
    ) -> None: ...

    def keep(self, answers: Sequence[AnsweredRequest], /) -> None: ...

    def observed(self, model_name: str, /) -> str | None: ...

    def observe(self, model_name: str, identity: str, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Requested:
    """One request that went over the network, for the ledger."""

    about: str
    identity: str
    """Who answered, or was to answer."""
    usage: Usage | None
    """None where nothing was answered."""
    seconds: float
    outcome: Outcome
    batch: bool = False
    """Whether it was part of a provider's batch."""
    is_look: bool = False
    """Whether it was only to see who answers, or whether the server can be trusted."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard is tried; none of it changes an answer."""

    most_at_once: int = 8
    """Requests in flight; fewer while the server is crowded."""
    most_tries: int = 6
    """How often a request is sent that the server does not answer. Being crowded does not count: that is waited out."""
    most_asks: int = 3
    """How often in all a question is asked whose reply cannot be read."""
    most_lost: int = 16
    """Questions in a row without any answer after which the server is down."""
    window: int = 1024
    """Questions that are taken ahead of the first one not yet answered; at least twice `most_at_once` are."""
    grace_s: float = 5.0
    """Seconds that what is in flight gets to arrive, and be kept, once the run is at its end."""


@dataclass(frozen=True, slots=True)
class Used:
    """An answer that is in the store, and was taken from there or put there for a question."""

    key: str
    about: str
    """What the question was about."""


def nothing(_: object = None) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True)
class Asker:
    """A language model, and all that stands around it while it is asked."""

    model: LanguageModel
    """Its connections are closed at the end of each `ask_all`."""
    name: str
    """What it is called in the study, and in messages: the server and the model's alias; no secrets."""
    store: Store
    limits: Limits = Limits()
    identity: str | None = None
    """Who it was observed to be; None: it is observed before the first question."""
    offline: bool = False
    """Whether answers come from the store alone."""
    before_asking: Callable[[int], None] = nothing
    """Called before each request, with how many others are under way or sent with it; may raise BudgetSpent. Like
    `record`, on another thread than the caller's."""
    record: Callable[[Sequence[Requested]], None] = nothing
    """Called after requests, soon."""
    used: Callable[[Used], None] = nothing
    """Called with each answer that there is, whether or not it can be read."""
    sleep: Sleep = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run of questions is."""

    n_answers: int = 0
    """Failures included."""
    n_failures: int = 0
    n_requests: int = 0
    """Sent so far; answers beyond them were in the store."""
    batch: str = ""
    """What was last heard of a provider's batch, in words."""

    def __str__(self) -> str:
        counts = f"{self.n_answers:,} done, {self.n_requests:,} asked, {self.n_failures:,} failed"
        return f"{counts}; {self.batch}" if self.batch else counts


def outcome_of(question: Question[Any], replied: Replied) -> Outcome:
    """Whether its reply can be read."""
    try:
        question.read(replied.reply)
    except UnreadableReply:
        return "unreadable"
    return "answered"
