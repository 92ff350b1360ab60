"""Facts on directions: a unit's activation is an inner product with what is heard."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from neuron_assets.errors import UnusableUnits
from neuron_assets.subjects.directions import open_directions
from neuron_assets.subjects.hooked import HookedSubject
from neuron_assets.subjects.unit_files import read_directions
from tests.subjects.told_subject import ToldSubject, units

WIDTH, N_UNITS = 7, 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_unit_is_an_inner_product(tmp_path: Path, dtype: torch.dtype) -> None:
    random = np.random.default_rng(0)
    heard = random.integers(-4, 5, (3, 4, 6, WIDTH)).astype(np.float64)
    matrices = {layer: random.integers(-3, 4, (N_UNITS, WIDTH)).astype(np.float32) for layer in (0, 2)}
    save_file({f"L{layer:02d}": matrix for layer, matrix in matrices.items()}, tmp_path / "d.safetensors")
    told = ToldSubject(heard, dtype)

    subject = open_directions(told, read_directions(tmp_path / "d.safetensors", 3), "mlp_output")
    found = units(subject, [0, 2], 4)

    assert (subject.n_neurons, told.sites) == (N_UNITS, ["mlp_output"])
    for layer, matrix in matrices.items():
        np.testing.assert_array_equal(found[layer], np.einsum("etw,uw->etu", heard[layer], matrix))


def test_one_axis_of_the_stream_is_what_the_model_has_there(hooked: HookedSubject, tmp_path: Path) -> None:
    token_ids = np.random.default_rng(0).integers(0, 320, (5, 11))
    save_file({"1": np.eye(12, dtype=np.float32)[[3, 8]]}, tmp_path / "d.safetensors")
    subject = open_directions(hooked, read_directions(tmp_path / "d.safetensors", 3), "residual")
    heard: list[torch.Tensor] = []

    subject.run(token_ids, [1], lambda _layer, values: heard.append(values.clone()))
    hooked.listen(token_ids, [1], "residual", lambda _layer, values: heard.append(values[..., [3, 8]].clone()))

    torch.testing.assert_close(heard[0], heard[1])


def test_directions_of_another_width_are_refused(tmp_path: Path) -> None:
    save_file({"L0": np.ones((N_UNITS, WIDTH), np.float32)}, tmp_path / "d.safetensors")
    told = ToldSubject(np.zeros((1, 2, 3, WIDTH + 1)))

    with pytest.raises(UnusableUnits, match="of `L0` are 7 numbers wide, the residual of told is 8 wide"):
        units(open_directions(told, read_directions(tmp_path / "d.safetensors", 1), "residual"), [0], 2)


@pytest.mark.parametrize(("value", "dtype"), [(np.inf, "float32"), (np.nan, "float32"), (1, "int64")])
def test_directions_that_are_no_finite_numbers_are_refused(tmp_path: Path, value: float, dtype: str) -> None:
    save_file({"L0": np.full((2, WIDTH), value, dtype)}, tmp_path / "d.safetensors")
    told = ToldSubject(np.zeros((1, 2, 3, WIDTH)))

    with pytest.raises(UnusableUnits, match="`L0` holds what is no finite number"):
        units(open_directions(told, read_directions(tmp_path / "d.safetensors", 1), "residual"), [0], 2)
