"""Who simulates, by what the study names.

Put here: from a study's `simulator` to something that reads explanations. Keep out: how each of them works (`method/`,
`language_models/`), and the asset (`simulations.py`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from neuron_assets.assets.asked import RequestDesk, observed_identity, open_local
from neuron_assets.assets.books import Errand
from neuron_assets.assets.noting import noting
from neuron_assets.assets.question_lengths import check_length
from neuron_assets.errors import ExplanationError
from neuron_assets.few_shot import few_shot_neurons
from neuron_assets.language_models.asker import Progress, Used
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.method.questions import Question
from neuron_assets.method.records import Answer, Tokens
from neuron_assets.method.rules.simulating import simulate_by_rules
from neuron_assets.method.simulating.all_at_once import echo_simulation_question
from neuron_assets.method.simulating.numbered_json import json_simulation_question
from neuron_assets.method.simulating.simulated import SimulatedExcerpt
from neuron_assets.model_sections import HostedSimulator, LocalSimulator, RulesSimulator
from neuron_assets.study import Study


@dataclass(frozen=True, slots=True)
class Unseen:
    """An explanation, and the excerpts on which it is to be tried."""

    about: str
    explanation: str
    tokens: Tokens
    excerpt_indices: Sequence[int]

    def strings(self) -> Iterator[tuple[str, ...]]:
        """The tokens of each excerpt as a reader sees them."""
        for codes in self.tokens.codes.tolist():
            yield tuple(self.tokens.strings[code] for code in codes)


Simulated = Sequence[Answer[SimulatedExcerpt]]
"""One answer an excerpt."""


@dataclass(frozen=True, slots=True)
class Simulator:
    """Somebody who predicts activations from an explanation alone."""

    identity: str
    """All that a simulation depends on beside explanation and excerpt; a model by who it was observed to be."""
    simulate: Callable[[Iterable[Unseen]], Iterator[Simulated]]
    """In the order of what is given."""
    facts: Callable[[], Mapping[str, Any]] = dict
    """What it took, for people: requests, tokens, money."""


@contextmanager
def open_simulator(study: Study, desk: RequestDesk, errand: Errand) -> Iterator[Simulator]:
    """Raises LanguageModelError for models that cannot be used."""
    section = study.simulator
    check_length(study, section)
    match section:
        case RulesSimulator():
            yield Simulator(study.simulator_identity, lambda items: map(_simulate_by_rules, items))
        case HostedSimulator():
            in_json = partial(json_simulation_question, room_to_think=section.room_to_think)
            ask = in_json if section.method == "json" else echo_simulation_question
            with desk.opened(study, section, errand) as asked:
                yield Simulator(
                    identity=asked.named(study.simulator_identity),
                    simulate=lambda items: _by_excerpt(items, ask, asked.answers),
                    facts=asked.facts,
                )
        case LocalSimulator():
            with (
                RequestStore.open(desk.store) as store,
                noting(store.database, study, errand, desk.tables) as used,
            ):
                yield _local(study, section, store, errand, used)


def _by_excerpt(
    items: Iterable[Unseen],
    ask: Callable[..., Question[SimulatedExcerpt]],
    answers_of: Callable[[Iterable[Question[SimulatedExcerpt]]], Iterator[Answer[SimulatedExcerpt]]],
) -> Iterator[Simulated]:
    """A question an excerpt, and the answers put together again."""
    n_excerpts: list[int] = []

    def questions() -> Iterator[Question[SimulatedExcerpt]]:
        for item in items:
            n_excerpts.append(len(item.excerpt_indices))
            for excerpt_index, tokens in zip(item.excerpt_indices, item.strings(), strict=True):
                about = f"{item.about} excerpt {excerpt_index}"
                yield ask(item.explanation, tokens, few_shot_neurons(), about=about)

    answers = answers_of(questions())
    for answer in answers:
        yield [answer, *(next(answers) for _ in range(n_excerpts.pop(0) - 1))]


def _local(
    study: Study, section: LocalSimulator, store: RequestStore, errand: Errand, used: Callable[[Used], None]
) -> Simulator:
    from neuron_assets.language_models.kept_simulating import KeptSimulator

    tally = {"excerpts_computed": 0, "excerpts_kept": 0}

    def count(n_computed: int, n_kept: int) -> None:
        tally["excerpts_computed"] += n_computed
        tally["excerpts_kept"] += n_kept
        errand.on_progress(Progress(n_answers=sum(tally.values()), n_requests=tally["excerpts_computed"]))

    model = open_local(section)
    local = KeptSimulator(model, few_shot_neurons(), store, study.asking.rows_at_once, count, used)
    return Simulator(
        identity=observed_identity(study.simulator_identity, model.who),
        simulate=lambda items: local.simulate((one.about, one.explanation, list(one.strings())) for one in items),
        facts=lambda: dict(tally),
    )


def _simulate_by_rules(item: Unseen) -> Simulated:
    try:
        expected = simulate_by_rules(item.explanation, item.tokens)
    except ExplanationError as error:
        return [Answer(None, f"{type(error).__name__}: {error}") for _ in item.excerpt_indices]
    return [Answer(SimulatedExcerpt(row)) for row in expected]
