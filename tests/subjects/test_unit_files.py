"""Facts on files of directions and autoencoders: what they are for is known without torch, and what is wrong told."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from neuron_assets.errors import UnknownAutoencoder, UnusableUnits
from neuron_assets.subjects.autoencoder_config import read_autoencoder_config
from neuron_assets.subjects.unit_files import files_digest, read_autoencoders, read_directions
from tests.subjects.autoencoders import arrays, write_autoencoder, written_config

WIDTH, N_LATENTS = 6, 9
MATRIX = np.ones((4, WIDTH), np.float32)


def directions(path: Path, tensors: dict[str, Any]) -> Path:
    save_file(tensors, path)
    return path


@pytest.mark.parametrize(
    "keys", [("L03", "L0"), ("3", "0"), ("layer_3", "layer_0"), ("model.layers.3.x", "layers.0.x")]
)
def test_a_key_belongs_to_the_layer_of_its_one_number(tmp_path: Path, keys: tuple[str, str]) -> None:
    path = directions(tmp_path / "d.safetensors", {keys[0]: MATRIX, keys[1]: MATRIX})

    found = read_directions(path, 4)

    assert list(found.keys.items()) == [(0, keys[1]), (3, keys[0])]
    assert found.n_units == 4


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"directions": MATRIX}, "the key `directions` names no layer of its own from 0 to 3.*found: directions"),
        ({"l0_v2": MATRIX}, "the key `l0_v2` names no layer"),
        ({"L4": MATRIX}, "the key `L4` names no layer of its own from 0 to 3"),
        ({"L0": MATRIX, "layer_0": MATRIX}, "names no layer of its own.*found: L0, layer_0"),
        ({"L0": MATRIX, "L1": MATRIX[:3]}, r"it holds L0 \[4, 6\], L1 \[3, 6\]"),
        ({"L0": MATRIX[0]}, r"it holds L0 \[6\]"),
        ({"L0": MATRIX[:0]}, r"it holds L0 \[0, 6\]"),
        ({}, "it holds nothing"),
    ],
)
def test_a_file_of_no_directions_is_refused(tmp_path: Path, tensors: dict[str, Any], said: str) -> None:
    with pytest.raises(UnusableUnits, match=said):
        read_directions(directions(tmp_path / "d.safetensors", tensors), 4)


def test_a_file_that_is_not_there_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableUnits, match=r"none.safetensors cannot be used: the file does not exist"):
        read_directions(tmp_path / "none.safetensors", 4)
    with pytest.raises(UnusableUnits, match=f"{tmp_path} cannot be used: it is a folder"):
        read_directions(tmp_path, 4)
    path = directions(tmp_path / "d.safetensors", {"L0": MATRIX})
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UnusableUnits, match=r"d.safetensors cannot be used: it is no safetensors file"):
        read_directions(path, 4)


def test_reading_them_needs_no_torch(tmp_path: Path) -> None:
    directions(tmp_path / "d.safetensors", {"L0": MATRIX})
    write_autoencoder(
        tmp_path / "layer_0", written_config(WIDTH, N_LATENTS, "blocks.0.hook_resid_pre"), arrays(WIDTH, N_LATENTS)
    )
    script = (
        "import sys; from pathlib import Path; from neuron_assets.subjects.unit_files import *;"
        f"folder = Path({str(tmp_path)!r}); print(read_directions(folder / 'd.safetensors', 1).n_units,"
        "read_autoencoders(folder, 'layer_{layer}', 1, centred=None).n_units, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["4", "9", "False"]


@pytest.mark.parametrize(
    ("hook", "site"),
    [
        ("hook_resid_pre", "residual_before"),
        ("hook_resid_post", "residual"),
        ("hook_mlp_out", "mlp_output"),
        ("mlp.hook_post", "neurons"),
    ],
)
def test_where_it_reads_stands_in_its_hook_name(tmp_path: Path, hook: str, site: str) -> None:
    write(tmp_path, written_config(WIDTH, N_LATENTS, f"blocks.1.{hook}"))

    assert read_autoencoders(tmp_path, "layer_{layer}", 3, centred=None).site == site


def write(folder: Path, config: Any, layer: int = 1, **changes: Any) -> None:
    weights = {name: array for name, array in (arrays(WIDTH, N_LATENTS) | changes).items() if array is not None}
    write_autoencoder(folder / f"layer_{layer}", config, weights)


def test_a_configuration_of_before_six_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "cfg.json"
    old = {
        "model_name": "gpt2-small",
        "hook_point": "blocks.8.hook_resid_pre",
        "hook_point_layer": 8,
        "hook_point_head_index": None,
        "d_in": 768,
        "d_sae": 24576,
        "normalize_activations": False,
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": 32},
        "lr": 0.0004,
    }
    path.write_text(json.dumps(old), encoding="utf-8")

    found = read_autoencoder_config(path, 8)

    assert (found.site, found.kind, found.n_active, found.norm) == ("residual_before", "topk", 32, "none")
    assert found.subtracts_decoder_bias
    assert found.centred is None


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"architecture": "gated"}, "architecture: gated"),
        ({"architecture": "batchtopk"}, "architecture: batchtopk"),
        ({"architecture": "transcoder"}, "architecture: transcoder"),
        ({"activation_fn": "tanh-relu"}, "activation_fn: tanh-relu"),
        ({"architecture": "jumprelu", "activation_fn": "topk", "k": 3}, "activation_fn: topk"),
        ({"architecture": "gated", "activation_fn": "topk", "k": 3}, "architecture: gated"),
        ({"normalize_activations": "expected_average_only_in"}, "normalize_activations: expected_average_only_in"),
        ({"normalize_activations": True}, "normalize_activations: True"),
        ({"reshape_activations": "hook_z"}, "reshape_activations: hook_z"),
        ({"hook_name": "blocks.1.attn.hook_z"}, "hook_name: blocks.1.attn.hook_z"),
        ({"hook_name": "transformer.h.1"}, "hook_name: transformer.h.1"),
        ({"hook_head_index": 3}, "hook_head_index: 3"),
        ({"model_from_pretrained_kwargs": {"revision": "step1000"}}, "model_from_pretrained_kwargs.revision: step1000"),
        (
            {"model_from_pretrained_kwargs": {"center_writing_weights": "False"}},
            "model_from_pretrained_kwargs.center_writing_weights: False",
        ),
    ],
)
def test_what_is_not_known_for_sure_is_refused_by_its_name(tmp_path: Path, changes: dict[str, Any], key: str) -> None:
    write(tmp_path, written_config(WIDTH, N_LATENTS, "blocks.1.hook_resid_post", **changes))

    with pytest.raises(UnknownAutoencoder, match=f"cfg.json says `{key}`; what can be computed is"):
        read_autoencoders(tmp_path, "layer_{layer}", 3, centred=None)


@pytest.mark.parametrize(
    ("changes", "weights", "said"),
    [
        ({"d_in": None}, {}, "`d_in`: Field required"),
        ({"d_sae": 0}, {}, "`d_sae`"),
        ({"metadata": {}}, {}, "`hook_name`: Field required"),
        ({"metadata": 5}, {}, "it is no JSON of keys and values"),
        ({"architecture": "topk"}, {}, "it says no `k`"),
        ({"hook_name": "blocks.2.hook_resid_post"}, {}, "is of layer 2, its folder of layer 1"),
        ({}, {"W_enc": None}, r"no `W_enc`.*asks for \[6, 9\].*found: W_dec, b_dec, b_enc, threshold"),
        ({}, {"W_enc": np.ones((9, 6), np.float32)}, r"`W_enc` of shape \[9, 6\], cfg.json asks for \[6, 9\]"),
        ({"architecture": "jumprelu"}, {"threshold": None}, "no `threshold`"),
        ({}, {"b_dec": None}, "no `b_dec`"),
        ({"metadata": {"hook_name": "blocks.1.hook_resid_pre"}}, {}, "does not tell .* Write `centred: true` or"),
    ],
)
def test_what_is_damaged_is_named(tmp_path: Path, changes: dict[str, Any], weights: dict[str, Any], said: str) -> None:
    write(tmp_path, written_config(WIDTH, N_LATENTS, "blocks.1.hook_resid_post", **changes), **weights)

    with pytest.raises(UnusableUnits, match=said):
        read_autoencoders(tmp_path, "layer_{layer}", 3, centred=None)


def test_a_bias_that_is_not_subtracted_is_not_asked_for(tmp_path: Path) -> None:
    config = written_config(WIDTH, N_LATENTS, "blocks.1.hook_resid_post", apply_b_dec_to_input=False)
    write(tmp_path, config, b_dec=None, W_dec=None, threshold=None)

    assert read_autoencoders(tmp_path, "layer_{layer}", 3, centred=None).n_units == N_LATENTS


def test_configurations_that_are_no_json_are_named(tmp_path: Path) -> None:
    write(tmp_path, written_config(WIDTH, N_LATENTS, "blocks.1.hook_resid_post"))
    for text in ("{", "[]", '"text"'):
        (tmp_path / "layer_1" / "cfg.json").write_text(text, encoding="utf-8")
        with pytest.raises(UnusableUnits, match=r"layer_1/cfg.json cannot be used: it is no JSON of keys and values"):
            read_autoencoders(tmp_path, "layer_{layer}", 3, centred=None)


def test_the_study_goes_before_the_file_in_whether_the_stream_was_centred(tmp_path: Path) -> None:
    for told, study_says, taken in [
        ({}, None, False),
        ({"center_writing_weights": True}, None, True),
        ({"center_writing_weights": True}, False, False),
        ({"fold_ln": True}, True, True),
        (None, True, True),
    ]:
        metadata = {"hook_name": "blocks.1.hook_resid_post", "model_from_pretrained_kwargs": told}
        write(tmp_path, written_config(WIDTH, N_LATENTS, "x", metadata=metadata))

        assert read_autoencoders(tmp_path, "layer_{layer}", 3, centred=study_says).configs[1].centred is taken


def test_what_neurons_do_is_the_same_whether_or_not_the_stream_was_centred(tmp_path: Path) -> None:
    write(tmp_path, written_config(WIDTH, N_LATENTS, "x", metadata={"hook_name": "blocks.1.mlp.hook_post"}))

    assert read_autoencoders(tmp_path, "layer_{layer}", 3, centred=True).configs[1].centred is False


def test_layers_of_different_kinds_are_refused(tmp_path: Path) -> None:
    write(tmp_path, written_config(WIDTH, N_LATENTS, "blocks.0.hook_resid_pre"), 0)
    write(tmp_path, written_config(WIDTH, N_LATENTS, "blocks.1.hook_resid_post"), 1)

    with pytest.raises(UnusableUnits, match="layer 0: 9 at residual_before; layer 1: 9 at residual"):
        read_autoencoders(tmp_path, "layer_{layer}", 3, centred=None)


def test_a_folder_without_any_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableUnits, match=r"there is no l_\{layer\}/cfg.json for any layer from 0 to 2"):
        read_autoencoders(tmp_path, "l_{layer}", 3, centred=None)


def test_the_digest_is_of_what_is_in_the_files(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"one")
    second.write_bytes(b"two")
    before = files_digest([first, second])

    second.rename(tmp_path / "c")
    assert files_digest([first, tmp_path / "c"]) == before
    first.write_bytes(b"another")
    assert files_digest([first, tmp_path / "c"]) != before
    with pytest.raises(UnusableUnits, match="No such file"):
        files_digest([second])
