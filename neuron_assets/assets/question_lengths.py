"""How long the longest question of a study is, and whether who is asked can read it.

Put here: building such a question from invented text, and the check before anything is asked. Keep out: what all
questions cost (`estimating.py`). A model of unknown context is not checked: a prompt that it refuses is a failure row.
"""

from collections.abc import Iterator
from itertools import cycle, islice

import numpy as np

from neuron_assets.assets.judge_questions import sample_prompt
from neuron_assets.assets.revision_questions import sample_prompts
from neuron_assets.errors import QuestionTooLong
from neuron_assets.few_shot import few_shot_neurons
from neuron_assets.judge_sections import HostedJudge, Judge, LocalJudge
from neuron_assets.language_models.local_identity import context_length_of
from neuron_assets.method.explaining.layouts import LAYOUTS, LONGEST_REPLY, explanation_question
from neuron_assets.method.explaining.output_side import OutputSide
from neuron_assets.method.questions import ChatPrompt, Prompt
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens
from neuron_assets.method.simulating.all_at_once import echo_simulation_question
from neuron_assets.method.simulating.numbered_json import json_simulation_question
from neuron_assets.model_sections import (
    Explainer,
    HostedExplainer,
    HostedSection,
    HostedSimulator,
    LocalExplainer,
    LocalSection,
    Simulator,
)
from neuron_assets.study import Study

CHARACTERS_A_TOKEN = 3.3
"""Where a model was never asked: between English (4) and code (2.5)."""
_ACTIVE_EVERY = 6
"""Tokens: as many are active as just let a prompt say them twice."""

Asked = HostedSection | LocalSection


def longest_question(study: Study, section: Asked) -> int:
    """About how many tokens of that model its longest question has, with room for the answer."""
    return max(map(_length, _longest_prompts(study, section)))


def _length(prompt: Prompt) -> int:
    if isinstance(prompt, ChatPrompt):
        characters = sum(len(message.content) for message in prompt.messages)
        return round(characters / CHARACTERS_A_TOKEN) + prompt.longest_reply
    return round(len(prompt.text) / CHARACTERS_A_TOKEN)


def context_length(section: Asked) -> int | None:
    """Tokens that the model reads at once; None where nobody says."""
    if isinstance(section, LocalSection):
        return context_length_of(section.model, section.revision)
    return section.context_length


def check_length(study: Study, section: Explainer | Simulator | Judge) -> None:
    """Raises QuestionTooLong where it is known that the model cannot read what it would be asked."""
    if not isinstance(section, Asked):
        return
    readable, length = context_length(section), longest_question(study, section)
    if readable is not None and length > readable:
        explains, judges = (HostedExplainer, LocalExplainer), (HostedJudge, LocalJudge)
        role = "explainer" if isinstance(section, explains) else "judge" if isinstance(section, judges) else "simulator"
        raise QuestionTooLong(role, section.label, length, readable)


def _longest_prompts(study: Study, section: Asked) -> Iterator[Prompt]:
    """The longest of each kind."""
    few_shot = few_shot_neurons()
    words = cycle(token for neuron in few_shot for excerpt in neuron.excerpts for token in excerpt.tokens)
    length = study.corpus.excerpt_length
    explanation = max((neuron.explanation for neuron in few_shot), key=len)
    match section:
        case HostedExplainer() | LocalExplainer():
            excerpts = [tuple(islice(words, length)) for _ in range(section.shown_top + section.shown_random)]
            if isinstance(section, HostedExplainer):  # whose thinking may have no place in its context
                section = section.model_copy(update={"room_to_think": 0})
            record, longest = _active_record(excerpts), LONGEST_REPLY + section.room_to_think
            layout, n_tokens = LAYOUTS[section.layout], section.shown_output_side
            said = OutputSide(tuple(islice(words, n_tokens)), tuple(islice(words, n_tokens))) if n_tokens else None
            yield explanation_question(record, layout, few_shot, longest_reply=longest, output_side=said).prompt
            if study.revises_by_asking:
                yield from sample_prompts(study, section, record, explanation, longest=True)
        case HostedJudge() | LocalJudge():
            yield sample_prompt(section, "fuzzing", explanation, tuple(islice(words, length)))
        case _:
            in_json = isinstance(section, HostedSimulator) and section.method == "json"
            ask = json_simulation_question if in_json else echo_simulation_question
            yield ask(explanation, tuple(islice(words, length)), few_shot, about="the longest").prompt


def _active_record(excerpts: list[tuple[str, ...]]) -> NeuronRecord:
    strings = tuple(dict.fromkeys(token for excerpt in excerpts for token in excerpt))
    codes = np.array([[strings.index(token) for token in excerpt] for excerpt in excerpts], np.int32)
    activations = (np.arange(codes.size).reshape(codes.shape) % _ACTIVE_EVERY == 0).astype(np.float32)
    nobody = np.arange(len(excerpts), dtype=np.int32)
    is_top = np.ones(len(excerpts), bool)
    return NeuronRecord(NeuronId(0, 0), Exemplars(Tokens(codes, strings), activations, is_top, nobody, nobody))
