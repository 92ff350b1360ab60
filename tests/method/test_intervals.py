"""Facts on the intervals of scores: of one neuron, of a layer's mean."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from neuron_assets.method.intervals import (
    Interval,
    LayerInterval,
    NeuronSums,
    layer_interval,
    neuron_interval,
    neuron_intervals,
)
from neuron_assets.method.records import NeuronId
from neuron_assets.method.scoring import DocumentSums, document_sums, score

N_TOKENS = 16
Stratum = tuple[np.ndarray, np.ndarray, np.ndarray]
"""True activations, simulated ones, and the document of each excerpt."""


def stratum(rng: np.random.Generator, documents: Sequence[int], loudness: float = 1.0, noise: float = 1.0) -> Stratum:
    """One excerpt a document; the documents differ in loudness, and in how well they are simulated."""
    shape = len(documents), N_TOKENS
    true = loudness * rng.exponential(1, shape) * rng.uniform(0.5, 2, (len(documents), 1))
    return (
        true,
        true + noise * rng.normal(size=shape) * rng.uniform(0.2, 2, (len(documents), 1)),
        np.array(documents, dtype=np.int64),
    )


def neuron(top: Stratum | None, random: Stratum, *, neuron_index: int = 0) -> NeuronSums:
    return NeuronSums(NeuronId(2, neuron_index), None if top is None else document_sums(*top), document_sums(*random))


def some_neuron(neuron_index: int = 0, n_documents: int = 10) -> NeuronSums:
    rng = np.random.default_rng(neuron_index)
    documents = [int(document) for document in rng.permutation(100)[: 2 * n_documents]]
    return neuron(
        stratum(rng, documents[:n_documents], loudness=4),
        stratum(rng, documents[n_documents:]),
        neuron_index=neuron_index,
    )


def undefined_neuron(neuron_index: int) -> NeuronSums:
    true, simulated, documents = stratum(np.random.default_rng(0), range(10))
    return neuron(None, (true, np.zeros_like(simulated), documents), neuron_index=neuron_index)


def drawn(part: Stratum, picks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of the picked documents, excerpt by excerpt, as often as they were picked."""
    true, simulated, documents = part
    rows = np.concatenate([np.flatnonzero(documents == document) for document in np.unique(documents)[picks]])
    return true[rows], simulated[rows]


def ends(interval: Interval | LayerInterval) -> tuple[float, float]:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


def width(interval: Interval | LayerInterval) -> float:
    low, high = ends(interval)
    return high - low


def test_an_interval_is_that_of_resampled_documents_scored_anew() -> None:
    rng = np.random.default_rng(5)
    top, random = stratum(rng, [4, 4, 8, 1, 8, 6], loudness=4), stratum(rng, [3, 1, 9, 7, 3])
    draws = np.random.default_rng([11, 2, 30])
    random_picks, top_picks = draws.integers(4, size=(4, 200)), draws.integers(4, size=(4, 200))
    scores = []
    for draw in range(200):
        parts = drawn(random, random_picks[:, draw]), drawn(top, top_picks[:, draw])
        true, simulated = (np.concatenate(series).ravel() for series in zip(*parts, strict=True))
        scores.append(np.corrcoef(true, simulated)[0, 1])
    low, high = np.quantile(scores, [0.05, 0.95])

    found = neuron_interval(neuron(top, random, neuron_index=30), seed=11, n_draws=200, level=0.9)
    assert ends(found) == pytest.approx((low, high), abs=1e-9)
    assert found.n_documents == 7


def test_an_interval_of_a_mean_is_that_of_resampled_documents_and_neurons_scored_anew() -> None:
    rng = np.random.default_rng(6)
    strata = [(stratum(rng, [1, 4, 6], 4, noise=4), stratum(rng, [2, 4, 9], noise=4)) for _ in range(3)]
    documents, n_draws = np.array([1, 2, 4, 6, 9]), 200
    draws = np.random.default_rng([3, 0, 0, 1])
    picks = documents[draws.integers(5, size=(5, n_draws))]
    means = []
    for draw in range(n_draws):
        of_neurons = []
        for parts in strata:
            rows = [np.concatenate([np.flatnonzero(part[2] == d) for d in picks[:, draw]]) for part in parts]
            true, simulated = (
                np.concatenate([part[series][row].ravel() for part, row in zip(parts, rows, strict=True)])
                for series in (0, 1)
            )
            of_neurons.append(np.corrcoef(true, simulated)[0, 1])
        means.append(np.mean(np.array(of_neurons)[draws.integers(3, size=3)]))
    points = [
        score(np.concatenate([top[0], random[0]]), np.concatenate([top[1], random[1]])).ev_correlation
        for top, random in strata
    ]
    mean = float(np.mean(np.array(points, dtype=float)))
    low, high = np.quantile(means, [0.025, 0.975]) - np.mean(means) + mean

    found = layer_interval([neuron(*parts, neuron_index=i) for i, parts in enumerate(strata)], seed=3, n_draws=n_draws)
    assert (found.mean, *ends(found)) == pytest.approx((mean, low, high), abs=1e-9)
    assert (found.n_neurons, found.n_undefined) == (3, 0)


