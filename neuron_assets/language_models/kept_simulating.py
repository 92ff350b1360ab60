"""Simulations by a model in this process, kept like requests: what was computed once is not computed again.

Here: looking into the store first, and keeping. Not here: the computation (`local_simulating.py`).
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float

from neuron_assets.language_models.asker import Store
from neuron_assets.language_models.local import LocalModel
from neuron_assets.language_models.local_simulating import simulate_all_at_once
from neuron_assets.language_models.model import Replied, Usage
from neuron_assets.language_models.request_store import request_key
from neuron_assets.method.few_shot import FewShotNeuron
from neuron_assets.method.questions import EchoPrompt, Reply
from neuron_assets.method.records import Answer
from neuron_assets.method.simulating.all_at_once import echo_simulation_question
from neuron_assets.method.simulating.expected import expected_values
from neuron_assets.method.simulating.simulated import SimulatedExcerpt

_BATCHES_AT_ONCE = 4
"""Between two times that results are kept; what is lost with the process is at most so much."""

Item = tuple[str, str, Sequence[Sequence[str]]]
"""What it is about, an explanation, and the tokens of its excerpts, all of one length."""


@dataclass(frozen=True, slots=True, eq=False)
class KeptSimulator:
    model: LocalModel
    few_shot: Sequence[FewShotNeuron]
    store: Store
    rows_at_once: int
    """Excerpts that go through the model together; changes speed and memory only."""
    on_excerpts: Callable[[int, int], None] = lambda _computed, _kept: None
    """Hears how many more excerpts were computed, and how many more were found in the store."""

    def simulate(self, items: Iterable[Item]) -> Iterator[Sequence[Answer[SimulatedExcerpt]]]:
        """Of each item one answer an excerpt, in order. Raises UnusableModel, StoreUnusable."""
        waiting = iter(items)
        while chunk := self._chunk(waiting):
            yield from self._simulated(chunk)

    def _chunk(self, items: Iterator[Item]) -> list[Item]:
        chunk: list[Item] = []
        n_rows = 0
        while n_rows < _BATCHES_AT_ONCE * self.rows_at_once and (some := list(islice(items, 1))):
            chunk += some
            n_rows += len(some[0][2])
        return chunk

    def _simulated(self, chunk: Sequence[Item]) -> Iterator[Sequence[Answer[SimulatedExcerpt]]]:
        prompts = [[self._prompt(item, tokens) for tokens in item[2]] for item in chunk]
        found = [[self._kept(prompt) for prompt in of_item] for of_item in prompts]
        missing = [[row for row, kept in enumerate(of_item) if kept is None] for of_item in found]
        to_do = [(item[1], [item[2][row] for row in rows]) for item, rows in zip(chunk, missing, strict=True) if rows]
        began = time.monotonic()
        computed = simulate_all_at_once(self.model, to_do, self.few_shot, rows_at_once=self.rows_at_once)
        for item, of_item, rows, own_prompts in zip(chunk, found, missing, prompts, strict=True):
            if rows:
                for row, distribution in zip(rows, next(computed), strict=True):
                    of_item[row] = distribution
                    self._keep(own_prompts[row], distribution, time.monotonic() - began, item[0])
            self.on_excerpts(len(rows), len(of_item) - len(rows))
            yield [_answer(distribution) for distribution in of_item]

    def _prompt(self, item: Item, tokens: Sequence[str]) -> EchoPrompt:
        """As a server would be asked: it holds all that the result depends on beside the model."""
        prompt = echo_simulation_question(item[1], tokens, self.few_shot, about=item[0]).prompt
        assert isinstance(prompt, EchoPrompt)
        return prompt

    def _key(self, prompt: EchoPrompt) -> str:
        return request_key(prompt, identity=self.model.who, parameters=self.model.parameters, sample=0, attempt=0)

    def _kept(self, prompt: EchoPrompt) -> Float[np.ndarray, "token value"] | None:
        kept = self.store.get(self._key(prompt))
        return None if kept is None else np.array(json.loads(kept.replied.reply.text), np.float64)

    def _keep(
        self, prompt: EchoPrompt, distribution: Float[np.ndarray, "token value"], seconds: float, about: str
    ) -> None:
        if not np.isfinite(distribution).all():
            return
        text = json.dumps([[float(f"{share:.9g}") for share in row] for row in distribution.tolist()])
        replied = Replied(Reply(text), Usage(), self.model.who)
        self.store.put(
            self._key(prompt), prompt, replied, seconds=seconds, parameters=self.model.parameters, about=about
        )


def _answer(distribution: Float[np.ndarray, "token value"] | None) -> Answer[SimulatedExcerpt]:
    if distribution is None or not np.isfinite(distribution).all():
        return Answer(None, "the model gave no numbers for it: the prompt is too long for it, or it made NaN")
    return Answer(SimulatedExcerpt(expected_values(distribution), distribution))
