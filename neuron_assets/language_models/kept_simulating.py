"""Simulations by a model in this process, kept like requests: what was computed once is not computed again.

Here: looking into the store first, and keeping. Not here: the computation (`local_simulating.py`).
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from jaxtyping import Float

from neuron_assets.language_models.asker import Store, Used, nothing
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

_MOST_KEPT_AHEAD = 64
"""Items in a row that are in the store and wait for one before them; then what is left is computed, however few."""

_DIGITS = 7
"""Of a probability: a model that computes in float32 has no more."""

Item = tuple[str, str, Sequence[Sequence[str]]]
"""What it is about, an explanation, and the tokens of its excerpts, all of one length."""

Distribution = Float[np.ndarray, "token value"]


@dataclass(frozen=True, slots=True, eq=False)
class _LookedUp:
    """An item, and what of it was in the store."""

    item: Item
    prompts: Sequence[EchoPrompt]
    found: Sequence[Distribution | None]

    @property
    def missing(self) -> list[int]:
        """The excerpts that have to be computed, by their place in the item."""
        return [row for row, kept in enumerate(self.found) if kept is None]


@dataclass(frozen=True, slots=True, eq=False)
class KeptSimulator:
    """A model in this process as a simulator, with the store that is looked into first."""

    model: LocalModel
    few_shot: Sequence[FewShotNeuron]
    store: Store
    rows_at_once: int
    """Excerpts that go through the model together; changes speed and memory only."""
    on_excerpts: Callable[[int, int], None] = lambda _computed, _kept: None
    """Hears how many more excerpts were computed, and how many more were found in the store."""
    used: Callable[[Used], None] = nothing
    """Called with each excerpt that is in the store."""

    def simulate(self, items: Iterable[Item]) -> Iterator[Sequence[Answer[SimulatedExcerpt]]]:
        """Of each item one answer an excerpt, in order. Raises UnusableModel, StoreUnusable.

        What is computed is kept at once: a process that is killed loses the excerpts it was at.
        """
        coming = map(self._looked_up, items)
        for looked_up in coming:
            if looked_up.missing:
                yield from self._computed(chain([looked_up], coming))
            else:
                yield self._answers(looked_up, [])

    def _computed(self, coming: Iterator[_LookedUp]) -> Iterator[Sequence[Answer[SimulatedExcerpt]]]:
        """The answers from an item on of which something is missing, until many in a row are kept."""
        ahead: deque[_LookedUp] = deque()

        def to_do() -> Iterator[tuple[str, Sequence[Sequence[str]]]]:
            n_kept = 0
            while n_kept < _MOST_KEPT_AHEAD and (looked_up := next(coming, None)) is not None:
                ahead.append(looked_up)
                missing = looked_up.missing
                n_kept = 0 if missing else n_kept + 1
                if missing:
                    _, explanation, excerpts = looked_up.item
                    yield explanation, [excerpts[row] for row in missing]

        began = time.monotonic()
        for computed in simulate_all_at_once(self.model, to_do(), self.few_shot, rows_at_once=self.rows_at_once):
            while not ahead[0].missing:
                yield self._answers(ahead.popleft(), [])
            distributions = [_rounded(each) for each in computed]
            self._keep(ahead[0], distributions, (time.monotonic() - began) / len(distributions))
            yield self._answers(ahead.popleft(), distributions)
            began = time.monotonic()
        yield from (self._answers(looked_up, []) for looked_up in ahead)

    def _answers(self, looked_up: _LookedUp, computed: Sequence[Distribution]) -> Sequence[Answer[SimulatedExcerpt]]:
        self.on_excerpts(len(computed), len(looked_up.found) - len(computed))
        new = iter(computed)
        return [_answer(next(new) if kept is None else kept) for kept in looked_up.found]

    def _looked_up(self, item: Item) -> _LookedUp:
        about, explanation, excerpts = item
        prompts = [self._prompt(explanation, tokens, about) for tokens in excerpts]
        return _LookedUp(item, prompts, [self._kept(prompt, about) for prompt in prompts])

    def _prompt(self, explanation: str, tokens: Sequence[str], about: str) -> EchoPrompt:
        """As a server would be asked: it holds all that the result depends on beside the model."""
        prompt = echo_simulation_question(explanation, tokens, self.few_shot, about=about).prompt
        assert isinstance(prompt, EchoPrompt)
        return prompt

    def _key(self, prompt: EchoPrompt) -> str:
        return request_key(prompt, identity=self.model.who, parameters=self.model.parameters, sample=0, attempt=0)

    def _kept(self, prompt: EchoPrompt, about: str) -> Distribution | None:
        key = self._key(prompt)
        kept = self.store.get(key)
        if kept is None:
            return None
        self.used(Used(key, about))
        return np.array(json.loads(kept.replied.reply.text), np.float64)

    def _keep(self, looked_up: _LookedUp, distributions: Sequence[Distribution], seconds: float) -> None:
        """Keeps what was missing, `seconds` for each; an excerpt without a simulation is not kept."""
        for row, distribution in zip(looked_up.missing, distributions, strict=True):
            if np.isfinite(distribution).all():
                prompt, about = looked_up.prompts[row], looked_up.item[0]
                key = self._key(prompt)
                self.store.put(
                    key,
                    prompt,
                    Replied(Reply(json.dumps(distribution.tolist())), Usage(), self.model.who),
                    seconds=seconds,
                    parameters=self.model.parameters,
                    about=about,
                )
                self.used(Used(key, about))


def _rounded(distribution: Distribution) -> Distribution:
    """As it is kept, so that the first run and the next ones give the same numbers."""
    return np.array([[float(f"{share:.{_DIGITS}g}") for share in row] for row in distribution.tolist()])


def _answer(distribution: Distribution) -> Answer[SimulatedExcerpt]:
    if not np.isfinite(distribution).all():
        return Answer(None, "the model gave no numbers for it: the prompt is too long for it, or it made NaN")
    return Answer(SimulatedExcerpt(expected_values(distribution), distribution))
