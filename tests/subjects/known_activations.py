"""Subjects whose activations are known, and what to compare harvests of them with."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from numpy.typing import NDArray

from neuron_assets.method.records import SPLITS, Split
from neuron_assets.subjects import devices
from neuron_assets.subjects.harvest import HarvestPlan, Kept, LayerHarvest, harvest
from neuron_assets.subjects.subject import Receive

Activations = NDArray[np.float32]
PLAN = HarvestPlan(
    {"train": Kept(4, 3), "valid": Kept(2, 4, natural=3)}, seed=5, n_sampled_tokens=10_000, rows_as="float32"
)


@dataclass
class ArraySubject:
    """Activations [layer, excerpt, token, neuron] that are known; a token id is its excerpt's index."""

    activations: Activations
    dtype: torch.dtype = torch.float32
    lends_views: bool = False
    """Of larger tensors, as where a first token is left out."""
    n_runs: int = 0
    layers_asked: set[tuple[int, ...]] = field(default_factory=set)
    lent: list[torch.Tensor] = field(default_factory=list)
    name: str = "known"

    @property
    def n_layers(self) -> int:
        return len(self.activations)

    @property
    def n_neurons(self) -> int:
        return int(self.activations.shape[3])

    def tokenize(self, text: str) -> list[int]:
        raise NotImplementedError

    def token_strings(self, token_ids: Sequence[int]) -> list[str]:
        raise NotImplementedError

    def text(self, token_ids: Sequence[int]) -> str:
        return "".join(self.token_strings(token_ids))

    def run(self, token_ids: NDArray[np.int64], layers: Sequence[int], receive: Receive) -> None:
        self.n_runs += 1
        self.layers_asked.add(tuple(layers))
        lent = [torch.from_numpy(self.activations[layer][token_ids[:, 0]]).to(self.dtype) for layer in layers]
        if self.lends_views:
            lent = [torch.nn.functional.pad(each, (0, 0, 1, 0), value=torch.nan)[:, 1:] for each in lent]
        for activations in self.lent:
            activations.fill_(torch.nan)  # only until the last pass ended
        self.lent = lent
        for layer_index, activations in zip(layers, lent, strict=True):
            receive(layer_index, activations)


@dataclass(frozen=True)
class World:
    activations: Activations
    pools: NDArray[np.int64]

    def harvested(
        self,
        plan: HarvestPlan = PLAN,
        *,
        layers: Sequence[int] = (0,),
        subject: ArraySubject | None = None,
        batch_size: int = 3,
        **options: Any,
    ) -> dict[int, LayerHarvest]:
        subject = subject or ArraySubject(self.activations)
        return harvest(subject, self.token_ids, self.pools, layers, plan, batch_size=batch_size, **options)

    @property
    def token_ids(self) -> NDArray[np.int64]:
        n_excerpts, n_tokens = self.activations.shape[1:3]
        return np.repeat(np.arange(n_excerpts)[:, None], n_tokens, 1)

    def pool(self, split: Split) -> NDArray[np.int64]:
        return np.flatnonzero(self.pools == SPLITS.index(split))


def world(*, seed: int = 0, n_excerpts: int = 40, n_tokens: int = 6, n_neurons: int = 7, kind: str = "any") -> World:
    """Two layers; excerpts of all four pools, at random."""
    random = np.random.default_rng(seed)
    shape = (2, n_excerpts, n_tokens, n_neurons)
    few = np.array([-3, -1, -0.0, 0, 0.5, 1, np.nextafter(np.float32(1), np.float32(2)), 1e-42], np.float32)
    activations = {
        "any": random.normal(0.5, 3, shape),
        "ties": random.choice(few, shape),
        "negative": -random.gamma(1, 2, shape),
        "constant": np.broadcast_to(random.normal(0, 5, (2, 1, 1, n_neurons)), shape),
        "one": np.where(random.random(shape) < 1 / shape[1] / shape[2], random.normal(0, 9, shape), 0),
        "far": 1000 + random.normal(0, 0.01, shape),
    }[kind]
    pools = np.concatenate([[0] * 8, [2] * 8, random.integers(0, 4, n_excerpts - 16)])
    return World(activations.astype(np.float32), random.permutation(pools))


worlds = st.builds(
    world,
    seed=st.integers(0, 2**20),
    n_excerpts=st.integers(20, 60),
    n_tokens=st.sampled_from([1, 2, 5, 64]),
    n_neurons=st.sampled_from([1, 3, 7, 33]),
    kind=st.sampled_from(["any", "ties", "negative", "constant", "one", "far"]),
)
batch_sizes = st.sampled_from([1, 3, 7, 32, 1000])


def arrays_of(value: Any, path: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from arrays_of(inner, f"{path}/{key}")
    elif is_dataclass(value):
        for each in fields(value):
            if each.name != "facts":
                yield from arrays_of(getattr(value, each.name), f"{path}/{each.name}")
    else:
        yield path, np.asarray(value)


def assert_same_bits(found: Any, expected: Any, close: tuple[str, ...] = ()) -> None:
    """Paths that end as one of `close` need only be close to what is expected."""
    for (path, left), (other, right) in zip(arrays_of(found), arrays_of(expected), strict=True):
        assert (path, left.dtype, left.shape) == (other, right.dtype, right.shape)
        if path.endswith(close):
            np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-12)
        else:
            assert left.tobytes() == right.tobytes(), path


def treat_as_a_gpu(monkeypatch: pytest.MonkeyPatch, *, held: int) -> None:
    """From here on a CPU's tensors are treated as a GPU's: whole batches at once, up to `held` bytes of layers."""
    monkeypatch.setattr(devices, "works_in_small_steps", lambda _device: False)
    monkeypatch.setattr(devices, "bytes_to_hold", lambda _device: held)
