"""What a study will ask and what it will cost, told before anything is spent.

Put here: counting questions, and measuring a sample of them. Keep out: printing (`request_commands.py`), asking.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np

from neuron_assets.assets.asked import last_observed
from neuron_assets.assets.books import prices_of
from neuron_assets.assets.counting import (
    Count,
    count_explanations,
    count_judgements,
    count_revisions,
    count_simulations,
)
from neuron_assets.assets.judge_questions import sample_prompt
from neuron_assets.assets.opening import open_documents
from neuron_assets.assets.partitions import layer_key
from neuron_assets.assets.question_lengths import CHARACTERS_A_TOKEN, context_length, longest_question
from neuron_assets.assets.revision_questions import sample_prompts
from neuron_assets.assets.spending import spending_of
from neuron_assets.errors import NoDocuments, TableError
from neuron_assets.few_shot import few_shot_neurons
from neuron_assets.judge_sections import HostedJudge
from neuron_assets.language_models.ledger import Spending
from neuron_assets.language_models.model import Usage
from neuron_assets.language_models.prices import price_of
from neuron_assets.lineage import lineages
from neuron_assets.method.explaining.layouts import LAYOUTS, explanation_question
from neuron_assets.method.explaining.output_side import OutputSide
from neuron_assets.method.questions import ChatPrompt, Prompt
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens
from neuron_assets.method.simulating.all_at_once import echo_simulation_question
from neuron_assets.method.simulating.numbered_json import json_simulation_question
from neuron_assets.model_sections import HostedExplainer, HostedSection, HostedSimulator
from neuron_assets.study import Study
from neuron_assets.subject_opening import open_subject
from neuron_assets.tables.parquet import read_facts
from neuron_assets.tables.store import TableStore

N_SAMPLED = 40
"""Prompts that are built to be measured."""
_DOUBT = 0.25
"""Of that figure, as a share."""
_EXPLANATION_TOKENS, _SENTENCE_TOKENS, _VALUE_TOKENS, _VERDICT_TOKENS, _SECONDS = 40, 30, 4, 6, 3.0
"""Where a model was never asked: tokens of an explanation, a sentence, a number or verdict in JSON; seconds a reply."""
_MADE_BY = {
    "explainer": "explanations",
    "revision": "revised_explanations",
    "simulator": "simulations",
    "judge": "judgements",
}
_DOCUMENTS_LOOKED_AT = 2000
_ACTIVE = 0.05
"""Share of tokens that are made up to be active: activations need not be there yet."""

Role = Literal["explainer", "revision", "simulator", "judge"]
"""The explainer has two: what it is asked when it revises is told apart."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One role of a study, over all layers and neurons asked for, as if no answer were kept yet."""

    role: Role
    model: str
    requests: int
    """One a question, or as many as they took before: a reply that cannot be read is asked for again. A neuron without
    activity is not asked about."""
    is_exact: bool
    """Whether the excerpts are known; else these are the most, for a question that comes twice is asked once."""
    tokens_in: float
    tokens_out: float
    money: float | None
    """US dollars; None where nobody knows the price."""
    seconds: float | None
    """With as many requests at once as the study allows; None in provider's batches, which may take a day."""
    error: float
    """Of the tokens, as a share: two standard errors of the sample, and the doubt about what a token is. From a ledger,
    which has no lengths of single requests: two standard errors as if these spread as widely as their mean."""
    basis: str
    """What it rests on, in words."""
    longest: int
    """About how many tokens the longest question has, with room for its answer."""
    readable: int | None
    """How many the model reads at once, where somebody says."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What one request takes, on average."""

    a_question: float
    """Requests, 1 or more."""
    tokens_in: float
    tokens_out: float
    tokens_cached: float
    seconds: float
    error: float
    basis: str
    answered_by: str
    """The identity of who answered, or what the study calls the model."""


