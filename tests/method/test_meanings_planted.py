"""Planted units of several meanings: where one thing alone can be said, a list says more; where one is enough, none is.

The explainer may name one rule, so that an explanation of it is as narrow as one sentence.
"""

from collections.abc import Mapping
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from jaxtyping import Float, Int

from neuron_assets.method.choosing import Contender, chosen
from neuron_assets.method.meanings import MeaningParameters, as_list, meanings_of
from neuron_assets.method.planted import PLANTED_UNITS
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens
from neuron_assets.method.rules.fitting import RuleParameters, explain_by_rules
from neuron_assets.method.rules.simulating import simulate_by_rules
from neuron_assets.method.scoring import score
from tests.method.test_planted_suite import text

ONE_THING = RuleParameters(n_rules=1)
MEANINGS = MeaningParameters(most=3, fewest_excerpts=3)
N_TRAIN, N_CHOOSING, N_TOP, N_RANDOM = 700, 250, 50, 150
FIRST = 1

UNITS = {unit.name: unit for unit in PLANTED_UNITS if unit.expressible and "noise" not in unit.name}
SEVERAL = ("two meanings", "numbers, and what follows a denial", "graded tokens")
"""Of which one rule tells a part."""
ONE = ("one token", "words in capitals", "comments", "the first line", "the first token")
"""Of which one rule tells all."""

Rows = Int[np.ndarray, " row"]
Scores = dict[int, float | None]


@cache
def activations(name: str) -> Float[np.ndarray, "excerpt token"]:
    strings = text().strings
    return np.array([UNITS[name].function([strings[code] for code in codes]) for codes in text().codes.tolist()])


def doing(names: tuple[str, ...]) -> Float[np.ndarray, "excerpt token"]:
    """What a unit does that does what any of these do."""
    return np.asarray(np.max([activations(name) for name in names], axis=0))


def shown(names: tuple[str, ...]) -> NeuronRecord:
    """As the pass keeps them: the highest peaks of the first documents, and others drawn without looking."""
    does = doing(names)
    random = np.random.default_rng(5).permutation(N_TRAIN)
    top = random[np.argsort(-does[random].max(axis=1), kind="stable")[:N_TOP]]
    rows = np.concatenate([top, np.setdiff1d(random[:N_RANDOM], top)])
    exemplars = Exemplars(at(rows), does[rows], np.arange(len(rows)) < N_TOP, rows // 3, rows)
    return NeuronRecord(NeuronId(0, 0), exemplars)


def at(rows: Rows) -> Tokens:
    return Tokens(text().codes[rows], text().strings)


def texts(record: NeuronRecord) -> Mapping[int, str]:
    """The first explanation, and the lists by length."""
    found = {FIRST: explain_by_rules(record.exemplars, ONE_THING)}
    for n_meanings, groups in meanings_of(record.exemplars, MEANINGS).items():
        if groups.value is not None:
            told = [explain_by_rules(record.only(group.rows).exemplars, ONE_THING) for group in groups.value]
            found[n_meanings] = as_list(told)
    return found


@cache
def tried(*names: str) -> tuple[int, Scores]:
    """The number of meanings that is chosen, and the score of each number on documents that had no part in it."""
    told, does = texts(shown(names)), doing(names)
    choosing, held_out = np.split(np.arange(N_TRAIN, len(does)), [N_CHOOSING])
    on = [
        {n: score(does[rows], simulate_by_rules(each, at(rows))) for n, each in told.items()}
        for rows in (choosing, held_out)
    ]
    choice = chosen([Contender(n, "", has_text=True, score=each) for n, each in on[0].items()])
    assert choice.candidate is not None
    return choice.candidate, {n: each.ev_correlation for n, each in on[1].items()}


def gain(*names: str) -> float:
    """Of what is chosen over the first explanation, which says nothing where it has no score."""
    number, scores = tried(*names)
    return (scores[number] or 0.0) - (scores[FIRST] or 0.0)


@pytest.mark.parametrize("name", SEVERAL)
def test_where_one_thing_is_too_little_a_list_is_chosen_and_says_more(name: str) -> None:
    number, scores = tried(name)

    assert number > FIRST, scores
    assert gain(name) > 0.1, scores


@pytest.mark.parametrize("name", ONE)
def test_where_one_thing_is_enough_no_list_is_chosen(name: str) -> None:
    number, scores = tried(name)

    assert number == FIRST, scores
    assert scores[FIRST] == pytest.approx(1.0)


def test_of_units_that_do_two_things_half_gain_by_a_list_and_none_loses() -> None:
    """A place in the text has no tokens of its own, so that excerpts are hardly parted by it."""
    gains = {pair: gain(*pair) for pair in combinations(ONE, 2)}
    by_list = {pair for pair in gains if tried(*pair)[0] > FIRST}

    assert len(gains) == 10
    assert len(by_list) >= 5, gains
    assert all((gains[pair] > 0.03) == (pair in by_list) for pair in gains), gains
    assert all(value == 0.0 for pair, value in gains.items() if pair not in by_list), gains
