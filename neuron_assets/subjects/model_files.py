"""What the files of a model's folder tell without torch: its sizes, and who it is by their contents.

Here: reading config.json, digests, sizes of files. Not here: opening the model (`hugging_face.py`).
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuron_assets.errors import UnusableSubject
from neuron_assets.file_digests import file_digest
from neuron_assets.subjects.catalog import SubjectSize

OF_WEIGHTS = ("config.json", ".safetensors", ".safetensors.index.json")
OF_READING = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    ".model",
)
"""Names of the files that can change what a model does, or how it reads; of those with a dot before it, the end."""

_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_NEURONS = ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size")
_WIDTH = ("hidden_size", "n_embd", "n_embed", "d_model")
_POSITIONS = ("max_position_embeddings", "n_positions")
_FOUR_TIMES_ITS_WIDTH = ("bloom", "codegen", "falcon", "gpt2", "gpt_bigcode", "gpt_neo", "gptj", "mpt")
"""Families whose MLP is that wide where nothing else is said."""


def stated_size(folder: Path) -> SubjectSize | None:
    """What config.json says; None where it is not there or does not tell."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(config, dict):
        return None
    text = config.get("text_config")  # what reads, where a model sees or hears as well
    config = text if isinstance(text, dict) else config
    n_layers, width = _first_of(config, _LAYERS), _first_of(config, _WIDTH)
    n_neurons = _first_of(config, _NEURONS)
    if n_neurons is None and width is not None and config.get("model_type") in _FOUR_TIMES_ITS_WIDTH:
        n_neurons = 4 * width
    if n_layers is None or n_neurons is None:
        return None
    return SubjectSize(n_layers, n_neurons, _first_of(config, _POSITIONS))


def files_digest(folder: Path, kinds: tuple[str, ...]) -> str:
    """`sha256:...` of the names and contents of a folder's files of these kinds; raises UnusableSubject."""
    digest = hashlib.sha256()
    try:
        paths = sorted(path for path in folder.iterdir() if _is_of(path, kinds)) if folder.is_dir() else []
        for path in paths:
            digest.update(f"{path.name} {file_digest(path)}\n".encode())
    except OSError as error:
        raise UnusableSubject(str(folder), f"{error.filename} cannot be read: {error.strerror}") from error
    if not paths:
        raise UnusableSubject(str(folder), f"it is no folder with files of a model ({', '.join(kinds[:2])}, ...)")
    return f"sha256:{digest.hexdigest()[:16]}"


def weights_bytes(folder: Path) -> int | None:
    """The size of its files of weights; None where there are none."""
    try:
        sizes = [path.stat().st_size for path in folder.glob("*.safetensors")]
    except OSError:
        return None
    return sum(sizes) or None


def _is_of(path: Path, kinds: tuple[str, ...]) -> bool:
    ends = tuple(kind for kind in kinds if kind.startswith("."))
    return (path.name in kinds or path.name.endswith(ends)) and path.is_file()


def _first_of(config: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return next((config[name] for name in names if isinstance(config.get(name), int) and config[name] > 0), None)
