"""How many requests are in flight at once: as many as the server bears, never more than allowed.

It grows while answers come, by one an answer until the server first says that it is crowded and by one a round from
then on, and is halved for every crowded round. A round ends when the server says so: everything sent before that and
refused after it is the same round, and counts once. After it nothing is sent until the server's Retry-After is over.

Requests are made by workers, as many as may be in flight: each sends the next request as soon as it has dealt with an
answer, before any other answer is dealt with. Were the answers that came together all read first, the requests after
them would go out together too, and come back so: the server would wait for us, and then we for it.

Here: that rule, and one place to wait in. Not here: other failures, which are tried again by `asking.py`.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from neuron_assets.errors import QuotaSpent, ServerUnreachable, TryAgain

T = TypeVar("T")

Waiting = tuple[Callable[[], Awaitable[Any]], asyncio.Future[Any]]
"""A request to be made, and where what it gives is put."""

Sleep = Callable[[float], Awaitable[None]]
"""Waits for so many seconds; tests hurry."""

LONGEST_PAUSE_S = 600.0
"""A server that asks to wait longer than this has no quota left for the run."""

_FIRST_AT_ONCE = 4
_FIRST_PAUSE_S = 1.0
_LONGEST_OWN_PAUSE_S = 60.0
"""Where the server does not say how long."""


class Limiter:
    """Lets requests through, of one server and in one event loop, in the order in which they come."""

    def __init__(self, most_at_once: int, *, server: str, most_rounds: int = 6, sleep: Sleep = asyncio.sleep) -> None:
        self._most_at_once = most_at_once
        self._at_once = float(min(_FIRST_AT_ONCE, most_at_once))
        self._server = server
        self._most_rounds = most_rounds
        self._sleep = sleep
        self._waiting: deque[Waiting] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._round = 0
        self._rounds_without_answer = 0
        self._pause: asyncio.Task[None] | None = None

    @property
    def at_once(self) -> int:
        """How many requests may be in flight now."""
        return int(self._at_once)

    async def run(self, request: Callable[[], Awaitable[T]]) -> T:
        """What the request gives; it is repeated while the server says that it is crowded.

        So a crowded server never turns into a failure. Raises what the request raises; ServerUnreachable where
        `most_rounds` rounds brought no answer at all, and QuotaSpent where the server wants more than LONGEST_PAUSE_S.
        """
        given: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, given))
        self._admit()
        return await given

    async def pause_over(self) -> None:
        """Waits for the end of a pause: what is tried again within its place must not go out in it."""
        while self._pause is not None:
            await asyncio.wait([self._pause])

    async def close(self) -> None:
        """Ends what is under way, and a pause."""
        self._waiting.clear()
        under_way = [*self._workers, *([] if self._pause is None else [self._pause])]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def _admit(self) -> None:
        """Sets to work as many as there is room for."""
        while self._waiting and self._has_room():
            worker = asyncio.create_task(self._work(self._waiting.popleft()))
            self._workers.add(worker)
            worker.add_done_callback(self._ended)

    def _has_room(self, n_leaving: int = 0) -> bool:
        return self._pause is None and len(self._workers) - n_leaving < self.at_once

    def _ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        self._admit()

    async def _work(self, waiting: Waiting) -> None:
        """That request, and then those that wait, one after the other, while there is room."""
        worker = asyncio.current_task()
        assert worker is not None
        while True:
            request, given = waiting
            given.add_done_callback(lambda ended: worker.cancel() if ended.cancelled() else None)
            await self._make(request, given)
            self._admit()
            # Where nobody waits for the answer any more, this worker is about to be cancelled: it takes nothing else.
            if given.cancelled() or not self._waiting or not self._has_room(n_leaving=1):
                return
            waiting = self._waiting.popleft()

    async def _make(self, request: Callable[[], Awaitable[Any]], given: asyncio.Future[Any]) -> None:
        """Puts there what the request gives or raises; one that the server is too crowded for waits again, first."""
        if given.done():
            return
        try:
            await self.pause_over()  # one may have begun after this was set to work
            began_in = self._round
            answer = await request()
        except asyncio.CancelledError:
            given.cancel()
            raise
        except Exception as error:  # noqa: BLE001  # it is raised where the answer is waited for
            failure = self._crowded(began_in, error) if isinstance(error, TryAgain) and error.crowded else error
            if failure is None:
                self._waiting.appendleft((request, given))
            elif not given.done():
                given.set_exception(failure)
        else:
            self._answered(began_in)
            if not given.done():
                given.set_result(answer)

    def _answered(self, began_in: int) -> None:
        self._rounds_without_answer = 0
        if began_in == self._round:
            gained = 1.0 if self._round == 0 else 1.0 / self._at_once
            self._at_once = min(float(self._most_at_once), self._at_once + gained)

    def _crowded(self, began_in: int, error: TryAgain) -> Exception | None:
        """Sends less, after a pause; gives the error that ends the run where that is of no use."""
        if error.after is not None and error.after > LONGEST_PAUSE_S:
            return QuotaSpent(self._server, f"it asks to come back in {error.after:,.0f} s; {error}")
        if began_in < self._round:
            return None  # the round has been counted
        self._round += 1
        self._rounds_without_answer += 1
        if self._rounds_without_answer > self._most_rounds:
            return ServerUnreachable(self._server, f"crowded {self._rounds_without_answer} times in a row; {error}")
        self._at_once = max(1.0, self._at_once / 2)
        own = min(_LONGEST_OWN_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** (self._rounds_without_answer - 1))
        seconds = own * random.uniform(0.75, 1.25) if error.after is None else error.after  # noqa: S311  # no secret
        self._pause = asyncio.create_task(self._paused(seconds))
        return None

    async def _paused(self, seconds: float) -> None:
        await self._sleep(seconds)
        self._pause = None
        self._admit()
