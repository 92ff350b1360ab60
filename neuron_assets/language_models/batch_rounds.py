"""One round of a provider's batches: requests handed in, waited for, and their answers kept.

Here: the course of a batch, from its file to its last line. Not here: which requests (`batching.py`), what is said to
the provider (`provider_batches.py`), and what is remembered of a batch until it is collected (`open_batches.py`).
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from neuron_assets.errors import (
    BatchNotDone,
    LanguageModelError,
    ModelChanged,
    NoBatches,
    RequestError,
    RequestRefused,
    ServerUnreachable,
    TryAgain,
)
from neuron_assets.language_models.asker import Asker, Requested, outcome_of
from neuron_assets.language_models.ledger import Outcome
from neuron_assets.language_models.model import Replied
from neuron_assets.language_models.open_batches import OpenBatch, OpenBatches
from neuron_assets.language_models.openai_compatible import OpenAICompatible
from neuron_assets.language_models.provider_batches import BatchState, Line, ProviderBatches
from neuron_assets.language_models.refusals import Refusal, error_of_refusal
from neuron_assets.language_models.request_store import request_key
from neuron_assets.language_models.trying import trying
from neuron_assets.method.questions import Question

T = TypeVar("T")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _GROWTH = 5.0, 300.0, 1.5
"""Between two looks at a batch."""
_LONGEST_SILENCE_S = 6 * 3600.0
"""For which a provider may not say how its batch does, before nobody waits any longer."""

_ENDED_SO = {"cancelled": "was cancelled", "failed": "failed, and the provider does not say why"}


def in_batches(identity: str) -> str:
    """The name under which it is noted who answers the batches of somebody who calls himself so directly."""
    return f"batches of {identity}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request whose answer is not kept yet."""

    question: Question[Any]
    attempt: int
    path: str
    """Where it goes, below the base URL."""
    line: bytes
    """Of a file for a batch; empty where it lies in one."""
    batch: OpenBatch | None
    """In which it lies already."""


