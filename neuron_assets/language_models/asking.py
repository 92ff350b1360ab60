"""The one driver that asks: it waits, bounds, tries again, keeps and counts.

    ask_all   questions in, answers out, in their order; synchronous outside, an event loop in a thread inside
    _Asking   one question from the request store or the server to its answer

Here: the course of a run of questions. Not here: how many at once (`limiter.py`), what is asked and read (`method/`),
who is asked (`asker.py`, `model.py`), where replies are kept and what they cost (`request_store.py`, `ledger.py`).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any, TypeVar

from neuron_assets.errors import (
    BudgetSpent,
    ModelChanged,
    NotAnsweredYet,
    ParametersRefused,
    RequestError,
    ServerUnreachable,
    TryAgain,
    UnreadableReply,
)
from neuron_assets.language_models.answered_requests import answered_now
from neuron_assets.language_models.asker import Asker, Progress, Requested, Used, nothing, outcome_of
from neuron_assets.language_models.event_loop import loop_in_a_thread
from neuron_assets.language_models.ledger import Outcome
from neuron_assets.language_models.limiter import Limiter
from neuron_assets.language_models.model import Replied
from neuron_assets.language_models.request_store import request_key
from neuron_assets.language_models.trying import trying
from neuron_assets.language_models.writing import Writer
from neuron_assets.method.questions import Question
from neuron_assets.method.records import Answer

T = TypeVar("T")

_SHARE_GATHERED = 8
"""One answer for so many requests at once may wait to be written; below twice as many, none does."""
_N_NAMED = 5
"""Of the questions that are missing offline."""


def ask_all(
    questions: Iterable[Question[T]], asker: Asker, on_progress: Callable[[Progress], None] = nothing
) -> Iterator[Answer[T]]:
    """The answers, in the order of the questions; a request that came to nothing is an answer with its failure.

    Questions are taken as answers are, so memory does not grow with their number. What is in the store is not asked;
    what the server answers is kept before it is read. Questions alike, down to the sample, are asked once.

    Raises the LanguageModelError that ends the run (what was answered until then is kept); offline, NotAnsweredYet
    after the last question. Works within a running event loop too; stops cleanly when it is interrupted or closed.
    """
    asking = _Asking(asker, on_progress)
    window = max(asker.limits.window, 2 * asker.limits.most_at_once)
    ahead: deque[Future[Answer[T]]] = deque()
    with loop_in_a_thread() as submit:
        try:
            submit(asking.begin()).result()
            for question in questions:
                asking.raise_if_failed()
                ahead.append(submit(asking.answer(question)))
                if len(ahead) >= window:
                    yield asking.result(ahead.popleft())
            while ahead:
                yield asking.result(ahead.popleft())
        finally:
            submit(asking.end()).result()
    if asking.n_missing:
        raise NotAnsweredYet(asking.missing, asking.n_missing)


class _NotKept(RequestError):
    """A question that would have to be asked, offline."""


class _Asking:
    """One run of questions, within its event loop."""

    def __init__(self, asker: Asker, on_progress: Callable[[Progress], None]) -> None:
        self.missing: list[str] = []
        """What the first of those questions are about that are not in the store, offline."""
        self.n_missing = 0
        self._asker = asker
        self._on_progress = on_progress
        self._progress = Progress()
        self._n_requests = 0
        self._limits = asker.limits
        self._limiter = Limiter(asker.limits.most_at_once, server=asker.name, sleep=asker.sleep)
        self._writer = Writer(asker.store, asker.record, max(1, asker.limits.most_at_once // _SHARE_GATHERED))
        self._parameters = dict(asker.model.parameters)
        self._identity = asker.identity
        self._error: BaseException | None = None
        self._is_ending = False
        self._n_lost = self._n_refused = 0
        self._has_answer = False
        """Of this run or an earlier one."""
        self._answering: set[asyncio.Task[Any]] = set()
        self._asked: dict[str, asyncio.Task[Replied]] = {}
        self._in_flight: set[str] = set()
        """The keys of those of them that are with the server, or were answered and are being written down."""

    async def begin(self) -> None:
        """Looks who answers."""
        if self._identity is not None:
            return
        if self._asker.offline:
            self._identity = self._asker.store.observed(self._asker.name)
            return
        try:
            self._identity = await self._tried(self._asker.model.identity)
        except TryAgain as error:
            raise ServerUnreachable(self._asker.name, str(error)) from error
        self._asker.store.observe(self._asker.name, self._identity)

    async def answer(self, question: Question[T]) -> Answer[T]:
        """The answer to one question; an error that ends the run ends all others, too."""
        if self._is_ending:
            raise asyncio.CancelledError
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        task.add_done_callback(self._answered)
        why = ""
        for attempt in range(self._limits.most_asks):
            try:
                return Answer(question.read((await self._replied(question, attempt)).reply))
            except UnreadableReply as error:
                why = f"{attempt + 1} replies could not be read, the last one: {error}"
            except _NotKept as error:
                self.n_missing += 1
                self.missing += [question.about] if len(self.missing) < _N_NAMED else []
                return Answer(None, str(error))
            except RequestError as error:
                return Answer(None, str(error), lost=isinstance(error, TryAgain))
        return Answer(None, why)

    def result(self, answer: Future[Answer[T]]) -> Answer[T]:
        """Waits for it and tells of it; raises the first error that ended the run, whichever question it came from."""
        try:
            found = answer.result()
        except CancelledError:
            self.raise_if_failed()
            raise
        n_answers, n_failures = self._progress.n_answers + 1, self._progress.n_failures + (found.failure is not None)
        self._progress = Progress(n_answers, n_failures, self._n_requests)
        self._on_progress(self._progress)
        return found

    def raise_if_failed(self) -> None:
        """Raises the error that ends the run, if there is one."""
        if self._error is not None:
            raise self._error from self._error.__cause__

    async def end(self) -> None:
        """Nothing new is sent; what is in flight may still arrive and be kept."""
        self._is_ending = True
        for task in [*self._answering, *(task for key, task in self._asked.items() if key not in self._in_flight)]:
            task.cancel()
        left = list(self._asked.values())
        if left:  # where only the budget ends the run, all that is paid for is waited for
            await asyncio.wait(left, timeout=None if isinstance(self._error, BudgetSpent) else self._limits.grace_s)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, *self._answering, return_exceptions=True)
        await self._limiter.close()
        await self._asker.model.close()
        self._writer.write()

    def _ended(self, key: str, task: asyncio.Task[Replied]) -> None:
        del self._asked[key]
        if not task.cancelled():
            task.exception()  # seen, though whoever waited for it may be gone

    def _answered(self, task: asyncio.Task[Any]) -> None:
        self._answering.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._end_by(error)
            for other in self._answering:
                other.cancel()

    async def _replied(self, question: Question[Any], attempt: int) -> Replied:
        """From the store, from the same question that is being asked already, or asked."""
        key = None if self._identity is None else self._key(question, attempt, self._identity)
        kept = None if key is None else self._asker.store.get(key)
        if key is not None and kept is not None:
            self._has_answer = True
            self._asker.used(Used(key, question.about))
            return kept.replied
        if key is None or self._asker.offline:
            raise _NotKept("not in the request store, and nothing is asked offline")
        if key not in self._asked:
            self._asked[key] = asyncio.create_task(self._ask(key, question, attempt))
            self._asked[key].add_done_callback(partial(self._ended, key))
        replied = await asyncio.shield(self._asked[key])
        self._asker.used(Used(key, question.about))
        return replied

    async def _ask(self, key: str, question: Question[Any], attempt: int) -> Replied:
        try:
            replied, seconds = await self._tried(partial(self._send, key, question, attempt))
            await self._keep(key, question, attempt, replied, seconds)
        except TryAgain as error:
            self._n_lost += 1
            if self._n_lost >= self._limits.most_lost:
                reason = f"{self._n_lost} questions in a row came to nothing, the last one: {error}"
                raise ServerUnreachable(self._asker.name, reason) from error
            raise
        finally:
            self._in_flight.discard(key)
        if replied.identity != self._identity:
            self.raise_if_failed()
        return replied

    async def _tried(self, request: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What the request gives, tried again while the server does not answer.

        It keeps its place among the requests at once while it waits to be tried again, so a server that is down is not
        tried with everything that there is to ask.
        """
        tries = trying(self._limits.most_tries, self._asker.sleep, even_crowded=False)  # for that the limiter waits
        return await self._limiter.run(lambda: tries(request))

    async def _send(self, key: str, question: Question[Any], attempt: int) -> tuple[Replied, float]:
        """One request, and its seconds; what ends the run ends it before anybody else can send."""
        await self._limiter.pause_over()
        if self._is_ending:
            raise asyncio.CancelledError
        try:
            replied, seconds = await self._reply(key, question, attempt)
        except RequestError as error:
            if self._is_ending:
                raise asyncio.CancelledError from error
            raise
        except Exception as error:  # also a mistake in the adapter ends the run before the next request
            self._end_by(error)
            raise
        if replied.identity != self._identity:
            self._end_by(ModelChanged(self._asker.name, str(self._identity), replied.identity))
        return replied, seconds

    def _end_by(self, error: BaseException) -> None:
        """Nothing more is sent; the first such error is the one that is raised, whoever notices the end first."""
        self._error, self._is_ending = self._error or error, True

    async def _reply(self, key: str, question: Question[Any], attempt: int) -> tuple[Replied, float]:
        """What the server replies; whatever else comes of it is noted, for it may have to be paid for."""
        self._asker.before_asking(len(self._in_flight))
        self._n_requests += 1
        began = time.perf_counter()
        outcome: Outcome = "retried"
        self._in_flight.add(key)
        try:
            replied = await self._asker.model.reply(question.prompt, question.sample * self._limits.most_asks + attempt)
            outcome = "answered"
        except TryAgain:
            raise
        except Exception as error:  # whatever it is, the request was sent and is noted below as no answer
            self._n_lost, outcome = 0, "refused"
            self._raise_if_all_are_refused(error)
            raise
        finally:
            seconds = time.perf_counter() - began
            if outcome != "answered":
                self._in_flight.discard(key)
                self._writer.note(Requested(question.about, str(self._identity), None, seconds, outcome))
        self._n_lost, self._has_answer = 0, True
        return replied, seconds

    async def _keep(self, key: str, question: Question[Any], attempt: int, replied: Replied, seconds: float) -> None:
        """Before it is read for its answer, and before anything else can happen."""
        key = key if replied.identity == self._identity else self._key(question, attempt, replied.identity)
        parameters, about = self._parameters, question.about
        answered = answered_now(key, question.prompt, replied, seconds=seconds, parameters=parameters, about=about)
        outcome = outcome_of(question, replied)
        try:
            await self._writer.keep(answered, Requested(about, replied.identity, replied.usage, seconds, outcome))
        except Exception as error:  # before anybody else can send what could not be kept either
            self._end_by(error)
            raise

    def _raise_if_all_are_refused(self, error: Exception) -> None:
        """Not where anything was ever answered: then what is left may be refused for what it says."""
        self._n_refused += 1
        if self._n_refused >= self._limits.most_lost and not self._has_answer:
            reason = f"{self._n_refused} requests were refused and none was answered, the last one: {error}"
            raise ParametersRefused(self._asker.name, reason) from error

    def _key(self, question: Question[Any], attempt: int, identity: str) -> str:
        return request_key(
            question.prompt, identity=identity, parameters=self._parameters, sample=question.sample, attempt=attempt
        )
