"""Asks by a provider's batches: half the price, and an answer within a day.

The first question that is not in the store is asked directly, so that a wrong key, another model or a parameter that
the server wants otherwise is known before a batch is paid for. All others go into batches, one after the other.

Here: from questions to answers. Not here: asking one by one (`asking.py`), and the course of one batch
(`batch_rounds.py`).
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from neuron_assets.errors import NoBatches, RequestError, RequestRefused, TryAgain, UnreadableReply
from neuron_assets.language_models.asker import Asker, Progress, Used, nothing
from neuron_assets.language_models.asking import ask_all
from neuron_assets.language_models.batch_rounds import BatchRounds, Wanted, in_batches
from neuron_assets.language_models.event_loop import loop_in_a_thread
from neuron_assets.language_models.open_batches import OpenBatches
from neuron_assets.language_models.openai_compatible import OpenAICompatible
from neuron_assets.language_models.provider_batches import line_of
from neuron_assets.language_models.request_store import request_key
from neuron_assets.method.questions import ChatPrompt, Question
from neuron_assets.method.records import Answer

T = TypeVar("T")

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchBounds:
    """How much goes into one batch; providers take up to 50,000 requests and 100 to 200 MB."""

    most_requests: int = 10_000
    """So many questions are held in memory."""
    most_bytes: int = 50_000_000
    """The request that reaches them is the last one of its file."""


def ask_all_in_batches(
    questions: Iterable[Question[T]],
    asker: Asker,
    open_batches: OpenBatches,
    on_progress: Callable[[Progress], None] = nothing,
    bounds: BatchBounds = BatchBounds(),
) -> Iterator[Answer[T]]:
    """As `ask_all`, by batches; `on_progress` hears of each answer, and of all that a batch is waited for.

    Where it is interrupted, its batches go on at the provider: the next time they are collected, and not submitted
    again. A batch that would go beyond the budget is not sent. Raises NoBatches where model or server cannot be asked
    so, and BatchNotDone.
    """
    model = asker.model
    if not isinstance(model, OpenAICompatible):
        raise NoBatches(asker.name, "it is no chat model of a server")
    if asker.identity is None and not asker.offline:
        list(ask_all((), asker))  # observes, and asks nothing
    directly = asker.identity or asker.store.observed(asker.name)
    identity = asker.store.observed(in_batches(str(directly))) or directly
    asker = replace(asker, identity=identity)
    if asker.offline:
        yield from ask_all(questions, asker, on_progress)
        return
    progress = Progress()

    def tell(news: str) -> None:
        nonlocal progress
        _LOG.info("%s: %s", asker.name, news)
        progress = replace(progress, batch=news, n_requests=batching.n_direct + rounds.n_requests)
        on_progress(progress)

    rounds = BatchRounds(asker, model, open_batches, tell, str(directly))
    batching = _Batching[T](asker, model, open_batches, rounds, bounds, ask_first=identity == directly)
    for answer in batching.answers(questions):
        progress = replace(
            progress,
            n_answers=progress.n_answers + 1,
            n_failures=progress.n_failures + (answer.failure is not None),
            n_requests=batching.n_direct + rounds.n_requests,
        )
        on_progress(progress)
        yield answer


_Held = tuple[Question[T], Answer[T] | None]
"""A question, and its answer if there is one yet."""


class _Batching(Generic[T]):
    """One run of questions."""

    def __init__(  # noqa: PLR0913  # all that a run is made of
        self,
        asker: Asker,
        model: OpenAICompatible,
        open_batches: OpenBatches,
        rounds: BatchRounds,
        bounds: BatchBounds,
        *,
        ask_first: bool,
    ) -> None:
        self.n_direct = 0
        """Requests that were sent by themselves."""
        self._asker, self._model, self._limits = asker, model, asker.limits
        self._open_batches, self._rounds, self._bounds = open_batches, rounds, bounds
        self._parameters = dict(model.parameters)
        self._ask_first = ask_first
        """Whether the first question is asked directly: not where another name answers batches than answers so."""
        self._wanted: dict[str, Wanted] = {}
        """By their key, what the next batch is to answer."""
        self._n_bytes = 0
        self._failures: dict[str, RequestError] = {}
        """Of requests that came to nothing for good."""
        self._n_lost: Counter[str] = Counter()
        """How often a request came to nothing for now."""

    def answers(self, questions: Iterable[Question[T]]) -> Iterator[Answer[T]]:
        held: list[_Held[T]] = []
        for question in questions:
            held.append((question, self._look(question)))
            is_full = len(held) >= self._bounds.most_requests or self._n_bytes >= self._bounds.most_bytes
            if is_full or not self._wanted:
                yield from self._settled(held)
                held = []
        yield from self._settled(held)

    def _settled(self, held: Sequence[_Held[T]]) -> Iterator[Answer[T]]:
        """The answers to some questions, after as many batches as they need."""
        while self._wanted:
            self._ask()
            held = [(question, answer or self._look(question)) for question, answer in held]
        self._failures.clear()
        self._n_lost.clear()
        for _, answer in held:
            assert answer is not None
            yield answer

    def _look(self, question: Question[T]) -> Answer[T] | None:
        """The answer, as far as it can be had without a batch; None: a request was added to those for the next one."""
        if not isinstance(question.prompt, ChatPrompt):
            raise NoBatches(self._asker.name, "prompts are echoed one by one only")
        why = ""
        for attempt in range(self._limits.most_asks):
            key = request_key(
                question.prompt,
                identity=str(self._asker.identity),
                parameters=self._parameters,
                sample=question.sample,
                attempt=attempt,
            )
            if failed := self._failures.get(key):
                return Answer(None, str(failed), lost=isinstance(failed, TryAgain))
            kept = self._asker.store.get(key)
            if kept is None:
                return self._want(key, question, attempt)
            self._asker.used(Used(key, question.about))
            try:
                return Answer(question.read(kept.replied.reply))
            except UnreadableReply as error:
                why = f"{attempt + 1} replies could not be read, the last one: {error}"
            except RequestError as error:
                return Answer(None, str(error))
        return Answer(None, why)

    def _want(self, key: str, question: Question[T], attempt: int) -> Answer[T] | None:
        batch = self._open_batches.find(key)
        if batch is None and self._ask_first:
            self._ask_first = False
            return self._asked_directly(question)
        path, body = self._model.body(question.prompt, question.sample * self._limits.most_asks + attempt)
        line = b"" if batch else line_of(key, path, body)
        self._n_bytes += len(line)
        self._wanted[key] = Wanted(question, attempt, path, line, batch)
        return None

    def _asked_directly(self, question: Question[T]) -> Answer[T]:
        def count(progress: Progress) -> None:
            self.n_direct += progress.n_requests

        [answer] = ask_all([question], self._asker, count)
        return answer

    def _ask(self) -> None:
        """One round for all that is wanted: what is answered is in the store, the rest is noted."""
        wanted, self._wanted, self._n_bytes = self._wanted, {}, 0
        with loop_in_a_thread() as submit:
            work = submit(self._rounds.collect(wanted))
            try:
                errors = work.result()
            finally:
                work.cancel()
                submit(self._rounds.end()).result()
        for key, error in errors.items():
            self._n_lost[key] += 1
            if isinstance(error, RequestRefused) or self._n_lost[key] >= self._limits.most_tries:
                self._failures[key] = error
