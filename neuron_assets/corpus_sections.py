"""The section of a study file that says what the subject reads.

Here: what may be written under `corpus`. Not here: reading it (`corpora/`), and which reader is whose (`assets/`).
"""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from neuron_assets.corpora.files import PACKED
from neuron_assets.corpora.hub_datasets import DatasetPlace
from neuron_assets.sections import Count, Section, Seed, Share

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_ENDINGS = {
    ".txt": "text_file",
    ".text": "text_file",
    ".md": "text_file",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
"""Whose files end so; what tells how they are packed, such as `.gz`, may stand after it."""
_WILDCARDS = frozenset("*?[")


class _Corpus(Section):
    """What holds for text from anywhere."""

    most_documents: Count | None = None
    """The first so many that are good; reading ends there."""
    shortest: Count = 1
    """Characters, without white space at the ends; shorter documents are left out, and counted."""
    most_bad_rows: Share = 0.01
    """Of the rows that are read; with more, nothing is made."""
    excerpt_length: Annotated[int, Field(ge=2, le=1024)] = 64
    most_excerpts_per_document: Count | None = None
    seed: Seed = 0


class _Rows(_Corpus):
    """Documents in fields."""

    text_field: Annotated[str, Field(min_length=1)] = "text"
    name_field: Annotated[str, Field(min_length=1)] | None = None
    """None: a document is named after its place."""


class StandardLibrary(_Corpus):
    """The sources and help topics of the Python that runs this."""

    provider: Literal["standard_library"] = "standard_library"

    @property
    def source(self) -> str:
        """What messages call it."""
        return self.provider


class TextFiles(_Corpus):
    """A folder of text files: each is one document."""

    provider: Literal["text_files"]
    folder: Annotated[str, Field(min_length=1)]
    """A path relative to the study file, or a URL that fsspec knows; so everywhere below."""
    pattern: str = "**/*.txt"

    @model_validator(mode="after")
    def _the_pattern_stays_in_the_folder(self) -> "TextFiles":
        if not self.pattern or self.pattern.startswith("/") or ".." in self.pattern.split("/"):
            raise ValueError("`pattern` names files below `folder`, like **/*.txt")
        return self

    @property
    def source(self) -> str:
        return self.folder


class _InFiles(Section):
    file: Annotated[str, Field(min_length=1)]
    """One file, or those that a glob like `data/*.parquet` matches."""

    @property
    def source(self) -> str:
        return self.file


class TextFile(_InFiles, _Corpus):
    """A text file: one document, or several with a text between them."""

    provider: Literal["text_file"]
    separator: Annotated[str, Field(min_length=1)] | None = None


class JsonLines(_InFiles, _Rows):
    """A JSON object a line."""

    provider: Literal["jsonl"]


class Parquet(_InFiles, _Rows):
    """Parquet files."""

    provider: Literal["parquet"]

    @model_validator(mode="after")
    def _the_file_is_not_packed(self) -> "Parquet":
        packed = PurePosixPath(self.file).suffix.lower()
        if packed in PACKED:
            raise ValueError(f"Parquet is packed by itself and not read out of `{packed}`: unpack the file")
        return self


class HubDataset(_Rows):
    """A data set of the Hugging Face hub at a commit, or a folder that the library `datasets` can read."""

    provider: Literal["datasets"]
    dataset: Annotated[str, Field(min_length=1)]
    """ORGANISATION/NAME, or a folder that begins with `./`, `../` or `/`."""
    revision: str | None = None
    configuration: str | None = None
    """Where the data set has several."""
    split: Annotated[str, Field(min_length=1)] = "train"

    @property
    def is_folder(self) -> bool:
        return self.dataset.startswith(("./", "../", "/"))

    @model_validator(mode="after")
    def _the_revision_is_pinned(self) -> "HubDataset":
        if self.is_folder:
            if self.revision is not None:
                raise ValueError("`revision` goes with a data set of the hub, not with a folder")
        elif not _HUB_NAME.fullmatch(self.dataset):
            raise ValueError("`dataset` is written ORGANISATION/NAME; a folder begins with ./")
        elif self.revision is None or not _COMMIT.fullmatch(self.revision):
            raise ValueError(
                "`revision` must be the full commit, 40 hexadecimal digits, so that the text stays the same: it "
                f"stands under https://huggingface.co/datasets/{self.dataset}/commits/main"
            )
        return self

    @property
    def source(self) -> str:
        return self.dataset if self.revision is None else f"{self.dataset}@{self.revision}"

    def place(self, folder: str) -> DatasetPlace:
        return DatasetPlace(folder if self.is_folder else self.dataset, self.revision, self.configuration, self.split)


def _with_provider(value: object) -> object:
    """What is written on one line as a section, and the provider that its keys imply."""
    if isinstance(value, str):
        value = _from_one_line(value)
    if not isinstance(value, Mapping) or "provider" in value:
        return value
    if "file" in value:
        implied = _ENDINGS.get(_ending(str(value["file"])))
        if implied is None:
            raise ValueError(f"`file` ends in none of {', '.join(_ENDINGS)}; write `provider` beside it")
        return {"provider": implied, **value}
    keys = {"folder": "text_files", "dataset": "datasets"}
    return {"provider": next((keys[key] for key in keys if key in value), "standard_library"), **value}


def _from_one_line(text: str) -> dict[str, Any]:
    """`./docs.jsonl`, `./texts`, `ORGANISATION/NAME@COMMIT`, `standard_library`."""
    name, at, revision = text.partition("@")
    if at and _HUB_NAME.fullmatch(name) and not text.startswith("."):
        return {"dataset": name, "revision": revision}
    if text == "standard_library":
        return {"provider": text}
    ending = _ending(text)
    if ending in _ENDINGS:
        return {"file": text}
    if (ending or _WILDCARDS & set(text)) and not text.endswith("/"):
        raise ValueError(
            f"{text!r} ends in none of {', '.join(_ENDINGS)}; write `file: {text}` and `provider` beside it, or "
            f"`folder: {text}` if it is one"
        )
    return {"folder": text}


def _ending(path: str) -> str:
    name = PurePosixPath(path.lower())
    return PurePosixPath(name.stem).suffix if name.suffix in PACKED else name.suffix


Corpus = Annotated[
    Annotated[
        StandardLibrary | TextFiles | TextFile | JsonLines | Parquet | HubDataset, Field(discriminator="provider")
    ],
    BeforeValidator(_with_provider),
]

CORPORA: Mapping[str, type[_Corpus]] = {
    "standard_library": StandardLibrary,
    "text_files": TextFiles,
    "text_file": TextFile,
    "jsonl": JsonLines,
    "parquet": Parquet,
    "datasets": HubDataset,
}
"""The keys of the section depend on where the text comes from."""
