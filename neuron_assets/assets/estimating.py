"""What a study will ask and what it will cost, told before anything is spent.

Put here: counting questions, and measuring a sample of them. Keep out: printing (`terminal.py`), asking.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from neuron_assets.asking_sections import HostedExplainer, HostedSimulator
from neuron_assets.assets.asked import prices_of
from neuron_assets.assets.opening import open_documents, open_subject
from neuron_assets.few_shot import few_shot_neurons
from neuron_assets.language_models.ledger import Ledger, Spending
from neuron_assets.language_models.prices import price_of
from neuron_assets.method.explaining.layouts import LAYOUTS, explanation_question
from neuron_assets.method.questions import Prompt
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens
from neuron_assets.method.simulating.all_at_once import echo_simulation_question
from neuron_assets.method.simulating.numbered_json import json_simulation_question
from neuron_assets.study import Study

N_SAMPLED = 40
"""Prompts that are built to be measured."""
CHARACTERS_A_TOKEN = 3.3
"""Where a model was never asked: between English (4) and code (2.5)."""
_DOUBT = 0.25
"""Of that figure, as a share."""
_EXPLANATION_TOKENS, _VALUE_TOKENS, _SECONDS = 40, 4, 3.0
"""Where a model was never asked: tokens of an explanation, of one number in JSON, and seconds for an answer."""
_ACTIVE = 0.05
"""Share of tokens that are made up to be active: activations need not be there yet."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One role of a study, over all layers and neurons asked for; what is kept already would cost nothing."""

    role: Literal["explainer", "simulator"]
    model: str
    requests: int
    tokens_in: float
    tokens_out: float
    money: float | None
    """US dollars; None where nobody knows the price."""
    seconds: float
    error: float
    """Of the tokens, as a share: two standard errors of the sample, and the doubt about what a token is."""
    basis: str
    """What it rests on, in words."""


def estimate(study: Study, n_neurons: Sequence[int], ledger: Ledger) -> list[Estimate]:
    """An estimate for each role that a hosted model has; `n_neurons` are those of each layer."""
    spent = ledger.summary(study.name)
    n_all = sum(n_neurons)
    found = []
    if isinstance(study.explainer, HostedExplainer):
        n_requests = n_all * study.explainer.samples
        found.append(_estimate(study, "explainer", n_requests, _of(spent, "explanations")))
    if isinstance(study.simulator, HostedSimulator):
        samples = study.explainer.samples if isinstance(study.explainer, HostedExplainer) else 1
        controls = sum(n for n in n_neurons if n > 1) if study.controls.shuffled else 0
        n_excerpts = study.scoring.top + study.splits.valid.random
        n_requests = (n_all * samples + controls) * n_excerpts
        found.append(_estimate(study, "simulator", n_requests, _of(spent, "simulations")))
    return found


def _estimate(
    study: Study, role: Literal["explainer", "simulator"], n_requests: int, before: Sequence[Spending]
) -> Estimate:
    section = study.explainer if role == "explainer" else study.simulator
    assert isinstance(section, HostedExplainer | HostedSimulator)
    answered = sum(row.answered for row in before)
    if answered:
        tokens_in, tokens_out = (
            sum(getattr(row, name) for row in before) / answered for name in ("tokens_in", "tokens_out")
        )
        seconds = max(row.median_seconds or 0.0 for row in before)
        error, basis = 2 / math.sqrt(answered), f"{answered:,} answers to this study"
    else:
        lengths = np.array([_length(prompt) for prompt in _sample(study, role)])
        tokens_in, seconds = float(lengths.mean()) / CHARACTERS_A_TOKEN, _SECONDS
        values = study.corpus.excerpt_length * _VALUE_TOKENS if role == "simulator" else _EXPLANATION_TOKENS
        tokens_out = 0.0 if isinstance(section, HostedSimulator) and section.method == "logprobs" else float(values)
        error = _DOUBT + 2 * float(lengths.std() / math.sqrt(len(lengths)) / lengths.mean())
        basis = f"{len(lengths)} prompts of {lengths.mean():,.0f} characters, {CHARACTERS_A_TOKEN} a token"
    price = price_of(section.model, prices_of(study))
    money = None
    if price is not None:
        money = n_requests * (tokens_in * price.tokens_in + tokens_out * price.tokens_out) / 1e6
    seconds *= n_requests / study.asking.most_at_once
    return Estimate(
        role, section.model, n_requests, n_requests * tokens_in, n_requests * tokens_out, money, seconds, error, basis
    )


def _of(spent: Sequence[Spending], asset: str) -> list[Spending]:
    return [row for row in spent if row.asset == asset and row.answered]


def _length(prompt: Prompt) -> int:
    """Characters that are sent and counted as input."""
    messages = getattr(prompt, "messages", ())
    return sum(len(message.content) for message in messages) if messages else len(getattr(prompt, "text", ""))


def _sample(study: Study, role: Literal["explainer", "simulator"]) -> Iterator[Prompt]:
    """Real questions about real excerpts, with activations that are made up."""
    for number, record in enumerate(_made_up_records(study)):
        exemplars = record.exemplars
        excerpts = [tuple(exemplars.tokens.strings[code] for code in row) for row in exemplars.tokens.codes.tolist()]
        if role == "explainer":
            assert isinstance(study.explainer, HostedExplainer)
            yield explanation_question(record, LAYOUTS[study.explainer.layout], few_shot_neurons()).prompt
        else:
            assert isinstance(study.simulator, HostedSimulator)
            ask = json_simulation_question if study.simulator.method == "json" else echo_simulation_question
            explanation = few_shot_neurons()[number % len(few_shot_neurons())].explanation
            yield ask(explanation, excerpts[0], few_shot_neurons(), about=str(record.neuron)).prompt


def _made_up_records(study: Study) -> Iterator[NeuronRecord]:
    random = np.random.default_rng(0)
    subject, length = open_subject(study), study.corpus.excerpt_length
    shown = (
        study.explainer.shown_top + study.explainer.shown_random if isinstance(study.explainer, HostedExplainer) else 1
    )
    documents = open_documents(study)
    ids = [subject.tokenize(documents[index].text) for index in random.permutation(len(documents))[:N_SAMPLED]]
    cuts = [each[start : start + length] for each in ids for start in range(0, len(each) - length, length)]
    for number in range(N_SAMPLED):
        chosen = [subject.token_strings(list(cuts[index])) for index in random.integers(len(cuts), size=shown)]
        strings = tuple(dict.fromkeys(string for excerpt in chosen for string in excerpt))
        codes = np.array([[strings.index(string) for string in excerpt] for excerpt in chosen], np.int32)
        active = random.random(codes.shape) < _ACTIVE
        nobody = np.arange(shown, dtype=np.int32)
        activations = np.where(active, random.random(codes.shape), 0).astype(np.float32)
        yield NeuronRecord(
            NeuronId(0, number), Exemplars(Tokens(codes, strings), activations, np.ones(shown, bool), nobody, nobody)
        )