class BatchRounds:
    """The batches of one run of questions, each round within an event loop of its own."""

    def __init__(
        self,
        asker: Asker,
        model: OpenAICompatible,
        open_batches: OpenBatches,
        tell: Callable[[str], None],
        directly: str,
    ) -> None:
        self.n_requests = 0
        """Submitted in this run."""
        self._asker, self._model, self._tell = asker, model, tell
        self._directly = directly
        """Who answers where no batch is submitted."""
        self._open_batches, self._provider = open_batches, ProviderBatches(model)

    async def collect(self, wanted: Mapping[str, Wanted]) -> Mapping[str, RequestError]:
        """Keeps what the batches of these requests answer; gives the errors of the others, by their keys.

        What lies in no batch is submitted as one. Raises the LanguageModelError that ends the run.
        """
        by_batch: dict[OpenBatch, dict[str, Wanted]] = defaultdict(dict)
        new = {key: one for key, one in wanted.items() if one.batch is None}
        for key, one in wanted.items():
            if one.batch is not None:
                by_batch[one.batch][key] = one
        if new:
            by_batch[await self._submitted(new)] = new
        errors: dict[str, RequestError] = {}
        for batch, ones in by_batch.items():
            errors |= await self._collected(await self._started(batch, ones), ones)
        return errors

    async def end(self) -> None:
        """Lets go of the event loop."""
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
        await self._model.close()

    async def _submitted(self, wanted: Mapping[str, Wanted]) -> OpenBatch:
        self._asker.before_asking(len(wanted) - 1)
        file_id = await self._tried(partial(self._provider.upload, [one.line for one in wanted.values()]))
        batch = self._open_batches.note_file(file_id, wanted)
        self.n_requests += len(wanted)
        return await self._started(batch, wanted)

    async def _started(self, batch: OpenBatch, wanted: Mapping[str, Wanted]) -> OpenBatch:
        """The batch with its id, which is noted before anything else can happen."""
        if batch.batch_id is not None:
            return batch
        path = next(iter(wanted.values())).path
        self._asker.before_asking(len(wanted) - 1)
        try:
            batch_id = await self._tried(partial(self._provider.start, batch.file_id, path))
        except NoBatches:
            self._open_batches.forget_file(batch.file_id)
            raise
        self._open_batches.note_batch(batch.file_id, batch_id)
        self._tell(f"{len(wanted):,} requests submitted as batch {batch_id}; it goes on if this run is stopped")
        return replace(batch, batch_id=batch_id)

    async def _collected(self, batch: OpenBatch, wanted: Mapping[str, Wanted]) -> Mapping[str, RequestError]:
        state = await self._ended(batch)
        lines: list[Line] = []
        for file_id in state.file_ids:
            lines += await self._tried(partial(self._provider.lines, file_id))
        seconds = (datetime.now(UTC) - batch.submitted_at).total_seconds()
        errors = await self._kept(lines, wanted, seconds)
        unsaid = TryAgain(f"the batch {batch.batch_id} is {state.status}, and says nothing of it")
        errors |= dict.fromkeys(wanted.keys() - {line.key for line in lines}, unsaid)
        self._tell(
            f"batch {batch.batch_id} is {state.status}, {len(wanted) - len(errors):,} of {len(wanted):,} answered"
        )
        if state.end in ("completed", "expired"):
            self._open_batches.forget(wanted)
        else:
            self._open_batches.forget_file(batch.file_id)
        self._raise_what_ends_the_run(batch, state, errors, len(wanted))
        return {key: error for key, error in errors.items() if isinstance(error, RequestError)}

    async def _ended(self, batch: OpenBatch) -> BatchState:
        """Waits for its end, and tells of it."""
        pause, silence, told = _FIRST_PAUSE_S, 0.0, ""
        name = f"batch {batch.batch_id} of {batch.submitted_at:%Y-%m-%d %H:%M} UTC"
        while True:
            try:
                state = await self._tried(partial(self._provider.look, str(batch.batch_id)))
            except ServerUnreachable as error:
                silence += pause
                if silence > _LONGEST_SILENCE_S:
                    raise
                news = f"waiting for {name}: {error}"
            else:
                if state.end is not None:
                    return state
                silence = 0.0
                news = f"waiting for {name}: {state.status}, {state.n_done:,} of {state.n_requests:,}"
            if news != told:
                told = news
                self._tell(news)
            await self._asker.sleep(pause)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE_S)

    async def _kept(
        self, lines: Iterable[Line], wanted: Mapping[str, Wanted], seconds: float
    ) -> dict[str, RequestError | LanguageModelError]:
        """Keeps the replies among the lines, and gives what is wrong with the others."""
        errors: dict[str, RequestError | LanguageModelError] = {}
        identities: set[str] = set()
        await self._tried(self._model.see_facts)
        for line in lines:
            one = wanted.get(line.key)
            if one is None:
                continue  # its question is still to come, or is asked no more
            try:
                replied = await self._read(line, one)
            except (RequestError, LanguageModelError) as error:
                self._record(one, None, "refused" if isinstance(error, RequestRefused) else "retried", seconds)
                errors[line.key] = error
                continue
            self._keep(one, replied, seconds)
            identities.add(replied.identity)
            if replied.identity != self._asker.identity:
                errors[line.key] = ModelChanged(self._asker.name, str(self._asker.identity), replied.identity)
        if len(identities) == 1:
            self._asker.store.observe(in_batches(self._directly), *identities)
        return errors

    async def _read(self, line: Line, one: Wanted) -> Replied:
        if isinstance(line.answer, Refusal):
            raise error_of_refusal(line.answer, self._model.server, self._model.alias)
        return await self._model.read(line.answer, one.question.prompt)

    def _keep(self, one: Wanted, replied: Replied, seconds: float) -> None:
        prompt, parameters = one.question.prompt, dict(self._model.parameters)
        key = request_key(
            prompt,
            identity=replied.identity,
            parameters=parameters,
            sample=one.question.sample,
            attempt=one.attempt,
        )
        if self._asker.store.get(key) is not None:
            return  # kept and counted by another process that waited for the same batch
        self._asker.store.put(key, prompt, replied, seconds=seconds, parameters=parameters, about=one.question.about)
        self._record(one, replied, outcome_of(one.question, replied), seconds)

    def _record(self, one: Wanted, replied: Replied | None, outcome: Outcome, seconds: float) -> None:
        identity = str(self._asker.identity) if replied is None else replied.identity
        usage = None if replied is None else replied.usage
        self._asker.record([Requested(one.question.about, identity, usage, seconds, outcome, batch=True)])

    def _raise_what_ends_the_run(
        self,
        batch: OpenBatch,
        state: BatchState,
        errors: Mapping[str, RequestError | LanguageModelError],
        n_wanted: int,
    ) -> None:
        for error in errors.values():
            if isinstance(error, LanguageModelError):
                raise error
        name, lost = str(batch.batch_id), [error for error in errors.values() if isinstance(error, TryAgain)]
        if state.end in ("cancelled", "failed"):
            raise BatchNotDone(self._model.server, name, state.reason or f"it {_ENDED_SO[state.end]}")
        if len(lost) == n_wanted >= self._asker.limits.most_lost:
            reason = f"none of its {n_wanted:,} requests was answered, the last one: {lost[-1]}"
            raise BatchNotDone(self._model.server, name, reason)

    async def _tried(self, request: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What the request gives, tried again while the server does not answer."""
        tries = trying(self._asker.limits.most_tries, self._asker.sleep, even_crowded=True)
        try:
            return await tries(request)
        except TryAgain as error:
            raise ServerUnreachable(self._model.server, str(error)) from error
