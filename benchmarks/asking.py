"""How fast questions are asked, and what is held in memory meanwhile.

The rate is that of the whole way: the client, a server in a process of its own on this machine, the request store and
the ledger. It is compared with the ideal: so many answers at once, one after the other, with nothing in between; and
with what the client library reaches by itself, in the same minute. Neither counts the first questions, while the number
at once still grows.

    python -m benchmarks.asking rate 1280          as many questions as named
    python -m benchmarks.asking megabytes 50000
"""

import asyncio
import json
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI, DefaultAioHttpClient

from benchmarks.row import Row
from neuron_assets.language_models.answered_requests import AnsweredRequest
from neuron_assets.language_models.asker import Asker, Limits, Requested
from neuron_assets.language_models.asking import ask_all
from neuron_assets.language_models.ledger import Entry, Ledger
from neuron_assets.language_models.model import Replied, Usage
from neuron_assets.language_models.openai_compatible import OpenAICompatible
from neuron_assets.language_models.request_store import Kept, RequestStore
from neuron_assets.language_models.scripted import Scripted
from neuron_assets.language_models.server_settings import ServerSettings
from neuron_assets.method.questions import ChatPrompt, Message, Prompt, Question, Reply

_SECONDS = 0.2
_AT_ONCE = 64
_BYTES_A_UNIT = 1 if sys.platform == "darwin" else 1024
"""Of `ru_maxrss`."""
_PREFIX = "A line of a few-shot example, as long as they are.\t3\n" * 60
"""About 3,000 characters, as a prompt has them."""
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rate:
    share: float
    """Of the ideal rate."""
    bare_share: float
    """The same for the client library alone."""
    cpu_ms: float
    """Milliseconds of this process's processor time for one question."""
    bare_cpu_ms: float
    """The same for the client library alone."""


def benchmark(n_timed: int = 6400, n_held: int = 25_000) -> list[Row]:
    """The rows of asking."""
    rate = measured_rate(n_timed)
    once, twice = (_peak_megabytes_of_a_process(n) for n in (n_held, 2 * n_held))
    conditions = f"{n_timed} questions, {_SECONDS * 1000:.0f} ms answers, {_AT_ONCE} at once"
    cpu = f"{rate.cpu_ms:.1f} and {rate.bare_cpu_ms:.1f} ms of the processor each"
    measured = f"{rate.share:.3f} (the library alone {rate.bare_share:.3f}; {cpu})"
    return [
        Row(f"rate / ideal rate, {conditions}", measured, ">= 0.90"),
        Row(
            f"peak memory, {2 * n_held} / {n_held} questions",
            f"{twice / once:.3f} ({twice:.0f} / {once:.0f} MB)",
            "<= 1.05",
        ),
    ]


def measured_rate(n_questions: int) -> Rate:
    """Asks so many questions, at least 1,280, of a server that takes its time."""
    with _server() as url, tempfile.TemporaryDirectory() as folder:
        store = RequestStore.open(str(Path(folder) / "requests.sqlite"))
        ledger, model = Ledger(store.database), OpenAICompatible(ServerSettings(url, "slow"))

        def record(asked: Sequence[Requested]) -> None:
            ledger.record(*map(_entry, asked))

        asker = Asker(model, "slow", store, limits=Limits(most_at_once=_AT_ONCE), record=record)
        began = time.process_time()
        ends = [time.perf_counter() for answer in ask_all(_questions(n_questions), asker) if answer.failure is None]
        cpu_ms = 1000 * (time.process_time() - began) / n_questions
        store.close()
        began = time.process_time()
        bare_ends = asyncio.run(_bare(url, n_questions))
        bare_cpu_ms = 1000 * (time.process_time() - began) / n_questions
    assert len(ends) == len(bare_ends) == n_questions
    return Rate(_share(ends), _share(bare_ends), cpu_ms, bare_cpu_ms)


def _entry(asked: Requested) -> Entry:
    return Entry("study", "simulations", 0, asked.identity, asked.seconds, asked.outcome, asked.usage or Usage())


def _share(ends: Sequence[float]) -> float:
    """Of the ideal rate, between the first and the last questions."""
    first, last = 10 * _AT_ONCE, len(ends) - 2 * _AT_ONCE
    return (last - first) * _SECONDS / _AT_ONCE / (ends[last] - ends[first])


async def _bare(url: str, n_questions: int) -> list[float]:
    """When each answer was there, with nothing around the library."""
    numbers, ends = iter(range(n_questions)), list[float]()

    async def work(client: AsyncOpenAI) -> None:
        for number in numbers:
            said = f"{_PREFIX}{number}"
            await client.chat.completions.create(model="slow", messages=[{"role": "user", "content": said}])
            ends.append(time.perf_counter())

    http = DefaultAioHttpClient()
    async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0, http_client=http) as client:
        await asyncio.gather(*(work(client) for _ in range(_AT_ONCE)))
    return ends


def peak_megabytes(n_questions: int) -> float:
    """Of this process, once it has asked so many questions of a model that answers at once."""
    asker = Asker(Scripted(lambda _: "7"), "scripted", _Forgetful(), limits=Limits(most_at_once=_AT_ONCE))
    n_answered = sum(answer.value == "7" for answer in ask_all(_questions(n_questions), asker))
    assert n_answered == n_questions
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_A_UNIT / 1e6


class _Forgetful:
    """A request store that keeps nothing: what is measured is asking."""

    def get(self, _key: str) -> Kept | None:
        return None

    def put(  # noqa: PLR0913  # the request store's own
        self, key: str, prompt: Prompt, replied: Replied, *, seconds: float, parameters: Mapping[str, Any], about: str
    ) -> None:
        pass

    def keep(self, answers: Sequence[AnsweredRequest]) -> None:
        pass

    def observed(self, _model_name: str) -> str | None:
        return None

    def observe(self, _model_name: str, _identity: str) -> None:
        pass


def _questions(n: int) -> Iterator[Question[str]]:
    for number in range(n):
        prompt = ChatPrompt((Message("user", f"{_PREFIX}{number}"),), layout="benchmark/1", longest_reply=8)
        yield Question(prompt, _text, str(number))


def _text(reply: Reply) -> str:
    return reply.text


@contextmanager
def _server() -> Iterator[str]:
    """The URL of a server in a process of its own."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.asking", "serve", str(port)])
    try:
        for _ in range(200):
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait()


class _Slow(asyncio.Protocol):
    """One connection to a server that takes its time, and next to none of the processor's."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        n_bytes = int(length[1]) if length else 0
        if found and len(rest) >= n_bytes:  # one request at a time: the client waits for its answer
            self._received = rest[n_bytes:]
            asyncio.get_running_loop().call_later(_SECONDS if length else 0, self._answer, bool(length))

    def _answer(self, is_chat: bool) -> None:  # noqa: FBT001  # called by the event loop
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "7"}}
        usage = {"prompt_tokens": 900, "completion_tokens": 1, "total_tokens": 901}
        said = json.dumps({"model": "slow-1", "choices": [choice], "usage": usage} if is_chat else {"data": []})
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(said)}\r\n\r\n"
        assert self._transport is not None
        self._transport.write((head + said).encode())


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Slow, "127.0.0.1", port)
    await server.serve_forever()


def _peak_megabytes_of_a_process(n_questions: int) -> float:
    command = [sys.executable, "-m", "benchmarks.asking", "megabytes", str(n_questions)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    what, number = sys.argv[1], int(sys.argv[2])
    if what == "serve":
        asyncio.run(_serve(number))
    else:
        print(measured_rate(number) if what == "rate" else peak_megabytes(number))
