"""Writes down what came of requests: those of one moment together, because a transaction costs more than a row.

Here: gathering them, and telling whoever waits that it is done. Not here: where they are written (`request_store.py`,
`ledger.py`), and what came of them (`asking.py`).
"""

import asyncio
from collections.abc import Callable, Sequence

from neuron_assets.language_models.answered_requests import AnsweredRequest
from neuron_assets.language_models.asker import Requested, Store

_SECONDS_TO_GATHER = 0.01


class Writer:
    """What one run of questions writes; used by one event loop.

    No more than `most_gathered` answers wait to be written, and none of them for longer than a hundredth of a second:
    so many are lost, beside what was in flight, where the process is killed.
    """

    def __init__(self, store: Store, record: Callable[[Sequence[Requested]], None], most_gathered: int) -> None:
        self._store = store
        self._record = record
        self._most_gathered = most_gathered
        self._answers: list[AnsweredRequest] = []
        self._requested: list[Requested] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._due: asyncio.TimerHandle | None = None

    async def keep(self, answered: AnsweredRequest, requested: Requested) -> None:
        """Returns once it is written down; raises what the store or the ledger does."""
        written = asyncio.get_running_loop().create_future()
        self._answers.append(answered)
        self._waiting.append(written)
        self.note(requested)
        if len(self._waiting) >= self._most_gathered:
            self.write()
        await written

    def note(self, requested: Requested) -> None:
        """A request without an answer: it is written down soon."""
        self._requested.append(requested)
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(_SECONDS_TO_GATHER, self.write)

    def write(self) -> None:
        """All that has been gathered, now. What fails is raised where it is waited for, or else here."""
        if self._due is not None:
            self._due.cancel()
        answers, requested, waiting = self._answers, self._requested, self._waiting
        self._answers, self._requested, self._waiting, self._due = [], [], [], None
        failure: Exception | None = None
        try:
            if answers:
                self._store.keep(answers)
            if requested:
                self._record(requested)
        except Exception as error:  # whatever it is, they would wait for ever
            if not waiting:
                raise
            failure = error
        for written in waiting:
            if written.done():
                continue
            if failure is None:
                written.set_result(None)
            else:
                written.set_exception(failure)
