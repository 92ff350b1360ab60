"""The questions of a revision by a language model, as the study has it asked.

Put here: how many sentences, how long a reply. Keep out: asking them (`revising_by_asking.py`), what
they say (`method/revising/`).
"""

from collections.abc import Sequence

import numpy as np

from neuron_assets.method.explaining.layouts import LONGEST_REPLY
from neuron_assets.method.questions import Prompt, Question
from neuron_assets.method.records import NeuronRecord
from neuron_assets.method.revising.asking import revision_question
from neuron_assets.method.revising.measured import Counterexample
from neuron_assets.method.revising.sentences import LONGEST_SENTENCE, ProposedSentence, sentences_question
from neuron_assets.model_sections import AskedExplainer
from neuron_assets.study import Study

_ACTIVE_EVERY = 6
"""Tokens of a sentence that is made up: as many are active as in an excerpt that is."""


def asked_for_sentences(
    study: Study, section: AskedExplainer, explanation: str, number: int, *, about: str
) -> Question[tuple[ProposedSentence, ...]]:
    """As many that should fire as that should not; a further round draws others, also for the same explanation."""
    n_each = study.revision.counterexamples // 2
    room = section.room_to_think
    return sentences_question(explanation, n_each, about=about, sample=number - 1, room_to_think=room)


def asked_to_revise(
    section: AskedExplainer, record: NeuronRecord, explanation: str, measured: Sequence[Counterexample], number: int
) -> Question[str]:
    """The record holds the exemplars that the neuron was explained from."""
    longest = LONGEST_REPLY + section.room_to_think
    return revision_question(record, explanation, measured, sample=number - 1, longest_reply=longest)


def sample_prompts(
    study: Study, section: AskedExplainer, record: NeuronRecord, explanation: str, *, longest: bool = False
) -> tuple[Prompt, Prompt]:
    """To measure how long prompts are: the two of a round, with sentences as long as may be, or half of it."""
    asked = asked_for_sentences(study, section, explanation, 1, about="a sample")
    n, n_characters = study.revision.counterexamples, LONGEST_SENTENCE if longest else LONGEST_SENTENCE // 2
    measured = [_made_up(record, n_characters, should_fire=number < n // 2) for number in range(n)]
    return asked.prompt, asked_to_revise(section, record, explanation, measured, 1).prompt


def _made_up(record: NeuronRecord, n_characters: int, *, should_fire: bool) -> Counterexample:
    """A sentence of the record's own words."""
    strings = record.exemplars.tokens.strings
    words = [strings[code] for code in record.exemplars.tokens.codes.ravel().tolist()]
    text, tokens = "", list[str]()
    while len(text) < n_characters:
        tokens.append(words[len(tokens) % len(words)])
        text += tokens[-1]
    activations = (np.arange(len(tokens)) % _ACTIVE_EVERY == 0).astype(np.float32)
    return Counterexample(text, tuple(tokens), activations, should_fire, fired=True)
