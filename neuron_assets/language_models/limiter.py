"""How many requests are in flight at once: as many as the server bears, never more than allowed.

It grows while answers come, by one an answer until the server first says that it is crowded and by one a round from
then on, and is halved for every crowded round. A round ends when the server says so: everything sent before that and
refused after it is the same round, and counts once. After it nothing is sent until the server's Retry-After is over.

Here: that rule, and one place to wait in. Not here: other failures, which are tried again by `asking.py`.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from neuron_assets.errors import QuotaSpent, ServerUnreachable, TryAgain

T = TypeVar("T")

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
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[int]] = deque()
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
        while True:
            began_in = await self._enter()
            try:
                answer = await request()
            except TryAgain as error:
                if not error.crowded:
                    raise
                self._crowded(began_in, error)
            else:
                self._answered(began_in)
                return answer
            finally:
                self._in_flight -= 1
                self._admit()

    async def close(self) -> None:
        """Ends a pause, if there is one."""
        if self._pause is not None:
            self._pause.cancel()
            await asyncio.gather(self._pause, return_exceptions=True)

    def _answered(self, began_in: int) -> None:
        self._rounds_without_answer = 0
        if began_in == self._round:
            gained = 1.0 if self._round == 0 else 1.0 / self._at_once
            self._at_once = min(float(self._most_at_once), self._at_once + gained)

    def _crowded(self, began_in: int, error: TryAgain) -> None:
        if error.after is not None and error.after > LONGEST_PAUSE_S:
            raise QuotaSpent(self._server, f"it asks to come back in {error.after:,.0f} s; {error}")
        if began_in < self._round:
            return  # the round has been counted
        self._round += 1
        self._rounds_without_answer += 1
        if self._rounds_without_answer > self._most_rounds:
            raise ServerUnreachable(self._server, f"crowded {self._rounds_without_answer} times in a row; {error}")
        self._at_once = max(1.0, self._at_once / 2)
        own = min(_LONGEST_OWN_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** (self._rounds_without_answer - 1))
        seconds = own * random.uniform(0.75, 1.25) if error.after is None else error.after  # noqa: S311  # no secret
        self._pause = asyncio.create_task(self._paused(seconds))

    async def _paused(self, seconds: float) -> None:
        await self._sleep(seconds)
        self._pause = None
        self._admit()

    async def _enter(self) -> int:
        """Waits for a place; says in which round it was given."""
        if not self._waiting and self._has_room():
            self._in_flight += 1
            return self._round
        turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # let in and cancelled in one moment
                self._in_flight -= 1
                self._admit()
            raise

    def _has_room(self) -> bool:
        return self._pause is None and self._in_flight < self.at_once

    def _admit(self) -> None:
        while self._waiting and self._has_room():
            turn = self._waiting.popleft()
            if not turn.done():
                self._in_flight += 1
                turn.set_result(self._round)