def test_ninety_five_of_a_hundred_intervals_hold_the_score_of_all_documents() -> None:
    rng = np.random.default_rng(1)
    population = stratum(rng, range(4000))
    truth = score(population[0], population[1]).ev_correlation
    samples = [rng.permutation(4000)[:40] for _ in range(200)]
    neurons = [
        neuron(None, (population[0][sample], population[1][sample], sample), neuron_index=i)
        for i, sample in enumerate(samples)
    ]
    intervals = neuron_intervals(neurons, seed=0, n_draws=400)

    assert truth is not None
    assert 0.85 <= np.mean([low <= truth <= high for low, high in map(ends, intervals)]) <= 0.99


def test_nine_of_ten_layer_intervals_hold_the_mean_score_of_all_neurons() -> None:
    found = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        neurons = []
        for i, noise in enumerate(rng.uniform(0.5, 3, 30)):
            documents = rng.permutation(60)[:20]
            top, random = (
                stratum(rng, documents[:10].tolist(), 4, noise),
                stratum(rng, documents[10:].tolist(), 1, noise),
            )
            neurons.append(neuron(top, random, neuron_index=i))
        found.append(layer_interval(neurons, seed=seed, n_draws=200))
    truth = np.mean([layer.mean or 0 for layer in found])

    assert np.mean([low <= truth <= high for low, high in map(ends, found)]) >= 0.9


def test_excerpts_of_a_document_that_come_twice_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(2)
    once = stratum(rng, range(8))
    true, simulated, documents = (np.concatenate([series, series]) for series in once)
    found, doubled = (neuron_interval(neuron(None, part), seed=0) for part in (once, (true, simulated, documents)))
    as_new = neuron_interval(neuron(None, (true, simulated, np.arange(16))), seed=0)  # what one must not do

    assert (doubled.low, doubled.high) == pytest.approx((found.low, found.high), abs=1e-12)
    assert doubled.n_documents == found.n_documents == 8
    assert width(as_new) < 0.9 * width(found)


def test_a_document_in_both_strata_counts_once() -> None:
    rng = np.random.default_rng(3)

    assert neuron_interval(neuron(stratum(rng, range(5)), stratum(rng, range(3, 8))), seed=0).n_documents == 8


def test_an_interval_does_not_depend_on_the_neighbours() -> None:
    neurons = [some_neuron(i, n_documents=4 + i % 3) for i in range(7)]
    among_others = neuron_intervals(neurons, seed=4, n_draws=100)

    assert among_others == tuple(neuron_interval(sums, seed=4, n_draws=100) for sums in neurons)
    assert among_others[::-1] == neuron_intervals(neurons[::-1], seed=4, n_draws=100)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    neurons = [some_neuron(i) for i in range(7)]
    before = neuron_intervals(neurons, seed=4, n_draws=100), layer_interval(neurons, seed=4, n_draws=100)
    monkeypatch.setattr("neuron_assets.method.intervals._CHUNK_BYTES", 2 * 8 * 6 * 100)

    assert before == (neuron_intervals(neurons, seed=4, n_draws=100), layer_interval(neurons, seed=4, n_draws=100))


def test_seed_layer_and_neuron_make_the_draws() -> None:
    one = some_neuron()
    others = [replace(one, neuron=NeuronId(2, 1)), replace(one, neuron=NeuronId(1, 0))]
    found = neuron_interval(one, seed=0)

    assert found == neuron_interval(one, seed=0)
    assert found not in {neuron_interval(one, seed=1), *neuron_intervals(others, seed=0)}


