"""Facts on differences of two scores of the same neurons, and on their intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from neuron_assets.method.intervals import NeuronSums, layer_interval, neuron_interval
from neuron_assets.method.paired import Difference, layer_difference, paired_differences
from neuron_assets.method.records import NeuronId
from neuron_assets.method.scoring import document_sums

N_TOKENS = 12
BETTER, WORSE = 0.5, 1.5
"""Noise of a simulation."""


@dataclass(frozen=True, slots=True)
class Side:
    """A stratum of a neuron with one of its simulations."""

    true: np.ndarray
    simulated: np.ndarray
    documents: np.ndarray


def pair(rng: np.random.Generator, documents: Sequence[int], noises: tuple[float, float]) -> tuple[Side, Side]:
    """One excerpt a document, simulated twice with much of the noise in common."""
    shape = len(documents), N_TOKENS
    true = rng.exponential(1, shape) * rng.uniform(0.2, 3, (len(documents), 1))
    shared = rng.normal(size=shape) * rng.uniform(0.2, 2, (len(documents), 1))
    first, second = (Side(true, true + noise * shared, np.array(documents, np.int64)) for noise in noises)
    return first, second


def sums(random: Side, top: Side | None = None, neuron_index: int = 0) -> NeuronSums:
    random_sums, top_sums = (
        None if side is None else document_sums(side.true, side.simulated, side.documents) for side in (random, top)
    )
    assert random_sums is not None
    return NeuronSums(NeuronId(1, neuron_index), top_sums, random_sums)


def neurons(n: int, noises: tuple[float, float] = (WORSE, BETTER)) -> tuple[list[NeuronSums], list[NeuronSums]]:
    first, second = [], []
    for i in range(n):
        rng = np.random.default_rng(i)
        documents = rng.permutation(30).tolist()
        top, random = pair(rng, documents[:8], noises), pair(rng, documents[8:17], noises)
        first.append(sums(random[0], top[0], i))
        second.append(sums(random[1], top[1], i))
    return first, second


def silent(of: NeuronSums) -> NeuronSums:
    """The same neuron with a simulation that says 0 throughout."""
    mute = np.array([1, 1, 0, 1, 0, 0.0])
    top = None if of.top is None else replace(of.top, sums=of.top.sums * mute)
    return replace(of, top=top, random=replace(of.random, sums=of.random.sums * mute))


def picked(side: Side, picks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = np.argsort(side.documents)[picks]
    return side.true[rows].ravel(), side.simulated[rows].ravel()


def test_a_difference_is_that_of_resampled_documents_scored_twice() -> None:
    rng = np.random.default_rng(3)
    top, random = pair(rng, [5, 2, 9, 7], (WORSE, BETTER)), pair(rng, [1, 3, 4, 8, 6], (WORSE, BETTER))
    draws = np.random.default_rng([17, 1, 40])
    random_picks, top_picks = draws.integers(5, size=(5, 300)), draws.integers(4, size=(4, 300))

    def r(side: int, random_rows: np.ndarray, top_rows: np.ndarray) -> float:
        parts = picked(random[side], random_rows), picked(top[side], top_rows)
        true, simulated = (np.concatenate(series) for series in zip(*parts, strict=True))
        return float(np.corrcoef(true, simulated)[0, 1])

    drawn = [
        r(1, random_picks[:, draw], top_picks[:, draw]) - r(0, random_picks[:, draw], top_picks[:, draw])
        for draw in range(300)
    ]
    low, high = np.quantile(drawn, [0.05, 0.95])
    value = r(1, np.arange(5), np.arange(4)) - r(0, np.arange(5), np.arange(4))
    one, other = (sums(random[side], top[side], 40) for side in (0, 1))

    (found,) = paired_differences([one], [other], seed=17, n_draws=300, level=0.9)
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high), abs=1e-9)
    assert (found.n_documents, found.failure) == (9, None)


def test_a_mean_difference_is_that_of_resampled_documents_and_neurons_scored_twice() -> None:
    rng = np.random.default_rng(4)
    sides = [pair(rng, rng.permutation(7)[:5].tolist(), (WORSE, BETTER)) for _ in range(4)]
    n_draws, documents = 150, np.unique(np.concatenate([side.documents for side, _ in sides]))
    draws = np.random.default_rng([8, 0, 0, 1])
    picks = documents[draws.integers(len(documents), size=(len(documents), n_draws))]

    def r(side: Side, rows: np.ndarray) -> float:
        return float(np.corrcoef(side.true[rows].ravel(), side.simulated[rows].ravel())[0, 1])

    means = []
    for draw in range(n_draws):
        rows = [np.concatenate([np.flatnonzero(one.documents == d) for d in picks[:, draw]]) for one, _ in sides]
        gains = np.array([r(b, of) - r(a, of) for (a, b), of in zip(sides, rows, strict=True)])
        means.append(gains[draws.integers(4, size=4)].mean())
    mean = float(np.mean([r(b, np.arange(5)) - r(a, np.arange(5)) for a, b in sides]))
    low, high = np.quantile(means, [0.025, 0.975]) - np.mean(means) + mean

    first, second = ([sums(side[i], None, n) for n, side in enumerate(sides)] for i in (0, 1))
    found = layer_difference(first, second, seed=8, n_draws=n_draws)
    assert (found.mean, found.low, found.high) == pytest.approx((mean, low, high), abs=1e-9)
    assert (found.n_neurons, found.n_undefined) == (4, 0)


def test_the_same_simulation_twice_differs_by_nothing() -> None:
    first, _ = neurons(3)

    assert paired_differences(first, first, seed=0) == (Difference(0.0, 0.0, 0.0, 17),) * 3
    layer = layer_difference(first, first, seed=0)
    assert (layer.mean, layer.low, layer.high) == (0, 0, 0)


def test_swapping_the_sides_turns_the_sign() -> None:
    first, second = neurons(3)
    found, turned = paired_differences(first, second, seed=1), paired_differences(second, first, seed=1)

    assert all(one.low is not None for one in found)
    for one, other in zip(found, turned, strict=True):
        assert (other.value, other.low, other.high) == pytest.approx(
            (-(one.value or 0), -(one.high or 0), -(one.low or 0)), abs=1e-12
        )


def test_a_better_simulation_is_seen_where_the_intervals_of_the_scores_overlap() -> None:
    """What pairing is for: both simulations err on the same documents."""
    first, second = neurons(12, (1.1, 0.9))
    apart = [
        (neuron_interval(a, seed=0), neuron_interval(b, seed=0), gain)
        for a, b, gain in zip(first, second, paired_differences(first, second, seed=0), strict=True)
    ]

    assert all((before.high or 1) > (after.low or -1) for before, after, _ in apart)
    assert all((gain.low or -1) > 0 for _, _, gain in apart)
    layer = layer_difference(first, second, seed=0)
    before, after = layer_interval(first, seed=0), layer_interval(second, seed=0)
    assert (before.high or 1) > (after.low or -1)
    assert (layer.low or -1) > 0


def test_nine_of_ten_intervals_of_a_difference_hold_it() -> None:
    rng = np.random.default_rng(2)
    first, second = pair(rng, range(4000), (WORSE, BETTER))
    truth = [np.corrcoef(side.true.ravel(), side.simulated.ravel())[0, 1] for side in (first, second)]
    samples = [rng.permutation(4000)[:40] for _ in range(200)]
    befores, afters = (
        [
            sums(Side(side.true[rows], side.simulated[rows], side.documents[rows]), None, i)
            for i, rows in enumerate(samples)
        ]
        for side in (first, second)
    )
    found = paired_differences(befores, afters, seed=0, n_draws=400)
    held = [(one.low or 0) <= truth[1] - truth[0] <= (one.high or 0) for one in found]

    assert 0.85 <= np.mean(held) <= 0.99


def test_a_difference_does_not_depend_on_the_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = neurons(6)
    together = paired_differences(first, second, seed=5, n_draws=100)
    layer = layer_difference(first, second, seed=5, n_draws=100)
    monkeypatch.setattr("neuron_assets.method.intervals._CHUNK_BYTES", 2 * 8 * 6 * 100)

    assert together[::-1] == paired_differences(first[::-1], second[::-1], seed=5, n_draws=100)
    assert layer == layer_difference(first, second, seed=5, n_draws=100)


def test_a_missing_or_undefined_score_has_no_difference_and_a_reason() -> None:
    first, second = neurons(5)
    before: list[NeuronSums | None] = [first[0], None, silent(first[2]), silent(first[3]), first[4]]
    after: list[NeuronSums | None] = [None, None, second[2], silent(second[3]), second[4]]
    found = paired_differences(before, after, seed=0)

    assert found[:4] == (
        Difference(None, None, None, 17, "the second has no score"),
        Difference(None, None, None, 0, "neither has a score"),
        Difference(None, None, None, 17, "the first has no score"),
        Difference(None, None, None, 17, "neither has a score"),
    )
    assert found[4] == paired_differences(first, second, seed=0)[4]


def test_neurons_without_a_difference_are_counted_and_change_nothing_else() -> None:
    first, second = neurons(6)
    found = layer_difference(first[:4], second[:4], seed=0)
    more = layer_difference([*first[:4], None, silent(first[5])], [*second[:4], second[4], second[5]], seed=0)

    assert more == replace(found, n_neurons=6, n_undefined=2)


def test_under_five_documents_a_difference_has_no_interval() -> None:
    first, second = pair(np.random.default_rng(0), range(4), (WORSE, BETTER))
    (found,) = paired_differences([sums(first)], [sums(second)], seed=0)

    assert found.value is not None
    assert (found.low, found.high, found.failure) == (None, None, "4 of the 5 documents that an interval needs")


def test_a_simulation_that_hangs_on_one_document_has_no_interval() -> None:
    first, second = pair(np.random.default_rng(0), range(10), (WORSE, BETTER))
    second.simulated[1:] = 0
    (found,) = paired_differences([sums(first)], [sums(second)], seed=0)

    assert found.value is not None
    assert (found.low, found.high) == (None, None)
    assert found.failure is not None
    assert found.failure.endswith("% of the draws have no score")


def other_documents(of: NeuronSums) -> NeuronSums:
    return replace(of, random=replace(of.random, document_indices=of.random.document_indices + 100))


def other_activations(of: NeuronSums) -> NeuronSums:
    return replace(of, random=replace(of.random, sums=of.random.sums * 2))


@pytest.mark.parametrize(
    "other",
    [
        lambda of: replace(of, neuron=NeuronId(1, 99)),
        lambda of: replace(of, top=None),
        other_documents,
        other_activations,
    ],
)
@pytest.mark.parametrize("differ", [paired_differences, layer_difference])
def test_different_neurons_or_excerpts_are_refused(
    differ: Callable[..., object], other: Callable[[NeuronSums], NeuronSums]
) -> None:
    first, second = neurons(2)

    with pytest.raises(ValueError, match="must be the same"):
        differ(first, [second[0], other(second[1])], seed=0)
    with pytest.raises(ValueError, match="must be the same"):
        differ(first, second[:1], seed=0)
