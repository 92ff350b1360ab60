"""From what a study names to what a run works with: documents, subject, explainer, simulator.

Put here: the registries that turn a provider's name into the thing itself. Keep out: how each of them works.
Everything heavy is imported when it is opened, so that the graph of assets loads without torch.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from neuron_assets.corpora.documents import distinct_documents
from neuron_assets.corpora.standard_library import standard_library_documents
from neuron_assets.corpora.text_files import text_file_documents
from neuron_assets.errors import ExplanationError, UnreadableStudy
from neuron_assets.method.planted import PLANTED_UNITS
from neuron_assets.method.records import Answer, Document, NeuronId, NeuronRecord, Tokens
from neuron_assets.method.rules.fitting import RuleParameters, explain_by_rules
from neuron_assets.method.rules.simulating import simulate_by_rules
from neuron_assets.study import Study
from neuron_assets.yaml_files import read_yaml

if TYPE_CHECKING:
    from neuron_assets.subjects.subject import Subject

Explain = Callable[[NeuronRecord], Sequence[Answer[str]]]
"""Takes a neuron with its train exemplars; gives one answer a sample."""

Simulate = Callable[[str, Tokens], Answer[Float[np.ndarray, "excerpt token"]]]
"""Takes an explanation and the tokens of some excerpts; gives expected activations, 0 to 10."""


def open_documents(study: Study) -> list[Document]:
    """Each text once; raises NoDocuments."""
    if study.corpus.provider == "standard_library":
        return distinct_documents(standard_library_documents())
    return distinct_documents(text_file_documents(study.folder / str(study.corpus.folder), study.corpus.pattern))


def open_subject(study: Study) -> "Subject":
    """The subject model, its sizes checked; raises SubjectMismatch."""
    from neuron_assets.subjects.bundled.opening import open_bundled, open_planted, open_untrained_twin
    from neuron_assets.subjects.subject import check_sizes

    openers: Mapping[str, Callable[[], Subject]] = {
        "bundled": open_bundled,
        "bundled_untrained": lambda: open_untrained_twin(study.subject.seed),
        "planted": open_planted,
    }
    subject = openers[study.subject.provider]()
    check_sizes(subject, n_layers=study.subject.n_layers, n_neurons=study.subject.n_neurons)
    return subject


def open_explainer(study: Study) -> Explain:
    if study.explainer.provider == "rules":
        parameters = RuleParameters(n_rules=study.explainer.n_rules, longest=study.explainer.longest)
        return lambda record: [Answer(explain_by_rules(record.exemplars, parameters))]
    written = _planted_explanations() if study.explainer.provider == "planted" else _written_explanations(study)
    source = study.explainer.file or study.explainer.provider
    return lambda record: (
        [Answer(text) for text in written.get(str(record.neuron), ())]
        or [Answer(None, f"{source} has no explanation of {record.neuron}")]
    )


def open_simulator(study: Study) -> Simulate:
    assert study.simulator.provider == "rules"
    return _simulate_by_rules


def _simulate_by_rules(explanation: str, tokens: Tokens) -> Answer[Float[np.ndarray, "excerpt token"]]:
    try:
        return Answer(simulate_by_rules(explanation, tokens))
    except ExplanationError as error:
        return Answer(None, f"{type(error).__name__}: {error}")


def _planted_explanations() -> Mapping[str, Sequence[str]]:
    """Of each planted unit the true explanation, if it has one, then the false ones."""
    return {
        str(NeuronId(0, index)): [*([unit.true_explanation] if unit.true_explanation else []), *unit.false_explanations]
        for index, unit in enumerate(PLANTED_UNITS)
    }


def _written_explanations(study: Study) -> Mapping[str, Sequence[str]]:
    """Texts by neuron (`L0N3`), from a file of a neuron's explanation, or a list of them, a line."""
    path = study.folder / str(study.explainer.file)
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
    """Raises UnreadableStudy where `name` is no neuron, and what `check_neuron` raises."""
    try:
        neuron = NeuronId.parse(str(name))
    except ValueError as error:
        raise UnreadableStudy(path, str(error)) from error
    study.check_neuron(neuron)
    return neuron
