"""Lists of meanings through the prompts: a scripted model that can say one thing says two of a neuron that does two."""

import json
import re
from collections import Counter

import numpy as np

from neuron_assets.method.explaining.layouts import LAYOUTS, explanation_question, rows_to_show
from neuron_assets.method.meanings import MeaningParameters, as_list, meanings_of
from neuron_assets.method.questions import ChatPrompt, Prompt, Reply
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens
from neuron_assets.method.scoring import score
from neuron_assets.method.simulating.numbered_json import json_simulation_question

STRINGS = (" rain", " self", " of", " and", " the", ",", " word", " it", " on", " was")
N_TRAIN, N_EXCERPTS, N_TOKENS, N_TOP = 200, 300, 8, 30
CODES = np.random.default_rng(2).choice(len(STRINGS), (N_EXCERPTS, N_TOKENS), p=[0.04, 0.05, *[0.91 / 8] * 8])


def record(fires: tuple[str, ...], rows: np.ndarray) -> NeuronRecord:
    """A neuron that does 10 on each of these tokens, the top excerpts first."""
    strengths = np.array([10.0 * (string in fires) for string in STRINGS])[CODES]
    rows = rows[np.argsort(-strengths[rows].max(axis=1), kind="stable")]
    is_top = np.arange(len(rows)) < N_TOP
    return NeuronRecord(NeuronId(0, 0), Exemplars(Tokens(CODES[rows], STRINGS), strengths[rows], is_top, rows, rows))


def last(prompt: Prompt) -> str:
    assert isinstance(prompt, ChatPrompt)
    return prompt.messages[-1].content


def explained(of: NeuronRecord) -> str:
    """By a model that names the token which is strong most often among the five excerpts that it is shown."""
    question = explanation_question(of.only(rows_to_show(of.exemplars, 5, 0)), LAYOUTS["pairs"], [])
    found = re.findall(r"^(.+)\t10$", last(question.prompt), re.MULTILINE)
    ((token, _),) = Counter(found).most_common(1)
    return question.read(Reply(f'the word "{token.strip()}"'))


def correlation(explanation: str, of: NeuronRecord) -> float | None:
    """Of what a model expects that fires on every word it is told of."""
    simulated = []
    for codes in of.exemplars.tokens.codes.tolist():
        question = json_simulation_question(explanation, [STRINGS[code] for code in codes], [], about="")
        named, shown = re.findall(r'the word "(\w+)"', last(question.prompt)), last(question.prompt).splitlines()
        tokens = [json.loads(line.split(" ", 1)[1]) for line in shown if re.match(r'\d+ "', line)]
        says = {str(place): 10 * (token.strip() in named) for place, token in enumerate(tokens, start=1)}
        simulated.append(question.read(Reply(json.dumps(says))).expected)
    return score(of.exemplars.activations, np.stack(simulated)).ev_correlation


def told(fires: tuple[str, ...]) -> tuple[str, str]:
    """One explanation, and a list of two."""
    shown = record(fires, np.arange(N_TRAIN))
    groups = meanings_of(shown.exemplars, MeaningParameters(most=2, fewest_excerpts=3))[2].value
    assert groups is not None
    return explained(shown), as_list([explained(shown.only(group.rows)) for group in groups])


def test_of_a_neuron_of_two_meanings_the_list_says_both_and_scores_higher() -> None:
    fires, held_out = (" rain", " self"), np.arange(N_TRAIN, N_EXCERPTS)
    one, two = told(fires)
    scores = [correlation(text, record(fires, held_out)) for text in (one, two)]

    assert re.findall(r'"(\w+)"', one) in (["rain"], ["self"])
    assert sorted(re.findall(r'"(\w+)"', two)) == ["rain", "self"]
    assert two.startswith('Any of these: 1. the word "')
    assert scores[0] is not None
    assert scores[0] < 0.9
    assert scores[1] == 1.0


def test_of_a_neuron_of_one_meaning_the_list_says_the_same_twice() -> None:
    fires, held_out = (" self",), np.arange(N_TRAIN, N_EXCERPTS)
    one, two = told(fires)

    assert two == f"Any of these: 1. {one}. 2. {one}."
    assert [correlation(text, record(fires, held_out)) for text in (one, two)] == [1.0, 1.0]
