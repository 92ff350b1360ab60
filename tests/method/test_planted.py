"""Planted units: each does what its true text says, and not what its false texts say."""

import random

import numpy as np
import pytest
from jaxtyping import Float

from neuron_assets.method.planted import PLANTED_UNITS, PlantedUnit
from neuron_assets.method.records import Tokens
from neuron_assets.method.rules.language import parse
from neuron_assets.method.rules.simulating import simulate_by_rules

STRINGS = (
    *(" self", "self", " return", " if", " None", " is", " not", " for", " import", "import", " from", " as", " ="),
    *("(", ")", ".", ",", "\n", " 12", " MAX", " the", "er", " Word", "="),
    *("#", " failed", " failure", " error", " invalid", " warning", " valid", " success"),
)
CODES = np.random.default_rng(1).integers(0, len(STRINGS), (300, 40))
TOKENS = Tokens(CODES, STRINGS)


def activations_of(unit: PlantedUnit) -> Float[np.ndarray, "excerpt token"]:
    return np.array([unit.function([STRINGS[code] for code in excerpt]) for excerpt in CODES.tolist()])


def correlation(text: str, true: Float[np.ndarray, "excerpt token"]) -> float:
    simulated = simulate_by_rules(text, TOKENS)
    return 0.0 if simulated.std() == 0 else float(np.corrcoef(simulated.ravel(), true.ravel())[0, 1])


UNITS = pytest.mark.parametrize("unit", PLANTED_UNITS, ids=lambda unit: unit.name)


@UNITS
def test_the_true_text_is_told_from_the_false_ones(unit: PlantedUnit) -> None:
    true = activations_of(unit)
    if unit.true_explanation is not None:
        assert correlation(unit.true_explanation, true) > (0.5 if "noise" in unit.name else 0.99)
    assert unit.false_explanations
    for text in unit.false_explanations:
        assert correlation(text, true) < 0.35, text


@UNITS
def test_the_same_tokens_give_the_same_activations(unit: PlantedUnit) -> None:
    first = activations_of(unit)
    random.seed(5)
    np.random.default_rng(5).random(3)

    assert activations_of(unit).tolist() == first.tolist()
    assert np.isfinite(first).all()
    assert first.min() >= 0


@UNITS
def test_each_excerpt_stands_alone(unit: PlantedUnit) -> None:
    assert unit.function([]) == []
    assert len(unit.function([" self"])) == 1


def test_every_text_is_in_the_grammar_and_every_name_once() -> None:
    for unit in PLANTED_UNITS:
        for text in (
            *unit.false_explanations,
            *unit.nearly_true,
            *([unit.true_explanation] if unit.true_explanation else []),
        ):
            parse(text)

    assert len({unit.name for unit in PLANTED_UNITS}) == len(PLANTED_UNITS)
    assert [unit.name for unit in PLANTED_UNITS if not unit.expressible][-2:] == ["noise", "the token before another"]
