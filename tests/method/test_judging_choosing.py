"""Facts on which excerpts a judge is asked about, and which of their tokens are marked."""

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Int

from neuron_assets.method.judging.activity import Known, active_tokens, known_from, natural_counts
from neuron_assets.method.judging.choosing import (
    ACTIVE,
    BESIDE,
    DETECTION,
    FUZZING,
    HARD,
    PLAIN,
    ChoicePlan,
    choose_excerpts,
    marked_tokens,
)
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens

N_EXCERPTS, N_TOKENS = 120, 12
STRINGS = ("the", "bank", "river", "money", "of", "tree", "x", "y")
BANK, RIVER, X = 1, 2, 6


def world(first: int, seed: int, neuron_index: int = 0) -> NeuronRecord:
    """The neuron is active on "bank" in excerpts that hold "river", as loudly as chance has it."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(len(STRINGS), (N_EXCERPTS, N_TOKENS), p=[0.45, 0.08, 0.03, 0.02, 0.3, 0.08, 0.02, 0.02])
    with_river = (codes == RIVER).any(axis=1, keepdims=True)
    activations = (codes == BANK) * with_river * rng.uniform(0.5, 8, codes.shape) + 0.01 * rng.random(codes.shape)
    indices = first + np.arange(N_EXCERPTS)
    is_top = np.zeros(N_EXCERPTS, np.bool_)
    return NeuronRecord(
        NeuronId(1, neuron_index), Exemplars(Tokens(codes, STRINGS), activations, is_top, indices // 2, indices)
    )


def known(train: NeuronRecord) -> Known:
    answer = known_from(train.exemplars)
    assert answer.value is not None
    return answer.value


TRAIN, HELD_OUT = world(0, seed=1), world(1000, seed=2)
KNOWN = known(TRAIN)


def kinds(record: NeuronRecord) -> dict[int, set[int]]:
    """Which excerpts are of which kind, told in another way: excerpt by excerpt."""
    found: dict[int, set[int]] = {ACTIVE: set(), PLAIN: set(), HARD: set()}
    exemplars = record.exemplars
    for index, codes, activations in zip(
        exemplars.excerpt_indices.tolist(), exemplars.tokens.codes.tolist(), exemplars.activations.tolist(), strict=True
    ):
        loud = any(activation > KNOWN.threshold for activation in activations)
        found[ACTIVE if loud else HARD if BANK in codes else PLAIN].add(index)
    return found


def indices_of(record: NeuronRecord, rows: Int[np.ndarray, " row"]) -> set[int]:
    return set(record.exemplars.excerpt_indices[rows].tolist())


def test_active_is_above_a_share_of_the_maximum_over_train() -> None:
    largest = float(TRAIN.exemplars.activations.max())

    assert KNOWN.threshold == pytest.approx(0.1 * largest)
    half = known_from(TRAIN.exemplars, share=0.5).value
    assert half is not None
    assert half.threshold == pytest.approx(0.5 * largest)
    exactly = replace(HELD_OUT.exemplars, activations=np.full((N_EXCERPTS, N_TOKENS), KNOWN.threshold))
    assert not active_tokens(exactly, KNOWN).any()


def test_top_tokens_are_those_that_hold_most_of_the_activity() -> None:
    assert KNOWN.top_tokens == {"bank"}

    codes = np.array([[0, 1, 2, 3]])
    exemplars = Exemplars(
        Tokens(codes, STRINGS), np.array([[1.0, 10.0, 6.0, 6.0]]), np.array([True]), np.array([0]), np.array([0])
    )
    found = known_from(exemplars, n_top_tokens=2).value
    assert found is not None
    assert found.top_tokens == {"bank", "river"}  # of equals, the first among the strings; 1.0 is not above a tenth


def test_a_neuron_that_is_silent_on_train_is_never_active() -> None:
    silent = replace(TRAIN.exemplars, activations=np.full((N_EXCERPTS, N_TOKENS), -0.2))

    assert known_from(silent).failure == "the neuron is never above 0 on train"
    assert known_from(silent).value is None
    silent.activations[3, 4] = np.nan
    assert known_from(silent).failure == "not finite"


def test_natural_counts_are_those_of_each_excerpt_once() -> None:
    exemplars = HELD_OUT.only(np.array([5, *range(N_EXCERPTS), 7])).exemplars
    found, expected = natural_counts(exemplars, KNOWN), kinds(HELD_OUT)

    assert len(found.n_excerpts) == N_EXCERPTS // 2
    assert found.n_excerpts.tolist() == [2] * (N_EXCERPTS // 2)
    for counts, kind in ((found.n_active, ACTIVE), (found.n_hard, HARD)):
        assert counts.tolist() == [len({2 * n + 1000, 2 * n + 1001} & expected[kind]) for n in range(N_EXCERPTS // 2)]
        assert counts.sum() > 5


def test_each_kind_holds_what_it_says_and_no_excerpt_comes_twice() -> None:
    twice = HELD_OUT.only(np.array([3, 4, *range(N_EXCERPTS), 8]))
    expected = kinds(HELD_OUT)
    for plan in (DETECTION, FUZZING):
        chosen = choose_excerpts(twice, KNOWN, plan)
        by_kind = {kind: chosen.rows[chosen.strata == kind] for kind in (ACTIVE, PLAIN, HARD, BESIDE)}

        assert len(indices_of(twice, chosen.rows)) == len(chosen.rows)
        assert indices_of(twice, by_kind[ACTIVE]) | indices_of(twice, by_kind[BESIDE]) <= expected[ACTIVE]
        assert indices_of(twice, by_kind[PLAIN]) <= expected[PLAIN]
        assert indices_of(twice, by_kind[HARD]) <= expected[HARD]
        assert [len(rows) for rows in by_kind.values()] == [plan.n_active, plan.n_plain, plan.n_hard, plan.n_beside]


def test_silent_excerpts_are_of_those_drawn_without_looking() -> None:
    """Excerpts 0 to 59 are top ones; 50 to 59 were drawn as well."""
    twice = HELD_OUT.only(np.array([*range(60), *range(50, N_EXCERPTS)]))
    record = NeuronRecord(HELD_OUT.neuron, replace(twice.exemplars, is_top=np.arange(130) < 60))
    chosen = choose_excerpts(record, KNOWN, ChoicePlan(n_active=200, n_plain=200, n_hard=200))
    expected = kinds(HELD_OUT)

    assert indices_of(record, chosen.rows[chosen.strata == ACTIVE]) == expected[ACTIVE]
    for stratum in (PLAIN, HARD):
        found = indices_of(record, chosen.rows[chosen.strata == stratum])
        assert found == {index for index in expected[stratum] if index >= 1050}
        assert found


def test_active_excerpts_are_spread_over_the_range_of_peaks() -> None:
    chosen = choose_excerpts(HELD_OUT, KNOWN, ChoicePlan(n_active=5, n_plain=5, n_hard=5))
    peaks = HELD_OUT.exemplars.activations.max(axis=1)
    width = (peaks.max() - KNOWN.threshold) / 5
    bands = np.searchsorted(KNOWN.threshold + width * np.arange(1, 5), peaks, side="right")

    assert set(bands[peaks > KNOWN.threshold].tolist()) == {0, 1, 2, 3, 4}  # each band has somebody to choose
    assert sorted(bands[chosen.rows[chosen.strata == ACTIVE]].tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("plan", [DETECTION, FUZZING])
def test_the_choice_hangs_on_the_seed_and_the_neuron_and_not_on_the_order_of_rows(plan: ChoicePlan) -> None:
    order = np.random.default_rng(0).permutation(N_EXCERPTS)
    shuffled = HELD_OUT.only(order)
    first, second = choose_excerpts(HELD_OUT, KNOWN, plan), choose_excerpts(shuffled, KNOWN, plan)

    assert first.rows.tolist() == order[second.rows].tolist()
    assert first.strata.tolist() == second.strata.tolist()
    assert np.array_equal(marked_tokens(HELD_OUT, KNOWN, first, plan), marked_tokens(shuffled, KNOWN, second, plan))
    neighbour = NeuronRecord(NeuronId(1, 1), HELD_OUT.exemplars)
    assert choose_excerpts(neighbour, KNOWN, plan).rows.tolist() != first.rows.tolist()
    assert choose_excerpts(HELD_OUT, KNOWN, replace(plan, seed=1)).rows.tolist() != first.rows.tolist()


def test_the_order_of_asking_tells_nothing_of_the_kind() -> None:
    places = [
        np.flatnonzero(choose_excerpts(NeuronRecord(NeuronId(1, n), HELD_OUT.exemplars), KNOWN, DETECTION).strata == 0)
        for n in range(100)
    ]

    assert np.bincount(np.concatenate(places), minlength=20).min() > 25  # 50 each, were it even
    assert np.bincount(np.concatenate(places), minlength=20).max() < 75


def test_too_few_of_one_silent_kind_are_filled_up_from_the_other() -> None:
    never = replace(KNOWN, top_tokens=frozenset({"none"}))
    always = replace(KNOWN, top_tokens=frozenset(STRINGS))

    assert np.bincount(choose_excerpts(HELD_OUT, never, DETECTION).strata).tolist() == [10, 10]
    assert np.bincount(choose_excerpts(HELD_OUT, always, DETECTION).strata).tolist() == [10, 0, 10]


def test_where_there_is_little_to_choose_all_of_it_is_chosen() -> None:
    few = HELD_OUT.only(np.arange(4))
    assert sorted(choose_excerpts(few, KNOWN, DETECTION).rows.tolist()) == [0, 1, 2, 3]

    silent = NeuronRecord(HELD_OUT.neuron, replace(HELD_OUT.exemplars, activations=np.zeros((N_EXCERPTS, N_TOKENS))))
    chosen = choose_excerpts(silent, KNOWN, FUZZING)
    assert ACTIVE not in chosen.strata
    assert (marked_tokens(silent, KNOWN, chosen, FUZZING).sum(axis=1) == 1).all()


def test_what_train_has_shown_is_refused() -> None:
    leaking = replace(HELD_OUT.exemplars, document_indices=np.full(N_EXCERPTS, 3))

    with pytest.raises(ValueError, match="L1N0 would be judged on documents that `train` has shown"):
        choose_excerpts(NeuronRecord(HELD_OUT.neuron, leaking), KNOWN, DETECTION)


def test_marked_are_all_active_tokens_or_as_many_others() -> None:
    plan = ChoicePlan(n_active=8, n_plain=6, n_hard=6, n_beside=6, most_marked=N_TOKENS)
    chosen = choose_excerpts(HELD_OUT, KNOWN, plan)
    marked = marked_tokens(HELD_OUT, KNOWN, chosen, plan)
    active = active_tokens(HELD_OUT.exemplars, KNOWN)[chosen.rows]
    codes = HELD_OUT.exemplars.tokens.codes[chosen.rows]
    positives, others = chosen.strata == ACTIVE, chosen.strata != ACTIVE

    assert np.array_equal(marked[positives], active[positives])
    assert not (marked & active)[others].any()
    assert set(marked[others].sum(axis=1).tolist()) <= set(marked[positives].sum(axis=1).tolist())
    assert marked.sum(axis=1).min() > 0
    hard = chosen.strata == HARD  # the neuron's own token, where it is silent, is marked first
    assert (marked & (codes == BANK))[hard].any(axis=1).all()


def test_where_fewer_tokens_may_be_marked_they_are_the_strongest() -> None:
    plan = ChoicePlan(n_active=30, n_plain=6, n_hard=6, most_marked=1)
    chosen = choose_excerpts(HELD_OUT, KNOWN, plan)
    marked = marked_tokens(HELD_OUT, KNOWN, chosen, plan)
    activations = HELD_OUT.exemplars.activations[chosen.rows]
    several = (activations > KNOWN.threshold).sum(axis=1) > 1

    assert (marked.sum(axis=1) == 1).all()
    assert (several & (chosen.strata == ACTIVE)).any()
    for row in np.flatnonzero(chosen.strata == ACTIVE):
        assert np.flatnonzero(marked[row]).tolist() == [int(activations[row].argmax())]


def test_marks_in_silent_excerpts_stand_anywhere_and_differ_from_excerpt_to_excerpt() -> None:
    chosen = choose_excerpts(HELD_OUT, KNOWN, ChoicePlan(n_active=5, n_plain=40, n_hard=0))
    plain = chosen.strata == PLAIN
    drawn = [marked_tokens(HELD_OUT, KNOWN, chosen, replace(FUZZING, seed=seed))[plain] for seed in range(10)]

    assert plain.sum() > 20
    assert len(np.unique(drawn[0], axis=0)) > 8
    assert np.any(drawn, axis=(0, 1)).all()


def test_an_excerpt_that_is_active_throughout_is_not_marked_beside() -> None:
    loud = replace(HELD_OUT.exemplars, activations=np.full((N_EXCERPTS, N_TOKENS), 9.0))
    chosen = choose_excerpts(NeuronRecord(HELD_OUT.neuron, loud), KNOWN, FUZZING)

    assert set(chosen.strata.tolist()) == {ACTIVE}