def estimate(study: Study, neurons: Mapping[int, Sequence[int]], requests: str, store: TableStore) -> list[Estimate]:
    """An estimate for each role that a hosted model has.

    `neurons` are those of each layer; `requests` is where requests and what they took are kept. Raises StoreUnusable.
    """
    counts: dict[Role, Count] = {}
    if isinstance(study.explainer, HostedExplainer):
        counts["explainer"] = count_explanations(study, neurons)
        if study.revises:
            counts["revision"] = count_revisions(study, neurons)
    if isinstance(study.simulator, HostedSimulator):
        counts["simulator"] = count_simulations(study, neurons, store)
    if study.scoring.asks_judge and isinstance(study.judge, HostedJudge):
        counts["judge"] = count_judgements(study, study.judge, neurons, store)
    return [_estimate(study, role, count, _request(study, role, requests, store)) for role, count in counts.items()]


def _estimate(study: Study, role: Role, count: Count, each: _Request) -> Estimate:
    section = _section(study, role)
    n_requests = round(count.n_questions * each.a_question)
    price = price_of(each.answered_by, prices_of(study), section.model)
    in_batches = study.asking.mode == "batch"
    n_in, n_out, n_cached = (n_requests * n for n in (each.tokens_in, each.tokens_out, each.tokens_cached))
    usage = Usage(round(n_in), round(n_out), round(n_cached))
    return Estimate(
        role=role,
        model=section.model,
        requests=n_requests,
        is_exact=count.is_exact and each.a_question == 1,
        tokens_in=n_in,
        tokens_out=n_out,
        money=None if price is None else price.money(usage, batch=in_batches),
        seconds=None if in_batches else each.seconds * n_requests / min(study.asking.most_at_once, max(1, n_requests)),
        error=each.error,
        basis=each.basis,
        longest=longest_question(study, section),
        readable=context_length(section),
    )


def _section(study: Study, role: Role) -> HostedSection:
    section: HostedSection = getattr(study, "explainer" if role == "revision" else role)
    return section


def _request(study: Study, role: Role, requests: str, store: TableStore) -> _Request:
    """By what such requests of this study took, or else by prompts that are built and measured."""
    before = _asked_before(study, role, requests, store)
    n_answered = sum(row.answered for row in before)
    n_replies = n_answered + sum(row.unreadable for row in before)
    if n_replies:
        medians = [row.median_seconds for row in before if row.median_seconds is not None]
        return _Request(
            a_question=min(float(_section(study, role).asks), n_replies / max(1, n_answered)),
            tokens_in=sum(row.tokens_in for row in before) / n_replies,
            tokens_out=sum(row.tokens_out for row in before) / n_replies,
            tokens_cached=sum(row.tokens_cached for row in before) / n_replies,
            seconds=max(medians, default=_SECONDS),
            error=2 / math.sqrt(n_replies),
            basis=f"{n_replies:,} answers to this study, in its ledger: of {before[0].model}, for the "
            f"{len(before)} layer(s) made as the study is now"
            + ("" if medians else f"; {_SECONDS:g} s each are a guess"),
            answered_by=before[0].model,
        )
    lengths = np.array([_length(prompt) for prompt in _sample(study, role)])
    mean = float(lengths.mean())
    return _Request(
        a_question=1.0,
        tokens_in=mean / CHARACTERS_A_TOKEN,
        tokens_out=_tokens_of_a_reply(study, role),
        tokens_cached=0.0,
        seconds=_SECONDS,
        error=_DOUBT + 2 * float(lengths.std()) / math.sqrt(len(lengths)) / mean,
        basis=f"{len(lengths)} prompts of {mean:,.0f} characters on average, {CHARACTERS_A_TOKEN} to a token; "
        f"replies and {_SECONDS:g} s for each are a guess",
        answered_by=_section(study, role).model,
    )


def _asked_before(study: Study, role: Role, requests: str, store: TableStore) -> list[Spending]:
    """What was asked of whoever answered last, for the layers whose table is made as the study is now.

    The ledger holds no more of how something was asked: where such a layer was made in another way before, and by the
    same model, that is in it too.
    """
    table = _MADE_BY[role]
    lineage, answered_by = lineages(study)[table], last_observed(_section(study, role), requests)

    def is_made(layer: int) -> bool:
        try:
            return (
                read_facts(store.path(study.name, table, layer_key(layer, study.subject.n_layers))).lineage == lineage
            )
        except TableError:
            return False

    asked = [row for row in spending_of(study, requests) if (row.asset, row.model) == (table, answered_by)]
    replied = [row for row in asked if row.answered or row.unreadable]
    return [row for row in replied if row.layer_index is not None and is_made(row.layer_index)]


