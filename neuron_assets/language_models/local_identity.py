"""Who a model in this process is: by the contents of its files, or by the revision that it was taken from.

Here: telling without loading the weights. Not here: loading (`local.py`).
"""

import hashlib
from pathlib import Path

from neuron_assets.errors import UnusableModel
from neuron_assets.file_digests import file_digest

READ = (".safetensors", ".json", ".jinja", ".model", "merges.txt", "vocab.txt")
"""Ends of the names of the files of a folder that can change what a model says."""


def who_is(name: str, revision: str | None = None) -> str:
    """`FOLDER@sha256:...` of a folder's files, or `NAME@COMMIT` of a repository; raises UnusableModel."""
    folder = Path(name)
    if not folder.is_dir():
        return f"{name}@{_commit(name, revision)}"
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.name.endswith(READ)):
        digest.update(f"{path.name} {file_digest(path)}\n".encode())
    return f"{folder.name}@sha256:{digest.hexdigest()[:16]}"


def context_length_of(name: str, revision: str | None = None) -> int | None:
    """Tokens that the model can read at once, by its configuration on this machine; None where that does not tell."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError):
        return None
    return getattr(config.get_text_config(), "max_position_embeddings", None)


def _commit(name: str, revision: str | None) -> str:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UnusableModel(name, str(error).splitlines()[0]) from error
    return str(getattr(config, "_commit_hash", None) or "unknown revision")
