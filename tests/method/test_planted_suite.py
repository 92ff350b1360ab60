"""The proof of the scorers: each puts the true explanation of a planted unit above each false one, or says why not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import pytest
from jaxtyping import Float

from neuron_assets.method.judging.activity import Known, NaturalCounts, known_from, natural_counts
from neuron_assets.method.judging.by_simulation import detection_by_simulation, fuzzing_by_simulation
from neuron_assets.method.judging.choosing import ACTIVE, ChoicePlan, choose_excerpts, marked_tokens
from neuron_assets.method.judging.metrics import Judgements, Metric, judging_metrics
from neuron_assets.method.planted import PLANTED_UNITS, PlantedUnit
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens
from neuron_assets.method.rules.simulating import simulate_by_rules
from neuron_assets.method.scoring import score

N_TRAIN, N_HELD_OUT, N_NATURAL, N_TOKENS, PER_DOCUMENT = 300, 900, 400, 16, 3
PHRASES = (
    ("\n", "#", " the", " value", " is", " not", " valid", "."),
    ("\n", "#", " an", " error", " in", " the", " list", ",", " as", " of", " now"),
    ("\n    ", "self", ".", "name", " =", " None"),
    ("\n    ", " return", " self", ".", "name", "(", "er", ")"),
    ("\n            ", " raise", " Failure", "(", "'", " invalid", " name", "'", ")"),
    (" if", " x", " is", " None", ":"),
    (" if", " not", " x", ":", "\n    ", " return", " None"),
    (" for", " x", " in", " range", "(", " 12", ")", ":"),
    ("\n", " import", " MAX", ",", " ID", " from", " os", " as", " path"),
    ("\n", "import", " sys"),
    (" and", " it", " failed", " with", " a", " warning", ",", " or", " a", " failure", ","),
    (" that", " was", " a", " useful", " success", ",", " valid", " and", " correct"),
    ("\n", "rows", "[", "self", "]", " =", " 40", " +", " MAX"),
    ("\n", "print", "(", "self", ".", "x", ",", " y", ")"),
    ("\n", "width", "=", "3", ",", " height", "=", " Word"),
    (" while", " Word", " is", " the", " word", " of", " words", " in", " words"),
)


@cache
def text() -> Tokens:
    """Phrases in a random order, some oftener than others, cut anywhere."""
    rng = np.random.default_rng(11)
    often = 1 / np.arange(2, len(PHRASES) + 2)
    drawn = rng.choice(len(PHRASES), 4 * (N_TRAIN + N_HELD_OUT), p=often / often.sum())
    order = rng.permutation(len(PHRASES))
    stream = [token for number in drawn.tolist() for token in PHRASES[order[number]]]
    strings = tuple(dict.fromkeys(stream))
    n_excerpts = N_TRAIN + N_HELD_OUT
    codes = np.array([strings.index(token) for token in stream[: n_excerpts * N_TOKENS]])
    return Tokens(codes.reshape(n_excerpts, N_TOKENS), strings)


Strengths = Float[np.ndarray, "excerpt token"]
SCORERS = (
    "simulation",
    *(f"detection {name}" for name in ("balanced_accuracy", "auroc", "f1", "precision")),
    *(f"fuzzing {name}" for name in ("balanced_accuracy", "auroc")),
)
DETECTION = ChoicePlan(n_active=40, n_plain=20, n_hard=20)
FUZZING = ChoicePlan(n_active=40, n_plain=15, n_hard=15, n_beside=10)


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """What the scorers know of one unit."""

    known: Known
    held_out: NeuronRecord
    natural: NaturalCounts


@cache
def world(index: int, share: float = 0.1) -> World:
    tokens, rows = text(), np.arange(N_TRAIN + N_HELD_OUT)
    cut = [[tokens.strings[code] for code in codes] for codes in tokens.codes.tolist()]
    activations = np.array([PLANTED_UNITS[index].function(strings) for strings in cut])
    everything = Exemplars(tokens, activations, np.zeros(len(rows), np.bool_), rows // PER_DOCUMENT, rows)
    record = NeuronRecord(NeuronId(0, index), everything)
    known = known_from(record.only(rows[:N_TRAIN]).exemplars, share=share).value
    assert known is not None
    natural = record.only(rows[N_TRAIN : N_TRAIN + N_NATURAL]).exemplars
    return World(known, record.only(rows[N_TRAIN:]), natural_counts(natural, known))


def expected(unit: PlantedUnit, explanation: str) -> Strengths:
    """What a reader of the explanation expects of the held-out excerpts."""
    tokens = Tokens(text().codes[N_TRAIN:], text().strings)
    claims = {claim.text: claim.expected for claim in unit.claims}
    if explanation not in claims:
        return simulate_by_rules(explanation, tokens)
    return np.array([claims[explanation]([tokens.strings[code] for code in codes]) for codes in tokens.codes.tolist()])


def judged(of: World, scorer: Literal["detection", "fuzzing"], simulated: Strengths) -> Mapping[str, Metric]:
    plan = DETECTION if scorer == "detection" else FUZZING
    chosen = choose_excerpts(of.held_out, of.known, plan)
    documents = of.held_out.exemplars.document_indices[chosen.rows]
    if scorer == "detection":
        verdicts = detection_by_simulation(simulated[chosen.rows])
        return judging_metrics(
            Judgements(of.held_out.neuron, verdicts, chosen.strata, documents), of.natural, seed=0, n_draws=2
        )
    marked = marked_tokens(of.held_out, of.known, chosen, plan)
    verdicts = fuzzing_by_simulation(simulated[chosen.rows], marked)
    return judging_metrics(Judgements(of.held_out.neuron, verdicts, chosen.strata, documents), seed=0, n_draws=2)


def scored(of: World, simulated: Strengths) -> Mapping[str, float | None]:
    """By name of the scorer; None where it has no number."""
    found = {"simulation": score(of.held_out.exemplars.activations, simulated).ev_correlation}
    for scorer in ("detection", "fuzzing"):
        metrics = judged(of, scorer, simulated)
        found |= {f"{scorer} {name}": metric.value for name, metric in metrics.items()}
    return found


@dataclass(frozen=True, slots=True)
class Pair:
    """A true explanation and a false one."""

    index: int
    true: str
    false: str
    way: Literal["wrong", "also wrong", "over-broad", "too narrow"]

    @property
    def unit(self) -> PlantedUnit:
        return PLANTED_UNITS[self.index]


def pairs() -> Iterator[Pair]:
    for index, unit in enumerate(PLANTED_UNITS):
        if unit.true_explanation is not None:
            wrong, *also_wrong = unit.false_explanations
            yield Pair(index, unit.true_explanation, wrong, "wrong")
            for false in also_wrong:
                yield Pair(index, unit.true_explanation, false, "also wrong")
            if unit.over_broad is not None:
                yield Pair(index, unit.true_explanation, unit.over_broad, "over-broad")
            if unit.too_narrow is not None:
                yield Pair(index, unit.true_explanation, unit.too_narrow, "too narrow")
        if unit.claims:
            true, wrong, over_broad, too_narrow = (claim.text for claim in unit.claims)
            yield Pair(index, true, wrong, "wrong")
            yield Pair(index, true, over_broad, "over-broad")
            yield Pair(index, true, too_narrow, "too narrow")


PAIRS = tuple(pairs())


@cache
def scores_of(index: int, explanation: str) -> Mapping[str, float | None]:
    return scored(world(index), expected(PLANTED_UNITS[index], explanation))


def wins(pair: Pair, scorer: str) -> bool:
    """Whether the true explanation has a number, and the false one a lower one or none."""
    true, false = (scores_of(pair.index, each)[scorer] for each in (pair.true, pair.false))
    return true is not None and (false is None or false < true)


def is_perfectly_precise(pair: Pair) -> bool:
    """Whether the false explanation calls some judged excerpts active, and no silent one."""
    of = world(pair.index)
    chosen = choose_excerpts(of.held_out, of.known, DETECTION)
    yes = detection_by_simulation(expected(pair.unit, pair.false)[chosen.rows]) > 0.5
    return bool(yes.any() and not yes[chosen.strata != ACTIVE].any())


SAME_EXCERPTS = "both are right about every judged excerpt, and detection is shown no single tokens"
NEVER_SILENT = "the unit is active in nearly every excerpt, so there are no silent ones to tell from active ones"
EXCEPTIONS: Mapping[str, Mapping[tuple[str, str], str]] = {
    "simulation": {},
    "detection": {
        ("anything right after a token", "wrong"): SAME_EXCERPTS,
        ("a state: every other stretch between commas", "over-broad"): SAME_EXCERPTS,
        ("a state: every other stretch between commas", "too narrow"): SAME_EXCERPTS,
        ("comments", "too narrow"): SAME_EXCERPTS,
        ("the token before another", "over-broad"): SAME_EXCERPTS,
        ("the first token", "wrong"): NEVER_SILENT,
        ("a token in noise", "wrong"): NEVER_SILENT,
        ("a token in noise", "also wrong"): NEVER_SILENT,
    },
    "fuzzing": {},
}
"""By scorer, the unit and the false text that it cannot tell from the true one, and why."""
ABOVE_FALSE = {
    "simulation": 40,
    "detection balanced_accuracy": 32,
    "detection auroc": 32,
    "detection f1": 32,
    "detection precision": 24,
    "fuzzing balanced_accuracy": 40,
    "fuzzing auroc": 40,
}
"""Of the 40 pairs; all but the exceptions, and for precision also but the false texts that give no false alarm."""


def is_exception(pair: Pair, scorer: str) -> bool:
    if (pair.unit.name, pair.way) in EXCEPTIONS[scorer.split(maxsplit=1)[0]]:
        return True
    return scorer == "detection precision" and is_perfectly_precise(pair)


@pytest.mark.parametrize("scorer", SCORERS)
def test_the_true_explanation_is_above_each_false_one_wherever_it_can_be(scorer: str) -> None:
    for pair in PAIRS:
        assert wins(pair, scorer) != is_exception(pair, scorer), (pair.unit.name, pair.false)


@pytest.mark.parametrize("scorer", SCORERS)
def test_no_false_explanation_is_ever_above_the_true_one(scorer: str) -> None:
    for pair in PAIRS:
        true, false = (scores_of(pair.index, each)[scorer] for each in (pair.true, pair.false))
        assert (true or 0.0) >= (false or 0.0), (pair.unit.name, pair.false)


def test_the_win_rates_are_what_is_said() -> None:
    assert len(PAIRS) == 40
    assert {scorer: sum(wins(pair, scorer) for pair in PAIRS) for scorer in SCORERS} == ABOVE_FALSE


def test_a_true_explanation_without_noise_is_always_right() -> None:
    for index, true in {(pair.index, pair.true) for pair in PAIRS if pair.unit.name != "a token in noise"}:
        silent = PLANTED_UNITS[index].name == "the first token"
        found = scores_of(index, true)
        assert {scorer: None if silent and "detection" in scorer else 1.0 for scorer in SCORERS} == pytest.approx(found)


def test_where_active_means_more_than_noise_the_token_in_noise_is_told_by_all() -> None:
    index, unit = next((n, unit) for n, unit in enumerate(PLANTED_UNITS) if unit.name == "a token in noise")
    assert unit.true_explanation is not None
    louder = world(index, share=0.45)
    true = scored(louder, expected(unit, unit.true_explanation))

    for text_of_false in unit.false_explanations:
        false = scored(louder, expected(unit, text_of_false))
        for scorer in SCORERS:
            assert (true[scorer] or 0.0) > (false[scorer] or 0.0), (scorer, text_of_false)


def test_the_grammar_says_nothing_of_units_that_are_for_language_models_and_claims_do() -> None:
    told = {unit.name for unit in PLANTED_UNITS if unit.claims}

    assert told == {unit.name for unit in PLANTED_UNITS if not unit.expressible} - {"noise"}
    assert all(len(unit.claims) == 4 for unit in PLANTED_UNITS if unit.claims)


def test_nearly_true_texts_say_more_or_less_than_the_unit_does() -> None:
    """Where the unit is active a broad text is, and where a narrow text is the unit is; but not the other way round."""
    nearly = [pair for pair in PAIRS if "wrong" not in pair.way]
    for pair in nearly:
        active = world(pair.index).held_out.exemplars.activations > 0
        false = expected(pair.unit, pair.false) > 0
        more, fewer = (false, active) if pair.way == "over-broad" else (active, false)
        assert (more | ~fewer).all()
        assert (more & ~fewer).any()

    assert len(nearly) == 16
