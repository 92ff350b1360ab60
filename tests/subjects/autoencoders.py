"""Folders of autoencoders and files of directions, written as others write them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

Arrays = Mapping[str, NDArray[np.float32]]


def arrays(width: int, n_latents: int, *, seed: int = 0, whole: bool = False) -> dict[str, NDArray[np.float32]]:
    """Weights of an encoder and its decoder; `whole` numbers so small that sums of products are exact in bfloat16."""
    random = np.random.default_rng(seed)

    def draw(*shape: int) -> NDArray[np.float32]:
        return (random.integers(-1, 2, shape) if whole else random.normal(0, 0.5, shape)).astype(np.float32)

    return {
        "W_enc": draw(width, n_latents),
        "b_enc": draw(n_latents),
        "W_dec": draw(n_latents, width),
        "b_dec": draw(width),
        "threshold": np.abs(draw(n_latents)),
    }


def written_config(width: int, n_latents: int, hook: str, **changes: Any) -> dict[str, Any]:
    """As SAELens 6 writes cfg.json; a change to None takes a key out."""
    metadata = {
        "sae_lens_version": "6.54.12",
        "model_name": "tiny",
        "hook_name": hook,
        "model_from_pretrained_kwargs": {"center_writing_weights": False},
    }
    config: dict[str, Any] = {
        "d_in": width,
        "d_sae": n_latents,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": metadata,
        "architecture": "standard",
    } | changes
    return {key: value for key, value in config.items() if value is not None}


def write_autoencoder(folder: Path, config: Mapping[str, Any], weights: Arrays) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(
        {name: np.ascontiguousarray(array) for name, array in weights.items()}, folder / "sae_weights.safetensors"
    )
    return folder
