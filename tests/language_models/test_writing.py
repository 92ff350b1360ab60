"""What came of requests is written together, soon, and no answer counts before it is written."""

import asyncio
from collections.abc import Sequence

import pytest

from neuron_assets.errors import StoreUnusable
from neuron_assets.language_models.answered_requests import AnsweredRequest, answered_now
from neuron_assets.language_models.asker import Requested
from neuron_assets.language_models.model import Usage
from neuron_assets.language_models.writing import Writer
from tests.language_models.asked_numbers import InMemory
from tests.language_models.kept_answers import CHAT, REPLIED

NOBODY_ANSWERED = Requested("L0N0", "who", None, 1.0, "retried")


def answered(number: int) -> AnsweredRequest:
    return answered_now(f"{number:064x}", CHAT, REPLIED, seconds=1.0, parameters={}, about=f"L0N{number}")


def requested(number: int) -> Requested:
    return Requested(f"L0N{number}", "who", Usage(1, 1), 1.0, "answered")


class Counting(InMemory):
    """A store that says how many answers came together."""

    def __init__(self) -> None:
        super().__init__()
        self.together: list[int] = []

    def keep(self, answers: Sequence[AnsweredRequest]) -> None:
        self.together.append(len(answers))
        super().keep(answers)


class Full(InMemory):
    def keep(self, _answers: Sequence[AnsweredRequest]) -> None:
        raise StoreUnusable("requests.sqlite", "the disk is full")


def test_answers_of_one_moment_are_kept_together_and_no_more_than_allowed_wait() -> None:
    store, records = Counting(), list[Sequence[Requested]]()

    async def scene() -> None:
        writer = Writer(store, records.append, most_gathered=4)
        await asyncio.gather(*(writer.keep(answered(number), requested(number)) for number in range(6)))

    asyncio.run(scene())

    assert store.together == [4, 2]
    assert [len(record) for record in records] == [4, 2]
    assert len(store.kept) == 6


def test_whoever_keeps_an_answer_waits_until_it_is_kept() -> None:
    store = InMemory()

    async def scene() -> list[int]:
        writer = Writer(store, lambda _requested: None, most_gathered=100)
        keeping = asyncio.create_task(writer.keep(answered(1), requested(1)))
        await asyncio.sleep(0)
        before = len(store.kept)
        await keeping
        return [before, len(store.kept)]

    assert asyncio.run(scene()) == [0, 1]


def test_what_cannot_be_kept_is_raised_to_all_who_wait_for_it() -> None:
    async def scene() -> list[object]:
        writer = Writer(Full(), lambda _requested: None, most_gathered=100)
        waiting = (writer.keep(answered(number), requested(number)) for number in range(3))
        return await asyncio.gather(*waiting, return_exceptions=True)

    found = asyncio.run(scene())

    assert len(found) == 3
    assert all(isinstance(error, StoreUnusable) for error in found)


def test_a_request_without_an_answer_is_recorded_at_the_latest_at_the_end() -> None:
    records: list[Sequence[Requested]] = []

    async def scene() -> None:
        writer = Writer(InMemory(), records.append, most_gathered=4)
        writer.note(NOBODY_ANSWERED)
        assert records == []
        writer.write()

    asyncio.run(scene())

    assert records == [[NOBODY_ANSWERED]]


def test_a_ledger_that_fails_with_nobody_waiting_says_so_at_the_end() -> None:
    def full(_requested: Sequence[Requested]) -> None:
        raise StoreUnusable("requests.sqlite", "the disk is full")

    async def scene() -> None:
        writer = Writer(InMemory(), full, most_gathered=4)
        writer.note(NOBODY_ANSWERED)
        writer.write()

    with pytest.raises(StoreUnusable, match="the disk is full"):
        asyncio.run(scene())
