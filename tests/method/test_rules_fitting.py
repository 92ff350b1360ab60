"""The explainer without a language model: what it finds in units whose rule is known, and what it must not see."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from neuron_assets.method.planted import PLANTED_UNITS, PlantedUnit
from neuron_assets.method.records import Exemplars, Tokens
from neuron_assets.method.rules.fitting import RuleParameters, explain_by_rules
from neuron_assets.method.rules.language import ANYWHERE, parse
from neuron_assets.method.rules.simulating import context_mask, simulate, simulate_by_rules, used_only
from neuron_assets.method.rules.strengths import Strengths
from neuron_assets.method.rules.surroundings import surroundings

PIECES = (
    *(" self", "self", " return", " if", " None", " is", " not", " for", " import", "import", " from", " as", " ="),
    *(
        "(",
        ")",
        "(",
        ".",
        ".",
        ",",
        ",",
        ":",
        "\n    ",
        "\n    ",
        "\n",
        "#",
        "'",
        " 12",
        "3",
        " MAX",
        "ID",
        " the",
        " of",
    ),
    *(" value", "er", "name", " x", " in", " Word", "_"),
)
N_EXCERPTS, N_TOKENS = 400, 64


def written_text() -> Tokens:
    """Random tokens in which some pairs are frequent, as in a program."""
    random = np.random.default_rng(3)
    strings = tuple(dict.fromkeys(PIECES))
    codes = random.choice([strings.index(piece) for piece in PIECES], (N_EXCERPTS, N_TOKENS))
    for first, second in ((" is", " None"), (" is", " not"), ("(", "self"), (" if", " not"), (".", "name")):
        follows = (codes[:, :-1] == strings.index(first)) & (random.random((N_EXCERPTS, N_TOKENS - 1)) < 0.3)
        codes[:, 1:][follows] = strings.index(second)
    return Tokens(codes, strings)


TEXT = written_text()
TRAIN, VALID = np.arange(200), np.arange(200, 400)


def at(rows: NDArray[np.int64]) -> Tokens:
    return Tokens(TEXT.codes[rows], TEXT.strings)


def activations_of(unit: PlantedUnit, rows: NDArray[np.int64]) -> Float[np.ndarray, "excerpt token"]:
    return np.array([unit.function([TEXT.strings[code] for code in excerpt]) for excerpt in TEXT.codes[rows].tolist()])


def exemplars_of(unit: PlantedUnit) -> Exemplars:
    """The 50 highest peaks, then all others; five excerpts a document."""
    activations = activations_of(unit, TRAIN)
    rows = TRAIN[np.argsort(-activations.max(axis=1), kind="stable")]
    is_top: Bool[np.ndarray, " excerpt"] = np.arange(len(rows)) < 50
    return Exemplars(at(rows), activations_of(unit, rows), is_top, rows // 5, rows)


def correlation(simulated: Float[np.ndarray, "excerpt token"], true: Float[np.ndarray, "excerpt token"]) -> float:
    return float(np.corrcoef(simulated.ravel(), true.ravel())[0, 1])


EXPRESSIBLE = [unit for unit in PLANTED_UNITS if unit.expressible and "noise" not in unit.name]


@pytest.mark.parametrize("unit", EXPRESSIBLE, ids=lambda unit: unit.name)
def test_what_the_grammar_can_say_is_found(unit: PlantedUnit) -> None:
    text = explain_by_rules(exemplars_of(unit), RuleParameters())

    assert correlation(simulate_by_rules(text, at(VALID)), activations_of(unit, VALID)) > 0.95


def test_a_broad_rule_and_its_exception_are_found_together() -> None:
    unit = next(unit for unit in PLANTED_UNITS if unit.name == "a token with an exception")

    assert explain_by_rules(exemplars_of(unit), RuleParameters()) == unit.true_explanation


def test_noise_gives_no_score_worth_having() -> None:
    unit = next(unit for unit in PLANTED_UNITS if unit.name == "noise")
    simulated = simulate_by_rules(explain_by_rules(exemplars_of(unit), RuleParameters()), at(VALID))

    assert simulated.std() == 0 or abs(correlation(simulated, activations_of(unit, VALID))) < 0.1


def test_a_silent_neuron_is_explained_by_silence() -> None:
    silent = replace(exemplars_of(PLANTED_UNITS[0]), activations=np.full((200, N_TOKENS), -0.1))

    assert explain_by_rules(silent, RuleParameters()) == "Otherwise about 0."


def test_the_unit_of_the_activations_does_not_matter() -> None:
    exemplars = exemplars_of(PLANTED_UNITS[3])
    louder = replace(exemplars, activations=exemplars.activations * 64)

    assert explain_by_rules(louder, RuleParameters()) == explain_by_rules(exemplars, RuleParameters())


def test_strings_that_do_not_occur_do_not_matter() -> None:
    exemplars = exemplars_of(PLANTED_UNITS[4])
    wider = replace(exemplars, tokens=Tokens(exemplars.tokens.codes + 1, ("never", *exemplars.tokens.strings)))

    assert explain_by_rules(wider, RuleParameters()) == explain_by_rules(exemplars, RuleParameters())


def test_a_token_of_a_single_document_is_not_named() -> None:
    exemplars = exemplars_of(PLANTED_UNITS[0])
    alone = replace(exemplars, document_indices=np.zeros(200, np.int64))

    assert "self" not in explain_by_rules(alone, RuleParameters())


def test_the_text_keeps_its_length() -> None:
    unit = next(unit for unit in PLANTED_UNITS if unit.name == "a token seen before in the excerpt")

    assert len(explain_by_rules(exemplars_of(unit), RuleParameters(longest=150))) < 180
    assert len(parse(explain_by_rules(exemplars_of(unit), RuleParameters(n_rules=3))).rules) <= 3
    assert explain_by_rules(exemplars_of(unit), RuleParameters(n_rules=0)).startswith("Otherwise about ")


@pytest.mark.parametrize(("n_excerpts", "n_tokens"), [(1, 1), (1, 5), (3, 2)])
def test_few_and_short_excerpts_are_explained(n_excerpts: int, n_tokens: int) -> None:
    codes = np.arange(n_excerpts * n_tokens).reshape(n_excerpts, n_tokens) % 2
    numbers = np.arange(n_excerpts)
    exemplars = Exemplars(Tokens(codes, ("a", "b")), codes * 3.0, numbers < 1, numbers, numbers)

    assert simulate_by_rules(explain_by_rules(exemplars, RuleParameters()), exemplars.tokens).shape == codes.shape


def test_a_constant_neuron_needs_no_rules() -> None:
    constant = replace(exemplars_of(PLANTED_UNITS[0]), activations=np.full((200, N_TOKENS), 0.7))

    assert explain_by_rules(constant, RuleParameters()) == "Otherwise about 10."


def test_parameters_can_be_written_as_json() -> None:
    assert RuleParameters(**json.loads(json.dumps(asdict(RuleParameters())))) == RuleParameters()


def test_what_the_fit_takes_a_context_for_is_what_the_simulator_takes_it_for() -> None:
    tokens = used_only(at(TRAIN[:60]))
    around = surroundings(tokens, np.ones(len(tokens.strings), np.bool_))
    assert len(around.kinds) > 50
    for number in range(len(around.kinds)):
        held = np.zeros(tokens.codes.size, np.bool_)
        held[around.positions[around.entries == number]] = True
        assert np.array_equal(held.reshape(tokens.codes.shape), context_mask(around.context(number), tokens))


def test_what_the_fit_expects_is_what_the_simulator_says() -> None:
    unit = next(unit for unit in PLANTED_UNITS if unit.name == "two meanings")
    tokens, activations = used_only(at(TRAIN)), activations_of(unit, TRAIN)
    strengths = Strengths(activations.ravel(), np.ones(activations.size))
    for rule in parse(
        'Activates on " for" (8), words (1). Right after " if": 2 more, " not" (9). Otherwise about 0.'
    ).rules:
        where = np.flatnonzero(context_mask(rule.context, tokens))
        if rule.effect == "adds":
            strengths.add(rule.context, where)
        else:
            names = [
                code
                for code, string in enumerate(tokens.strings)
                if string == rule.target.what or (rule.target.kind == "class" and string.strip().isalpha())
            ]
            strengths.set(
                rule.context, rule.target, np.intersect1d(where, np.flatnonzero(np.isin(tokens.codes, names)))
            )
    strengths.refit()
    ruleset = strengths.ruleset()
    expected = strengths.base() + strengths.extra()

    assert ruleset.rules[0].context == ANYWHERE
    assert correlation(simulate(ruleset, tokens), expected.reshape(tokens.codes.shape)) > 0.99