def _tokens_of_a_reply(study: Study, role: Role) -> float:
    if role == "explainer":
        return _EXPLANATION_TOKENS
    if role == "revision":  # half of the replies are sentences
        return (_EXPLANATION_TOKENS + study.revision.counterexamples * _SENTENCE_TOKENS) / 2
    if isinstance(study.judge, HostedJudge) and role == "judge":
        return 0 if study.judge.method == "logprobs" else study.judge.plan.shown_at_once * _VERDICT_TOKENS
    echoes = isinstance(study.simulator, HostedSimulator) and study.simulator.method == "logprobs"
    return 0 if echoes else study.corpus.excerpt_length * _VALUE_TOKENS


def _length(prompt: Prompt) -> int:
    """Characters that are sent and counted as input."""
    if isinstance(prompt, ChatPrompt):
        return sum(len(message.content) for message in prompt.messages)
    return len(prompt.text)


def _sample(study: Study, role: Role) -> Iterator[Prompt]:
    """Real questions about real excerpts, with activations that are made up."""
    few_shot = few_shot_neurons()
    for number, record in enumerate(_made_up_records(study)):
        if role == "explainer":
            assert isinstance(study.explainer, HostedExplainer)
            n_said = study.shown_output_side
            said = OutputSide(record.exemplars.tokens.strings[:n_said], record.exemplars.tokens.strings[-n_said:])
            layout = LAYOUTS[study.explainer.layout]
            yield explanation_question(record, layout, few_shot, output_side=said if n_said else None).prompt
            continue
        if role == "revision":
            assert isinstance(study.explainer, HostedExplainer)
            explanation = few_shot[number % len(few_shot)].explanation
            yield from sample_prompts(study, study.explainer, record, explanation)
            continue
        tokens, explanation = record.exemplars.tokens, few_shot[number % len(few_shot)].explanation
        excerpt = tuple(tokens.strings[code] for code in tokens.codes[0].tolist())
        if role == "judge":
            assert isinstance(study.judge, HostedJudge)
            scorers = [scorer for scorer in study.scoring.judged if scorer != "embedding"]
            yield sample_prompt(study.judge, scorers[number % len(scorers)], explanation, excerpt)
        else:
            assert isinstance(study.simulator, HostedSimulator)
            ask = json_simulation_question if study.simulator.method == "json" else echo_simulation_question
            yield ask(explanation, excerpt, few_shot, about="a sample").prompt


def _made_up_records(study: Study) -> Iterator[NeuronRecord]:
    random = np.random.default_rng(0)
    section = study.explainer
    shown = section.shown_top + section.shown_random if isinstance(section, HostedExplainer) else 1
    excerpts = _some_excerpts(study, random)
    nobody = np.arange(shown, dtype=np.int32)
    for number in range(N_SAMPLED):
        chosen = [excerpts[index] for index in random.integers(len(excerpts), size=shown)]
        strings = tuple(dict.fromkeys(string for excerpt in chosen for string in excerpt))
        codes = np.array([[strings.index(string) for string in excerpt] for excerpt in chosen], np.int32)
        active = random.random(codes.shape) < _ACTIVE
        active[0, 0] = True
        activations = np.where(active, random.random(codes.shape), 0).astype(np.float32)
        exemplars = Exemplars(Tokens(codes, strings), activations, np.ones(shown, bool), nobody, nobody)
        yield NeuronRecord(NeuronId(0, number), exemplars)


def _some_excerpts(study: Study, random: np.random.Generator) -> list[list[str]]:
    """Of documents drawn without looking, until there are enough; raises NoDocuments."""
    subject, length = open_subject(study), study.corpus.excerpt_length
    documents = list(islice(open_documents(study), _DOCUMENTS_LOOKED_AT))
    excerpts: list[list[str]] = []
    for index in random.permutation(len(documents)):
        if len(excerpts) >= 10 * N_SAMPLED:
            break
        ids = subject.tokenize(documents[index].text)
        starts = range(0, len(ids) - length + 1, length)
        excerpts += [list(subject.token_strings(list(ids[start : start + length]))) for start in starts]
    if not excerpts:
        raise NoDocuments(study.corpus.source)
    return excerpts
