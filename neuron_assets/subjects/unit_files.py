"""Files of directions and folders of autoencoders, as far as they are read without torch: for which layers, how many.

Here: names, headers, a digest. Not here: what an autoencoder's configuration means (`autoencoder_config`), and reading
the numbers (`directions`, `sparse_autoencoders`). A graph of layers loads by this alone.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import SafetensorError, safe_open

from neuron_assets.errors import UnusableUnits
from neuron_assets.file_digests import file_digest
from neuron_assets.subjects.autoencoder_config import AutoencoderConfig, read_autoencoder_config
from neuron_assets.subjects.sites import Site

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
"""The two files of an autoencoder, in a folder of its own."""
_LONGEST_LIST = 12
"""Of keys, in a message."""


@dataclass(frozen=True, slots=True)
class DirectionsFile:
    """A matrix [unit, width] for each of some layers."""

    path: Path
    n_units: int
    """Of each layer."""
    keys: Mapping[int, str]
    """By layer, the matrix's name in the file."""


@dataclass(frozen=True, slots=True)
class AutoencoderFolders:
    """An autoencoder for each of some layers."""

    place: Path
    """The folder around theirs."""
    folders: Mapping[int, Path]
    configs: Mapping[int, AutoencoderConfig]
    n_units: int
    """Latents of each."""
    site: Site
    """Where all of them read."""


def read_directions(path: Path, n_layers: int) -> DirectionsFile:
    """What a file of directions holds; a key belongs to the layer of the only whole number in it.

    Raises UnusableUnits.
    """
    shapes = tensor_shapes(path)
    keys: dict[int, str] = {}
    for key in shapes:
        numbers = re.findall(r"[0-9]+", key)
        layer_index = int(numbers[0]) if len(numbers) == 1 else -1
        if not 0 <= layer_index < n_layers or layer_index in keys:
            raise UnusableUnits(
                path,
                f"the key `{key}` names no layer of its own from 0 to {n_layers - 1}",
                f"Name each matrix by one number, like L03 or layers.3. Keys found: {_listed(shapes)}.",
            )
        keys[layer_index] = key
    n_units = {shape[0] for shape in shapes.values() if len(shape) == 2 and min(shape) > 0}
    if len(n_units) != 1 or any(len(shape) != 2 for shape in shapes.values()):
        found = ", ".join(f"{key} {list(shape)}" for key, shape in list(shapes.items())[:_LONGEST_LIST]) or "nothing"
        raise UnusableUnits(
            path, f"it holds {found}", "Write a matrix [direction, width] for each layer, each of as many directions."
        )
    return DirectionsFile(path, n_units.pop(), dict(sorted(keys.items())))


def read_autoencoders(folder: Path, pattern: str, n_layers: int, *, centred: bool | None) -> AutoencoderFolders:
    """The autoencoders in those folders that are there; `centred` goes before what they say of it.

    Raises UnusableUnits or UnknownAutoencoder.
    """
    folders = {layer: folder / pattern.replace("{layer}", str(layer)) for layer in range(n_layers)}
    folders = {layer: path for layer, path in folders.items() if (path / CONFIG).is_file()}
    if not folders:
        raise UnusableUnits(
            folder,
            f"there is no {pattern}/{CONFIG} for any layer from 0 to {n_layers - 1}",
            "Mend `folder` and `path` under `units` in the study.",
        )
    configs = {layer: _config(path / CONFIG, layer, centred=centred) for layer, path in folders.items()}
    for layer, path in folders.items():
        _check_shapes(path / WEIGHTS, configs[layer].shapes)
    n_units, sites = {each.n_latents for each in configs.values()}, {each.site for each in configs.values()}
    if len(n_units) > 1 or len(sites) > 1:
        told = "; ".join(f"layer {layer}: {each.n_latents} at {each.site}" for layer, each in configs.items())
        raise UnusableUnits(
            folder,
            f"the layers differ ({told})",
            "Those of one study have as many latents each, at one place: make a study for each kind.",
        )
    return AutoencoderFolders(folder, folders, configs, n_units.pop(), sites.pop())


def _config(path: Path, layer: int, *, centred: bool | None) -> AutoencoderConfig:
    """With `centred` decided; what the neurons do is the same either way."""
    config = read_autoencoder_config(path, layer)
    decided = config.centred if centred is None else centred
    if config.site == "neurons":
        decided = False
    if decided is None:
        raise UnusableUnits(
            path,
            "it does not tell whether the model wrote centred vectors into its residual stream when it was trained",
            "Write `centred: true` or `centred: false` under `units` in the study; docs/units.md says how to find out.",
        )
    return replace(config, centred=decided)


def tensor_shapes(path: Path) -> Mapping[str, tuple[int, ...]]:
    """Of each tensor in a safetensors file, from its header; raises UnusableUnits."""
    if path.is_dir():
        raise UnusableUnits(path, "it is a folder, not a safetensors file", "Mend its name under `units` in the study.")
    try:
        with safe_open(path, framework="numpy") as opened:
            return {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise UnusableUnits(path, "the file does not exist", "Mend its name under `units` in the study.") from error
    except (OSError, SafetensorError) as error:
        raise UnusableUnits(path, f"it is no safetensors file ({error})", "Write it anew.") from error


def _check_shapes(path: Path, expected: Mapping[str, tuple[int, ...]]) -> None:
    found = tensor_shapes(path)
    for name, shape in expected.items():
        if found.get(name) != shape:
            told = f"`{name}` of shape {list(found[name])}" if name in found else f"no `{name}`"
            raise UnusableUnits(
                path,
                f"it holds {told}, {CONFIG} asks for {list(shape)}",
                f"Take both files from one training. Tensors found: {_listed(found)}.",
            )


def files_digest(paths: Iterable[Path]) -> str:
    """First digits of the sha256 of these files' contents, in this order; raises UnusableUnits."""
    whole = hashlib.sha256()
    for path in paths:
        try:
            whole.update(file_digest(path).encode())
        except OSError as error:
            raise UnusableUnits(path, str(error.strerror), "Mend `units` in the study.") from error
    return whole.hexdigest()[:16]


def _listed(names: Iterable[str]) -> str:
    """The first few."""
    shown = sorted(names)
    return ", ".join(shown[:_LONGEST_LIST]) + (", ..." if len(shown) > _LONGEST_LIST else "") or "none"
