"""The number of requests in flight follows what the server bears."""

import asyncio
from collections.abc import Callable

import pytest

from neuron_assets.errors import QuotaSpent, ServerUnreachable, TryAgain
from neuron_assets.language_models.limiter import LONGEST_PAUSE_S, Limiter


class Server:
    """Answers as many at once as it bears, and says of the others that it is crowded."""

    def __init__(self, bears: Callable[[], int], *, after: float | None = None) -> None:
        self._bears = bears
        self._after = after
        self.at_once = 0
        self.most_at_once = 0
        self.n_crowded = 0
        self.n_sent = 0

    async def request(self) -> str:
        self.at_once += 1
        self.n_sent += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        fits = self.at_once <= self._bears()
        asyncio.get_running_loop().call_later(0.001, self._has_answered)
        await asyncio.sleep(0.002)
        if not fits:
            self.n_crowded += 1
            raise TryAgain("too many requests", self._after, crowded=True)
        return "answer"

    def _has_answered(self) -> None:
        """Some time before the answer gets to whoever asked."""
        self.at_once -= 1


class Pauses:
    """A sleep that takes no time and remembers how long it should have taken."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


def run(limiter: Limiter, server: Server, n: int) -> list[str]:
    async def all_of_them() -> list[str]:
        return await asyncio.gather(*(limiter.run(server.request) for _ in range(n)))

    return asyncio.run(all_of_them())


def test_it_grows_up_to_what_is_allowed_and_not_beyond() -> None:
    server, limiter = Server(lambda: 1000), Limiter(12, server="s")
    answers = run(limiter, server, 200)

    assert answers == ["answer"] * 200
    assert (limiter.at_once, server.most_at_once) == (12, 12)


def test_it_begins_with_few() -> None:
    server, limiter = Server(lambda: 1000), Limiter(64, server="s")
    run(limiter, server, 4)

    assert server.most_at_once == 4


def test_a_crowded_server_gets_every_request_answered_and_no_more_than_it_bears_for_long() -> None:
    pauses = Pauses()
    server, limiter = Server(lambda: 3), Limiter(32, server="s", sleep=pauses.sleep)
    answers = run(limiter, server, 300)

    assert answers == ["answer"] * 300
    assert limiter.at_once <= 4
    assert server.n_crowded < 100
    assert pauses.seconds


def test_it_is_halved_once_for_all_that_one_round_refuses() -> None:
    pauses, is_crowded = Pauses(), True

    async def request() -> str:
        await asyncio.sleep(0.001)
        if is_crowded:
            raise TryAgain("too many requests", crowded=True)
        return "answer"

    async def scene() -> tuple[int, int]:
        nonlocal is_crowded
        is_crowded = False
        limiter = Limiter(16, server="s", sleep=pauses.sleep)
        await asyncio.gather(*(limiter.run(request) for _ in range(100)))
        before, is_crowded = limiter.at_once, True
        waiting = [asyncio.create_task(limiter.run(request)) for _ in range(16)]
        while not pauses.seconds:  # noqa: ASYNC110  # the limiter knows no event
            await asyncio.sleep(0)
        after, is_crowded = limiter.at_once, False
        await asyncio.gather(*waiting)
        return before, after

    assert asyncio.run(scene()) == (16, 8)
    assert len(pauses.seconds) == 1


def test_the_pause_is_as_long_as_the_server_wishes() -> None:
    pauses = Pauses()
    run(Limiter(8, server="s", sleep=pauses.sleep), Server(lambda: 2, after=7.0), 20)

    assert set(pauses.seconds) == {7.0}


def test_nothing_is_sent_during_a_pause() -> None:
    sent_in_pause: list[int] = []
    server = Server(lambda: 2)

    async def sleep(_seconds: float) -> None:
        before = server.n_sent
        await asyncio.sleep(0.02)  # what is in flight comes home
        sent_in_pause.append(server.n_sent - before)

    run(Limiter(8, server="s", sleep=sleep), server, 20)

    assert set(sent_in_pause) == {0}


def test_a_server_that_is_never_free_ends_the_run() -> None:
    pauses = Pauses()
    limiter = Limiter(8, server="the server", most_rounds=6, sleep=pauses.sleep)
    with pytest.raises(ServerUnreachable, match=r"the server does not answer: crowded 7 times in a row"):
        run(limiter, Server(lambda: 0), 1)

    assert len(pauses.seconds) == 6
    assert 45 < sum(pauses.seconds) < 90


def test_a_server_that_wants_more_than_the_longest_pause_has_no_quota_left() -> None:
    with pytest.raises(QuotaSpent, match="86,400 s"):
        run(Limiter(8, server="s"), Server(lambda: 0, after=86_400.0), 1)

    assert LONGEST_PAUSE_S < 86_400


def test_other_failures_pass_through_and_give_their_place_back() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise TryAgain("the connection failed")

    async def scene() -> list[object]:
        limiter = Limiter(1, server="s")
        return await asyncio.gather(*(limiter.run(fails) for _ in range(5)), return_exceptions=True)

    assert [str(error) for error in asyncio.run(scene())] == ["no answer: the connection failed"] * 5


def test_who_stops_waiting_gives_the_place_back() -> None:
    async def scene() -> str:
        limiter, hold = Limiter(1, server="s"), asyncio.Event()

        async def held() -> str:
            await hold.wait()
            return "answer"

        first, second, third = (asyncio.create_task(limiter.run(held)) for _ in range(3))
        await asyncio.sleep(0)
        hold.set()
        await first
        second.cancel()  # it has just been let in
        return await asyncio.wait_for(third, 5)

    assert asyncio.run(scene()) == "answer"
