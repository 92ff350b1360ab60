"""Facts on rules that are fitted anew in the light of their mistakes."""

from dataclasses import replace

import numpy as np
import pytest

from neuron_assets.errors import UnreadableExplanation
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens
from neuron_assets.method.rules.fitting import RuleParameters, explain_by_rules
from neuron_assets.method.rules.revising import RevisionParameters, revise_by_rules
from neuron_assets.method.rules.simulating import simulate_by_rules

STRINGS = (" red", " green", " blue", " grey", " a", " the", ",", " of", " and", " to")
N_TOKENS = 32
RULES, REVISION = RuleParameters(), RevisionParameters()
LOUD = {" red": 10.0, " green": 6.0, " blue": 8.0}
"""What the neuron does."""


def exemplars(strings: tuple[str, ...], n_excerpts: int, first_document: int, seed: int) -> Exemplars:
    """Texts of these tokens, one document each, as many of them top as not."""
    codes = np.random.default_rng(seed).integers(len(strings), size=(n_excerpts, N_TOKENS)).astype(np.int32)
    activations = np.array([[LOUD.get(strings[code], 0.0) for code in excerpt] for excerpt in codes.tolist()])
    indices = first_document + np.arange(n_excerpts)
    return Exemplars(Tokens(codes, strings), activations, np.arange(n_excerpts) % 2 == 0, indices, indices)


TRAIN = exemplars(tuple(one for one in STRINGS if one != " blue"), 40, 0, seed=1)
"""Here the neuron's third token never stands."""
LOOK = exemplars(STRINGS, 10, 100, seed=2)
UNSEEN = exemplars(STRINGS, 40, 200, seed=3)


def correlation(text: str, on: Exemplars) -> float:
    return float(np.corrcoef(simulate_by_rules(text, on.tokens).ravel(), on.activations.ravel())[0, 1])


FIRST = explain_by_rules(TRAIN, RULES)


def test_a_token_that_the_first_rules_missed_is_named_and_unseen_documents_gain() -> None:
    revised = revise_by_rules(FIRST, TRAIN, LOOK, RULES, REVISION)

    assert '" blue"' not in FIRST
    assert '" blue"' in revised.explanation
    assert all(mistake.fault == "silent" for mistake in revised.counterexamples)
    assert correlation(FIRST, UNSEEN) < 0.8
    assert correlation(revised.explanation, UNSEEN) > 0.98


def test_a_token_on_which_the_first_rules_fire_wrongly_is_taken_out() -> None:
    wrong = 'Activates on " red", " grey" (10), " blue" (8), " green" (6). Otherwise about 0.'
    revised = revise_by_rules(wrong, TRAIN, LOOK, RULES, REVISION)

    assert all(mistake.fault == "fires" for mistake in revised.counterexamples)
    assert {LOOK.tokens.strings[LOOK.tokens.codes[m.row, m.token]] for m in revised.counterexamples} == {" grey"}
    assert '" grey"' not in revised.explanation
    assert correlation(revised.explanation, UNSEEN) > correlation(wrong, UNSEEN) + 0.2


def test_as_many_counterexamples_are_taken_as_wanted_the_costliest_first() -> None:
    revised = revise_by_rules(FIRST, TRAIN, LOOK, RULES, RevisionParameters(n_counterexamples=4))
    costs = [mistake.cost for mistake in revised.counterexamples]

    assert len(costs) == 4
    assert costs == sorted(costs, reverse=True)


def test_the_new_rules_have_seen_the_counterexamples_and_nothing_else_of_the_half() -> None:
    revised = revise_by_rules(FIRST, TRAIN, LOOK, RULES, REVISION)
    kept = [mistake.row for mistake in revised.counterexamples]
    only = NeuronRecord(NeuronId(0, 0), LOOK).only(np.array(kept)).exemplars

    assert len(kept) == REVISION.n_counterexamples
    assert revise_by_rules(FIRST, TRAIN, only, RULES, REVISION).explanation == revised.explanation


def test_a_text_that_makes_no_mistake_stays_as_it_is() -> None:
    right = 'Activates on " red" (10), " blue" (8), " green" (6). Otherwise about 0.'

    revised = revise_by_rules(right, TRAIN, LOOK, RULES, REVISION)
    assert (revised.explanation, revised.counterexamples) == (right, ())


def test_where_nothing_was_looked_at_the_text_stays_as_it_is() -> None:
    nothing = NeuronRecord(NeuronId(0, 0), LOOK).only(np.zeros(0, np.int64)).exemplars

    revised = revise_by_rules(FIRST, TRAIN, nothing, RULES, REVISION)
    assert (revised.explanation, revised.counterexamples) == (FIRST, ())


def test_the_numbers_of_tokens_do_not_matter() -> None:
    """The two pools may count their strings differently."""
    order = np.random.default_rng(0).permutation(len(STRINGS))
    renumbered = Tokens(np.argsort(order)[LOOK.tokens.codes], tuple(STRINGS[code] for code in order))

    assert revise_by_rules(FIRST, TRAIN, replace(LOOK, tokens=renumbered), RULES, REVISION) == revise_by_rules(
        FIRST, TRAIN, LOOK, RULES, REVISION
    )


def test_a_document_that_counts_three_times_is_still_one() -> None:
    """A token of one document alone may be a peculiarity of it, however much the document counts."""
    alone = LOOK.tokens.codes.copy()
    alone[1:][alone[1:] == STRINGS.index(" blue")] = STRINGS.index(" a")
    activations = np.where(alone == LOOK.tokens.codes, LOOK.activations, 0.0)
    look = replace(LOOK, tokens=Tokens(alone, STRINGS), activations=activations)

    assert " blue" in {look.tokens.strings[code] for code in alone[0].tolist()}
    revised = revise_by_rules(FIRST, TRAIN, look, RULES, RevisionParameters(weight=3))
    assert revised.counterexamples[0].row == 0
    assert '" blue"' not in revised.explanation


def test_a_text_outside_the_grammar_is_refused() -> None:
    with pytest.raises(UnreadableExplanation):
        revise_by_rules("colours", TRAIN, LOOK, RULES, REVISION)
