"""How a sentence-embedding model makes one vector of a text, by the files of the library sentence-transformers.

Here: reading them, without the weights. Not here: the model (`sentence_encoder.py`). What goes beyond the first token
or the mean over all (a layer after pooling, say) is refused: left out, it would give other vectors in silence.
"""

import json
from pathlib import Path
from typing import Any, Literal, get_args

from neuron_assets.errors import UnusableModel

Pooling = Literal["mean", "first_token"]

_MODULES, _POOLING = "modules.json", "1_Pooling/config.json"
_KNOWN = {"Transformer", "Pooling", "Normalize"}
_WAYS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "first_token"}
assert set(_WAYS.values()) == set(get_args(Pooling))


def pooling_of(name: str, revision: str | None = None) -> Pooling:
    """Of a folder or a repository; the mean, where it says nothing. Raises UnusableModel."""
    try:
        modules, told = (_content(name, file, revision) for file in (_MODULES, _POOLING))
    except (OSError, ValueError) as error:
        raise UnusableModel(name, f"how it pools cannot be read: {str(error).splitlines()[0]}") from error
    kinds = {str(module.get("type", "")).rpartition(".")[2] for module in modules or ()}
    if more := sorted(kinds - _KNOWN):
        raise UnusableModel(name, f"{_MODULES} names {', '.join(more)}; known are {', '.join(sorted(_KNOWN))}")
    ways = [key for key, is_on in (told or {}).items() if key.startswith("pooling_mode_") and is_on is True]
    if told is None:
        return "mean"
    if len(ways) != 1 or ways[0] not in _WAYS:
        asked = ", ".join(sorted(ways)) or "nothing"
        raise UnusableModel(name, f"{_POOLING} asks for {asked}; known are {', '.join(_WAYS)}")
    return "first_token" if ways[0] == "pooling_mode_cls_token" else "mean"


def _content(name: str, file: str, revision: str | None) -> Any:
    """None where there is no such file; raises OSError or ValueError where nobody can tell."""
    path = Path(name) / file if Path(name).is_dir() else _fetched(name, file, revision)
    return json.loads(path.read_text(encoding="utf-8")) if path is not None and path.exists() else None


def _fetched(name: str, file: str, revision: str | None) -> Path | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(name, file, revision=revision))
    except LocalEntryNotFoundError:
        raise  # neither in the cache nor to be asked for
    except EntryNotFoundError:
        return None
