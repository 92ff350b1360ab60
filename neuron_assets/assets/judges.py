"""Who judges, by what the study names.

Put here: from a study's `judge` to something that says how likely a yes is. Keep out: how each of them works
(`method/judging/`, `language_models/`), and the asset (`judgements.py`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from neuron_assets.assets.asked import RequestDesk, encoder_identity, open_encoder
from neuron_assets.assets.books import Errand
from neuron_assets.assets.claims import Claim, Judged
from neuron_assets.assets.judge_questions import AskedJudge, judge_questions
from neuron_assets.assets.question_lengths import check_length
from neuron_assets.assets.similarity import judge_by_similarity
from neuron_assets.judge_sections import SimulationJudge
from neuron_assets.method.judging.by_simulation import detection_by_simulation, fuzzing_by_simulation
from neuron_assets.method.judging.cases import Scorer
from neuron_assets.method.questions import Question
from neuron_assets.method.records import Answer
from neuron_assets.study import Study
from neuron_assets.tables.explained import simulated_matrix


@dataclass(frozen=True, slots=True)
class Judge:
    """Somebody who says whether excerpts hold what an explanation says."""

    identity: str
    """All that an answer depends on beside explanation and excerpts; a model by who it was observed to be."""
    judge: Callable[[Iterable[Claim]], Iterator[Judged]]
    """In the order of what is given."""
    facts: Callable[[], Mapping[str, Any]] = dict
    """What it took, for people: requests, tokens, money."""


@dataclass(frozen=True, slots=True)
class Bench:
    """All who judge in a study: one who is asked, and one who only tells how alike texts are; either may be absent."""

    asked: Judge | None
    alike: Judge | None

    @property
    def identity(self) -> str:
        return " + ".join(judge.identity for judge in (self.asked, self.alike) if judge is not None)

    def of(self, scorer: Scorer) -> Judge:
        found = self.alike if scorer == "embedding" else self.asked
        assert found is not None
        return found

    def judge(self, claims: Sequence[Claim]) -> Iterator[Judged]:
        """Each by the judge of its scorer, in the order of what is given."""
        by_likeness = [claim for claim in claims if claim.cases.scorer == "embedding"]
        by_asking = [claim for claim in claims if claim.cases.scorer != "embedding"]
        alike = iter(list(self.alike.judge(by_likeness)) if self.alike is not None else [])
        asked = iter(list(self.asked.judge(by_asking)) if self.asked is not None else [])
        for claim in claims:
            yield next(alike if claim.cases.scorer == "embedding" else asked)

    def facts(self) -> Mapping[str, Any]:
        return self.asked.facts() if self.asked is not None else {}


@contextmanager
def open_judges(study: Study, desk: RequestDesk, errand: Errand, simulations: pl.DataFrame | None) -> Iterator[Bench]:
    """Those that the study's scorers need; raises LanguageModelError for models that cannot be used."""
    with ExitStack() as stack:
        asks, alike = study.scoring.asks_judge, None
        asked = stack.enter_context(open_judge(study, desk, errand, simulations)) if asks else None
        if study.encoder is not None and study.scoring.embeds:
            encoder = open_encoder(study.encoder)
            alike = Judge(encoder_identity(study.encoder), partial(judge_by_similarity, encoder))
        yield Bench(asked, alike)


@contextmanager
def open_judge(study: Study, desk: RequestDesk, errand: Errand, simulations: pl.DataFrame | None) -> Iterator[Judge]:
    """`simulations` are those of the layer, for a judge who turns them into verdicts.

    Raises LanguageModelError for models that cannot be used.
    """
    section = study.judge
    check_length(study, section)
    if isinstance(section, SimulationJudge):
        assert simulations is not None
        by_candidate = simulations.partition_by("neuron_index", "candidate", as_dict=True)
        judge = partial(_by_simulation, by_candidate, section.threshold)
        yield Judge(study.judge_identity, lambda claims: map(judge, claims))
    else:
        with desk.opened(study, section, errand) as asked:
            yield Judge(
                identity=asked.named(study.judge_identity),
                judge=partial(_by_asking, section, asked.answers),
                facts=asked.facts,
            )


def _by_asking(
    section: AskedJudge,
    answers_of: Callable[[Iterable[Question[tuple[float, ...]]]], Iterator[Answer[tuple[float, ...]]]],
    claims: Iterable[Claim],
) -> Iterator[Judged]:
    """Questions about so many excerpts each, and the answers put together again."""
    asked: list[list[int]] = []

    def questions() -> Iterator[Question[tuple[float, ...]]]:
        for claim in claims:
            assert claim.cases.scorer != "embedding"
            shown, size = claim.cases.shown(), section.plan.shown_at_once
            asked.append([len(shown[start : start + size]) for start in range(0, len(shown), size)])
            yield from judge_questions(section, claim.cases.scorer, claim.explanation, shown, about=claim.about)

    answers = answers_of(questions())
    for answer in answers:
        sizes = asked.pop(0)
        parts = [answer, *(next(answers) for _ in sizes[1:])]
        yield [each for part, size in zip(parts, sizes, strict=True) for each in _by_excerpt(part, size)]


def _by_excerpt(answer: Answer[tuple[float, ...]], n_excerpts: int) -> Judged:
    """A question that nobody answered is lost once, however many excerpts it was about."""
    if answer.value is None:
        return [Answer(None, answer.failure, answer.lost and number == 0) for number in range(n_excerpts)]
    return [Answer(probability) for probability in answer.value]


def _by_simulation(simulations: Mapping[tuple[Any, ...], pl.DataFrame], threshold: float, claim: Claim) -> Judged:
    """An excerpt that could not be simulated is not judged, for the same reason."""
    cases = claim.cases
    rows = simulations[cases.record.neuron.neuron_index, claim.candidate]
    simulated = simulated_matrix(rows, cases.record).astype(np.float64)
    if cases.scorer == "detection":
        probabilities = detection_by_simulation(simulated, threshold)
    else:
        probabilities = fuzzing_by_simulation(simulated, cases.marked, threshold)
    failures = dict(rows.select("excerpt_index", "failure").iter_rows())
    return [
        Answer(None, failures[excerpt]) if np.isnan(probability) else Answer(probability)
        for excerpt, probability in zip(
            cases.record.exemplars.excerpt_indices.tolist(), probabilities.tolist(), strict=True
        )
    ]
