"""Who explains, by what the study names.

Put here: from a study's `explainer` to something that answers records. Keep out: how each of them works (`method/`,
`language_models/`), and the asset (`explanations.py`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Int
from threadpoolctl import ThreadpoolController

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.books import Errand
from neuron_assets.assets.question_lengths import check_length
from neuron_assets.errors import UnreadableStudy
from neuron_assets.few_shot import few_shot_neurons
from neuron_assets.method.explaining.layouts import LAYOUTS, LONGEST_REPLY, explanation_question, rows_to_show
from neuron_assets.method.explaining.output_side import OutputSide
from neuron_assets.method.meanings import NOT_PARTED
from neuron_assets.method.planted import PLANTED_UNITS
from neuron_assets.method.questions import Question
from neuron_assets.method.records import Answer, Exemplars, NeuronId, NeuronRecord
from neuron_assets.method.rules.fitting import RuleParameters, explain_by_rules
from neuron_assets.method.samples import shown_rows
from neuron_assets.model_sections import (
    HostedExplainer,
    LocalExplainer,
    PlantedExplainer,
    RulesExplainer,
    WrittenExplainer,
)
from neuron_assets.study import Study
from neuron_assets.yaml_files import read_yaml

SILENT: Answer[str] = Answer(None, "the neuron is silent on all the excerpts that would be shown")
_NOT_WRITTEN = "has no explanation of"
_NOTHING_SAID: Mapping[int, OutputSide] = {}


@dataclass(frozen=True, slots=True)
class Explainer:
    """Somebody who writes explanations."""

    identity: str
    """All that an explanation depends on beside its neuron; a model by who it was observed to be."""
    rows: Callable[[Exemplars], Int[np.ndarray, " row"]]
    """Which of a neuron's `train` exemplars it sees."""
    explain: Callable[[Iterable[NeuronRecord]], Iterator[Sequence[Answer[str]]]]
    """Of each record, in their order, one answer a sample."""
    facts: Callable[[], Mapping[str, Any]] = dict
    """What it took, for people: requests, tokens, money."""


def is_no_fault() -> pl.Expr:
    """Whether a row's failure is nobody's: the neuron is silent, has no second meaning, or nobody wrote about it."""
    failure = pl.col("failure").fill_null("")
    is_not_written = failure.str.contains(rf" {_NOT_WRITTEN} L\d+N\d+$")
    return (failure == str(SILENT.failure)) | is_not_written | failure.str.starts_with(NOT_PARTED)


@contextmanager
def open_explainer(
    study: Study,
    desk: RequestDesk,
    errand: Errand,
    *,
    output_sides: Mapping[int, OutputSide] = _NOTHING_SAID,
    samples: int | None = None,
) -> Iterator[Explainer]:
    """`output_sides` are told to a language model, by neuron_index.

    With so many `samples` of each record, or where none are given as many as the study says.

    Raises UnreadableStudy for written explanations that cannot be read, LanguageModelError for unusable models.
    """
    section = study.explainer
    check_length(study, section)
    match section:
        case RulesExplainer():
            parameters = RuleParameters(n_rules=section.n_rules, longest=section.longest)
            # A second thread gains nothing on such small matrices, and takes a core from whoever has a use for it.
            with ThreadpoolController().limit(limits=1, user_api="blas"):
                yield _by_neuron(study, lambda record: [Answer(explain_by_rules(record.exemplars, parameters))])
        case PlantedExplainer():
            yield _by_neuron(study, _told(_planted_explanations(), "planted"))
        case WrittenExplainer():
            yield _by_neuron(study, _told(_written_explanations(study, section), section.file))
        case HostedExplainer() | LocalExplainer():
            with desk.opened(study, section, errand) as asked:
                yield Explainer(
                    identity=asked.named(study.explainer_identity),
                    rows=lambda exemplars: rows_to_show(exemplars, section.shown_top, section.shown_random),
                    explain=lambda records: _explained(
                        list(records), section, output_sides, samples or section.samples, asked.answers
                    ),
                    facts=asked.facts,
                )


def _explained(
    records: Sequence[NeuronRecord],
    section: HostedExplainer | LocalExplainer,
    output_sides: Mapping[int, OutputSide],
    n_samples: int,
    answers_of: Callable[[Iterable[Question[str]]], Iterator[Answer[str]]],
) -> Iterator[Sequence[Answer[str]]]:
    """Nothing is asked about a neuron that is silent on all that would be shown."""
    is_silent = [not (record.exemplars.activations > 0).any() for record in records]
    asked = [record for record, silent in zip(records, is_silent, strict=True) if not silent]
    questions = _questions(asked, section, output_sides, n_samples)
    answers = iter(list(answers_of(questions)))  # to the end: there an offline run says what it lacks
    for silent in is_silent:
        yield [SILENT] if silent else [next(answers) for _ in range(n_samples)]


def _questions(
    records: Iterable[NeuronRecord],
    section: HostedExplainer | LocalExplainer,
    output_sides: Mapping[int, OutputSide],
    n_samples: int,
) -> Iterator[Question[str]]:
    layout, few_shot = LAYOUTS[section.layout], few_shot_neurons()
    longest = LONGEST_REPLY + section.room_to_think
    for record in records:
        said = output_sides.get(record.neuron.neuron_index)
        for sample in range(n_samples):
            yield explanation_question(record, layout, few_shot, sample=sample, longest_reply=longest, output_side=said)


def _by_neuron(study: Study, explain: Callable[[NeuronRecord], Sequence[Answer[str]]]) -> Explainer:
    return Explainer(study.explainer_identity, shown_rows, lambda records: map(explain, records))


def _told(texts: Mapping[str, Sequence[str]], source: str) -> Callable[[NeuronRecord], Sequence[Answer[str]]]:
    return lambda record: (
        [Answer(text) for text in texts.get(str(record.neuron), ())]
        or [Answer(None, f"{source} {_NOT_WRITTEN} {record.neuron}")]
    )


def _planted_explanations() -> Mapping[str, Sequence[str]]:
    """Of each planted unit the true explanation, if it has one, then the false ones."""
    return {
        str(NeuronId(0, index)): [*([unit.true_explanation] if unit.true_explanation else []), *unit.false_explanations]
        for index, unit in enumerate(PLANTED_UNITS)
    }


def _written_explanations(study: Study, section: WrittenExplainer) -> Mapping[str, Sequence[str]]:
    """Texts by neuron (`L0N3`), from a file of a neuron's explanation, or a list of them, a line."""
    path = study.folder / section.file
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise UnreadableStudy(path, "it must hold a neuron and its explanations a line, like `L0N3: [...]`")
    listed: dict[str, Sequence[str]] = {}
    for name, value in content.items():
        neuron, texts = _neuron(study, path, name), [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) and text.strip() for text in texts):
            raise UnreadableStudy(path, f"{neuron} must have a text, or a list of texts")
        listed[str(neuron)] = texts
    return listed


def _neuron(study: Study, path: Path, name: object) -> NeuronId:
    """Raises UnreadableStudy where `name` is no neuron, and what `read_neuron` raises."""
    try:
        return study.read_neuron(str(name))
    except ValueError as error:
        raise UnreadableStudy(path, str(error)) from error
