"""Facts on directions: a unit's activation is an inner product with what is heard."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from neuron_assets.errors import LayerWithoutUnits, UnusableUnits
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


NARROW = (torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)


@pytest.mark.parametrize("dtype", NARROW)
def test_directions_may_be_written_in_any_floating_numbers(tmp_path: Path, dtype: torch.dtype) -> None:
    matrix = torch.arange(-3.0, N_UNITS * WIDTH - 3).reshape(N_UNITS, WIDTH) % 4
    save_tensors({"L0": matrix.to(dtype)}, tmp_path / "d.safetensors")
    heard = np.random.default_rng(0).integers(-4, 5, (1, 4, 6, WIDTH)).astype(np.float64)

    subject = open_directions(ToldSubject(heard), read_directions(tmp_path / "d.safetensors", 1), "residual")

    expected = np.einsum("etw,uw->etu", heard[0], matrix.numpy())
    np.testing.assert_array_equal(units(subject, [0], 4)[0], expected)


@pytest.mark.parametrize(
    ("value", "dtype", "said"),
    [
        (torch.inf, torch.float32, "what is no finite number"),
        (torch.nan, torch.float32, "what is no finite number"),
        *((torch.nan, dtype, "what is no finite number") for dtype in NARROW),
        (1, torch.int64, "int64. Floating numbers are needed"),
    ],
)
def test_directions_that_are_no_finite_numbers_are_refused(
    tmp_path: Path, value: float, dtype: torch.dtype, said: str
) -> None:
    save_tensors({"L0": torch.full((2, WIDTH), value).to(dtype)}, tmp_path / "d.safetensors")
    told = ToldSubject(np.zeros((1, 2, 3, WIDTH)))

    with pytest.raises(UnusableUnits, match=f"`L0` holds {said}"):
        units(open_directions(told, read_directions(tmp_path / "d.safetensors", 1), "residual"), [0], 2)


def test_a_layer_that_the_file_turns_out_to_lack_is_named(tmp_path: Path) -> None:
    save_file({"L1": np.ones((N_UNITS, WIDTH), np.float32)}, tmp_path / "d.safetensors")
    subject = open_directions(
        ToldSubject(np.zeros((2, 2, 3, WIDTH))), read_directions(tmp_path / "d.safetensors", 2), "residual"
    )

    with pytest.raises(LayerWithoutUnits, match=r"Layer 0 has no units in .*d.safetensors; layers that have: 1"):
        units(subject, [0], 2)
