"""Who a model in this process is: by the contents of its files, or by the revision that it was taken from.

Here: telling without loading the weights. Not here: loading (`local.py`).
"""

import hashlib
from functools import cache
from pathlib import Path

from neuron_assets.errors import UnusableModel

READ = (".safetensors", ".json", ".jinja", ".model")
"""Endings of the files of a folder that can change what a model says."""


@cache
def who_is(name: str, revision: str | None = None) -> str:
    """`FOLDER@sha256:...` of a folder's files, or `NAME@COMMIT` of a repository; raises UnusableModel.

    Read once a process: a folder that changes while it is used is not noticed.
    """
    folder = Path(name)
    if not folder.is_dir():
        return f"{name}@{_commit(name, revision)}"
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in READ):
        with path.open("rb") as file:
            digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return f"{folder.name}@sha256:{digest.hexdigest()[:16]}"


def _commit(name: str, revision: str | None) -> str:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(name, revision=revision)
    except (OSError, ValueError) as error:
        raise UnusableModel(name, str(error).splitlines()[0]) from error
    return str(getattr(config, "_commit_hash", None) or "unknown revision")