def test_a_wider_level_is_a_wider_interval_around_the_score() -> None:
    rng = np.random.default_rng(8)
    part = stratum(rng, range(20))
    r = score(part[0], part[1]).ev_correlation or 0.0
    levels = (0.5, 0.8, 0.95, 0.99)
    lows, highs = zip(
        *(ends(neuron_interval(neuron(None, part), seed=0, level=level)) for level in levels), strict=True
    )

    assert [*reversed(lows), r, *highs] == sorted({*lows, r, *highs})


def test_top_documents_with_nothing_in_them_are_no_top_documents() -> None:
    part = stratum(np.random.default_rng(0), range(6))
    nothing = DocumentSums(np.zeros(0, dtype=np.int64), np.zeros((0, 6)))
    without = neuron(None, part)

    assert neuron_interval(replace(without, top=nothing), seed=0) == neuron_interval(without, seed=0)


@pytest.mark.parametrize("n_documents", [0, 1, 4])
def test_under_five_documents_there_is_no_interval(n_documents: int) -> None:
    few = neuron(None, stratum(np.random.default_rng(0), range(n_documents)))
    reason = f"{n_documents} of the 5 documents that an interval needs"

    assert neuron_interval(few, seed=0) == Interval(None, None, n_documents, reason)
    if n_documents:
        layer = layer_interval([few, few], seed=0)
        assert layer.mean is not None
        assert (layer.low, layer.high, layer.failure) == (None, None, reason)


def test_a_score_that_hangs_on_one_document_has_no_interval() -> None:
    true, simulated, documents = stratum(np.random.default_rng(0), range(10))
    simulated[1:] = 0
    found = neuron_interval(neuron(None, (true, simulated, documents)), seed=0)

    assert (found.low, found.high) == (None, None)
    assert found.failure is not None
    assert found.failure.endswith("% of the draws have no score")


def test_an_undefined_score_has_no_interval() -> None:
    found = neuron_interval(undefined_neuron(0), seed=0)

    assert found == Interval(None, None, 10, "100% of the draws have no score")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_sums_that_are_not_finite_have_no_interval(bad: float) -> None:
    true, simulated, documents = stratum(np.random.default_rng(0), range(10))
    true[0, 0] = bad
    spoiled = neuron(None, (true, simulated, documents))

    assert neuron_interval(spoiled, seed=0) == Interval(None, None, 10, "not finite")
    assert layer_interval([spoiled, some_neuron(1), some_neuron(2)], seed=0).n_undefined == 1


def test_undefined_neurons_are_counted_and_change_nothing_else() -> None:
    neurons = [some_neuron(i) for i in range(5)]
    found = layer_interval(neurons, seed=0)

    assert layer_interval([*neurons, undefined_neuron(5), undefined_neuron(6)], seed=0) == replace(
        found, n_neurons=7, n_undefined=2
    )


def test_a_mean_lies_between_the_ends_of_its_interval() -> None:
    found = layer_interval([some_neuron(i, n_documents=5) for i in range(40)], seed=0)

    low, high = ends(found)

    assert found.mean is not None
    assert -1 <= low < found.mean < high <= 1


@pytest.mark.parametrize(
    ("neurons", "expected"),
    [
        ([], LayerInterval(None, None, None, 0, 0, "0 of the 2 scored neurons that an interval needs")),
        (
            [undefined_neuron(0), undefined_neuron(1)],
            LayerInterval(None, None, None, 2, 2, "0 of the 2 scored neurons that an interval needs"),
        ),
    ],
)
def test_no_neurons_have_no_mean(neurons: list[NeuronSums], expected: LayerInterval) -> None:
    assert layer_interval(neurons, seed=0) == expected


def test_one_neuron_has_a_mean_and_no_interval() -> None:
    found = layer_interval([some_neuron(0), undefined_neuron(1)], seed=0)

    assert found.mean is not None
    assert found == LayerInterval(found.mean, None, None, 2, 1, "1 of the 2 scored neurons that an interval needs")


def test_neurons_that_share_their_documents_share_their_luck() -> None:
    """Resampling neurons alone would make this interval a point: the neurons are all alike."""
    rng = np.random.default_rng(9)
    shared = stratum(rng, range(10))
    copies = [neuron(None, shared, neuron_index=i) for i in range(50)]
    alone = neuron_interval(copies[0], seed=0)
    layer = layer_interval(copies, seed=0)

    assert width(layer) > 0.8 * width(alone)
