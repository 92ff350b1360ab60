"""Facts on the harvest: it gives what sorting and counting everything would, whatever the batches and the device."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_assets.errors import ActivationsTooLarge, LayerOutOfRange, NonFiniteActivations, TooFewExcerpts
from neuron_assets.method.records import Split
from neuron_assets.subjects.harvest import HarvestPlan, Kept, harvest
from neuron_assets.subjects.neuron_statistics import QUANTILES
from tests.subjects.known_activations import (
    PLAN,
    ArraySubject,
    World,
    assert_same_bits,
    batch_sizes,
    treat_as_a_gpu,
    world,
    worlds,
)

LAST_BITS = ("/mean", "/variance")
"""What may differ in its last bits under another batching, on a GPU."""


@pytest.fixture(scope="module", autouse=True, params=["as on a CPU", "as on a GPU"])
def as_on_a_gpu(request: pytest.FixtureRequest) -> Iterator[bool]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        if request.param == "as on a GPU":
            treat_as_a_gpu(monkeypatch, held=10**9)
        yield request.param == "as on a GPU"


@settings(max_examples=25, deadline=None)
@given(worlds, batch_sizes, st.sampled_from([0, 1, 3, 8]))
def test_top_excerpts_are_those_of_a_full_sort(world: World, batch_size: int, n_top: int) -> None:
    plan = HarvestPlan({"train": Kept(n_top, 0), "valid": Kept(8, 0)}, rows_as="float32")

    layer = world.harvested(plan, batch_size=batch_size)[0]

    for split, kept in plan.kept.items():
        top = layer.pools[split].top
        for neuron_index, rows in enumerate(np.moveaxis(world.activations[0], 2, 0)):
            peaks = rows.max(1).tolist()
            ranked = sorted(world.pool(split).tolist(), key=lambda excerpt: (-peaks[excerpt], excerpt))
            assert top.excerpts[neuron_index].tolist() == ranked[: kept.top]
            np.testing.assert_array_equal(top.peaks[neuron_index], rows[ranked[: kept.top]].max(1))
            assert top.rows[neuron_index].tobytes() == rows[ranked[: kept.top]].tobytes()


@settings(max_examples=25, deadline=None)
@given(worlds, batch_sizes)
def test_random_excerpts_are_one_of_each_block_of_the_pool(world: World, batch_size: int) -> None:
    layer = world.harvested(batch_size=batch_size)[0]

    for split, kept in PLAN.kept.items():
        random, pool = layer.pools[split].random, world.pool(split)
        blocks = [set(block.tolist()) for block in np.split(pool, np.arange(1, kept.random) * len(pool) // kept.random)]
        for neuron_index, excerpts in enumerate(random.excerpts):
            assert [excerpt in block for excerpt, block in zip(excerpts, blocks, strict=True)] == [True] * kept.random
            rows = world.activations[0, excerpts, :, neuron_index]
            assert random.rows[neuron_index].tobytes() == rows.tobytes()
            np.testing.assert_array_equal(random.peaks[neuron_index], rows.max(1))


@settings(max_examples=15, deadline=None)
@given(worlds, batch_sizes, st.sampled_from([0, 1, 3, 1000]))
def test_natural_excerpts_are_the_same_for_all_neurons_and_layers(world: World, batch_size: int, n_kept: int) -> None:
    plan = HarvestPlan({"train": Kept(1, 1), "valid": Kept(2, 4, n_kept)}, rows_as="float32")
    layers = world.harvested(plan, batch_size=batch_size, layers=(0, 1))

    excerpts = layers[0].pools["valid"].natural.excerpts[0]
    assert len(set(excerpts.tolist()) & set(world.pool("valid").tolist())) == min(n_kept, len(world.pool("valid")))
    for layer_index, layer in layers.items():
        natural = layer.pools["valid"].natural
        assert (natural.excerpts == excerpts).all()
        rows = world.activations[layer_index, excerpts]  # [excerpt, token, neuron]
        assert natural.rows.tobytes() == np.moveaxis(rows, 2, 0).tobytes()
        np.testing.assert_array_equal(natural.peaks, rows.max(1).T)
        assert layer.pools["train"].natural.excerpts.size == 0


@settings(max_examples=15, deadline=None)
@given(worlds, batch_sizes)
@pytest.mark.filterwarnings("ignore:Precision loss:RuntimeWarning")
def test_statistics_are_those_of_the_train_pool(world: World, batch_size: int) -> None:
    found = world.harvested(batch_size=batch_size)[0].statistics

    train = world.activations[0, world.pool("train")].astype(np.float64).reshape(-1, world.activations.shape[3])
    np.testing.assert_allclose(found.mean, train.mean(0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.variance, train.var(0), rtol=1e-5, atol=1e-12)
    np.testing.assert_array_equal(found.maximum, train.max(0))
    np.testing.assert_array_equal(found.positive_share, (train > 0).mean(0))
    np.testing.assert_array_equal(found.active_share, (train > found.maximum * np.float32(0.1)).mean(0))
    np.testing.assert_allclose(found.quantiles, np.quantile(train, QUANTILES, axis=0).T, rtol=1e-6, atol=1e-40)
    varied = train.min(0) < train.max(0)
    assert np.isnan(found.skewness[~varied]).all()
    assert np.isnan(found.kurtosis[~varied]).all()
    np.testing.assert_allclose(found.skewness[varied], scipy.stats.skew(train[:, varied]), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.kurtosis[varied], scipy.stats.kurtosis(train[:, varied]), rtol=1e-5, atol=1e-5)
    assert (found.n_tokens, found.n_sampled_tokens) == (len(train), len(train))


@settings(max_examples=10, deadline=None)
@given(worlds, st.sampled_from(["float16", "float32"]))
def test_no_batching_changes_a_bit(as_on_a_gpu: bool, world: World, rows_as: Any) -> None:  # noqa: FBT001
    plan = HarvestPlan(PLAN.kept, n_sampled_tokens=20, rows_as=rows_as)
    expected = world.harvested(plan, batch_size=1, layers=(0, 1))

    for batch_size in (3, 7, 32, 1000):
        found = world.harvested(plan, batch_size=batch_size, layers=(0, 1))
        assert_same_bits(found, expected, LAST_BITS if as_on_a_gpu else ())


def test_a_constant_neuron_has_no_variance() -> None:
    found = world(kind="constant").harvested()[0].statistics

    assert (found.variance == 0).all()


def test_a_layer_is_the_same_whichever_others_are_asked() -> None:
    both = world().harvested(layers=(1, 0))

    assert_same_bits(world().harvested(layers=(1,))[1], both[1])
    assert list(both) == [0, 1]


def test_draws_differ_by_seed_layer_and_pool() -> None:
    many = world(n_excerpts=400, n_neurons=30)
    harvests = [many.harvested(HarvestPlan(PLAN.kept, seed=seed), layers=(0, 1)) for seed in (0, 1)]
    draws = [found[layer].pools["valid"].random.excerpts.tolist() for found in harvests for layer in (0, 1)]

    assert len({str(draw) for draw in draws}) == 4


def test_rows_are_stored_as_asked_and_ranked_unrounded() -> None:
    close = (1000 + np.arange(20).reshape(1, 20, 1, 1) / 100).astype(np.float32)
    found = World(close, np.array([0, 2] * 10)).harvested(HarvestPlan(PLAN.kept, rows_as="float16"))[0]

    top = found.pools["train"].top
    assert top.rows.dtype == np.float16
    assert top.excerpts.tolist() == [[18, 16, 14, 12]]
    np.testing.assert_array_equal(top.rows, top.peaks[:, :, None].astype(np.float16))


def test_half_precision_activations_are_ranked_as_their_values() -> None:
    halves = torch.from_numpy(world(kind="any").activations).bfloat16()
    given_in_full = World(halves.float().numpy(), world().pools)
    subject = ArraySubject(halves.float().numpy(), dtype=torch.bfloat16)

    found = harvest(subject, np.repeat(np.arange(40)[:, None], 6, 1), given_in_full.pools, [0], PLAN, batch_size=3)

    assert_same_bits(dict(found), given_in_full.harvested())


@settings(max_examples=10, deadline=None)
@given(worlds, batch_sizes)
def test_views_are_harvested_like_tensors_of_their_own(world: World, batch_size: int) -> None:
    subject = ArraySubject(world.activations, lends_views=True)

    found = world.harvested(subject=subject, batch_size=batch_size, layers=(0, 1))
    assert_same_bits(found, world.harvested(batch_size=batch_size, layers=(0, 1)))


def test_one_pass_serves_all_layers() -> None:
    subject = ArraySubject(world().activations)
    pools = np.repeat([0, 2, 3], [20, 10, 10])
    heard: list[tuple[int, int]] = []

    token_ids = np.repeat(np.arange(40)[:, None], 6, 1)
    found = harvest(subject, token_ids, pools, [0, 1], PLAN, batch_size=8, on_progress=lambda *n: heard.append(n))

    assert (subject.n_runs, subject.layers_asked) == (5, {(0, 1)})
    assert [(each.facts.n_forward_passes, each.facts.n_batches, each.facts.n_tokens) for each in found.values()] == [
        (1, 5, 180)
    ] * 2
    assert heard == [(0, 30), (8, 30), (16, 30), (20, 30), (28, 30), (30, 30)]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("split", ["train", "valid"])
def test_what_is_no_number_is_named(value: float, split: Split) -> None:
    broken = world()
    excerpt = int(broken.pool(split)[-2])
    broken.activations[1, excerpt, 3, 4] = value

    with pytest.raises(NonFiniteActivations, match=f"L1N4 is NaN or infinite on excerpt {excerpt}"):
        broken.harvested(layers=(0, 1))


@pytest.mark.parametrize("value", [65505, -70000])
def test_what_float16_cannot_hold_is_refused(value: float) -> None:
    large = world()
    large.activations[1, large.pool("train"), 3, 4] = value

    assert large.harvested(layers=(1,))[1].statistics.n_tokens
    with pytest.raises(ActivationsTooLarge, match="Layer 1 reaches"):
        large.harvested(HarvestPlan(PLAN.kept, rows_as="float16"), layers=(0, 1))


def test_the_largest_float16_is_held() -> None:
    large = world()
    large.activations[0, large.pool("train")[0], 3, 4] = 65504

    assert large.harvested(HarvestPlan(PLAN.kept))[0].pools["train"].top.rows[4, 0, 3] == 65504


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"train": Kept(9, 1)}, "The train pool holds 8 excerpts, the study asks for 9"),
        ({"train": Kept(1, 1), "valid": Kept(1, 11)}, "The valid pool holds 10 excerpts, the study asks for 11"),
        ({"train": Kept(0, 0), "test": Kept(0, 1)}, "The test pool holds 0 excerpts, the study asks for 1"),
        ({"valid": Kept(1, 1)}, "The train pool holds 0 excerpts, the study asks for 1"),
    ],
)
def test_a_pool_that_is_too_small_is_told_before_the_pass(kept: dict[Split, Kept], message: str) -> None:
    subject = ArraySubject(world(n_excerpts=18).activations)

    with pytest.raises(TooFewExcerpts, match=message):
        harvest(subject, np.zeros((18, 6), np.int64), np.repeat([0, 2], [8, 10]), [0], HarvestPlan(kept))
    assert subject.n_runs == 0


def test_a_layer_that_does_not_exist_is_told_before_the_pass() -> None:
    with pytest.raises(LayerOutOfRange, match="Layer 2 does not exist: known has 2 layers"):
        world().harvested(layers=(0, 2))
