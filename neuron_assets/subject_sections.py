"""The section of a study file that says whose neurons are explained.

Here: what may be written under `subject`, in full or in one line, the sizes that need not be written, and what of it
can change a table. Not here: opening a subject (`subject_opening.py`), who explains (`model_sections.py`).
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from neuron_assets.sections import Count, Section, Seed
from neuron_assets.subjects.catalog import SHIPPED, TOKENIZER, SubjectSize, size_on_the_hub
from neuron_assets.subjects.model_files import stated_size

ShippedName = Literal["bundled", "bundled_untrained", "planted"]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[A-Za-z0-9_-][\w.-]*(/[A-Za-z0-9_-][\w.-]*)?", re.ASCII)


class ShippedSubject(Section):
    """A subject model that comes with this package."""

    provider: ShippedName = "bundled"
    seed: Seed = 0
    """Of the weights, for an untrained subject."""
    n_layers: Count
    n_neurons: Count
    """Of one layer. The loaded model is checked against both."""

    @property
    def label(self) -> str:
        """Whose neurons these are, in one word."""
        return self.provider

    @property
    def tokenizer(self) -> str:
        """What the study knows of how it reads: an ingredient of the excerpts."""
        return TOKENIZER

    @property
    def weights(self) -> str:
        """What the study knows of its weights: an ingredient of all activations."""
        return SHIPPED[self.provider].weights

    @property
    def ingredients(self) -> Mapping[str, object]:
        """The fields that can change what a neuron does."""
        return self.model_dump(exclude={"n_layers"})

    def known_size(self, _folder: Path) -> SubjectSize | None:
        return SHIPPED[self.provider].size


class HuggingFaceSubject(Section):
    """A causal language model out of a folder, or of a repository of the Hugging Face hub."""

    provider: Literal["hugging_face"]
    model: Annotated[str, Field(min_length=1)]
    """A folder, relative to the study file and written with ./, ../ or / before it; or a repository."""
    revision: str | None = None
    """Of a repository: the full commit, so that the same study is the same model tomorrow."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    beginning_of_text: Literal["auto", "never", "always"] = "auto"
    """Whether every excerpt is read after the token that texts begin with: as the tokenizer has it, never, always."""
    n_layers: Count
    n_neurons: Count
    """Of one layer. The loaded model is checked against both."""

    @model_validator(mode="after")
    def _it_is_always_the_same_model(self) -> "HuggingFaceSubject":
        if problem := _identity_problem(self.model, self.revision):
            raise ValueError(problem)
        return self

    @property
    def is_folder(self) -> bool:
        return is_folder(self.model)

    @property
    def label(self) -> str:
        """Whose neurons these are, in one word."""
        return (Path(self.model).name or self.model) if self.is_folder else f"{self.model}@{str(self.revision)[:7]}"

    @property
    def tokenizer(self) -> str:
        """A folder is known by its contents, which the tables note: that is not to be hashed to load a graph."""
        return "folder" if self.is_folder else f"{self.model}@{self.revision}"

    @property
    def weights(self) -> str:
        return self.tokenizer

    @property
    def ingredients(self) -> Mapping[str, object]:
        """The fields that can change what a neuron does; where a folder lies is none of them."""
        return self.model_dump(include={"provider", "dtype", "beginning_of_text", "n_neurons"})

    def known_size(self, folder: Path) -> SubjectSize | None:
        return _size_of(self.model, folder)


Subject = Annotated[ShippedSubject | HuggingFaceSubject, Field(discriminator="provider")]
SUBJECTS: Mapping[str, type[Section]] = {
    **dict.fromkeys(get_args(ShippedName), ShippedSubject),
    "hugging_face": HuggingFaceSubject,
}
"""By provider."""


def is_folder(model: str) -> bool:
    return model.startswith(("./", "../", "/"))


def written_in_full(subject: object, folder: Path) -> object:
    """What stands under `subject`, with its provider, and its sizes where they are known; raises ValueError."""
    if subject in (None, ""):
        raise ValueError("subject: it is empty; write `bundled`, ./FOLDER, or NAME/MODEL@COMMIT of the hub")
    if isinstance(subject, str):
        subject = _from_line(subject)
    if not isinstance(subject, dict):
        return subject
    subject = {"provider": "hugging_face" if "model" in subject else "bundled", **subject}
    if {"n_layers", "n_neurons"} <= set(subject):
        return subject
    size, model = _known_size(subject, folder), subject.get("model")
    if size is None and subject["provider"] == "hugging_face":
        if isinstance(model, str) and _identity_problem(model, subject.get("revision")) is None:
            raise ValueError(f"subject: {_why_no_size(model, folder)}")
        size = SubjectSize(1, 1)  # it will be refused for what it says of the model; sizes are not asked for as well
    return subject if size is None else {"n_layers": size.n_layers, "n_neurons": size.n_neurons, **subject}


def _from_line(line: str) -> dict[str, object]:
    """`bundled`, `./folder`, `name/model@commit`."""
    if line in SHIPPED:
        return {"provider": line}
    if is_folder(line):
        return {"model": line}
    if close := difflib.get_close_matches(line, SHIPPED, n=1):
        raise ValueError(f"subject: there is no {line}; did you mean `{close[0]}`?")
    model, _, revision = line.partition("@")
    return {"model": model, "revision": revision or None}


def _identity_problem(model: str, revision: object) -> str | None:
    """Why the two may not name the same model tomorrow."""
    if is_folder(model):
        told = "`revision` goes with a repository of the hub; a folder is known by its contents"
        return None if revision is None else told
    if not _REPOSITORY.fullmatch(model) or ".." in model:
        return f"`model`: {model!r} is no repository; write NAME/MODEL, or a folder as ./FOLDER"
    if isinstance(revision, str) and _COMMIT.fullmatch(revision):
        return None
    return (
        f"`revision` of {model} must be a full commit, 40 hexadecimal digits; `git ls-remote "
        f"https://huggingface.co/{model} HEAD` prints the newest, and the page Files, History lists all. "
        f"(If {model} is a folder, write ./{model}.)"
    )


def _why_no_size(model: str, folder: Path) -> str:
    if is_folder(model) and not (folder / model).is_dir():
        return f"there is no folder {folder / model}"
    return (
        f"the sizes of {model} are not known. Write `n_layers`, its blocks, and `n_neurons`, the width of an MLP's "
        "hidden layer: `num_hidden_layers` and `intermediate_size` in its config.json."
    )


def _known_size(subject: Mapping[str, Any], folder: Path) -> SubjectSize | None:
    if str(subject["provider"]) in SHIPPED:
        return SHIPPED[str(subject["provider"])].size
    return _size_of(subject["model"], folder) if isinstance(subject.get("model"), str) else None


def _size_of(model: str, folder: Path) -> SubjectSize | None:
    return stated_size(folder / model) if is_folder(model) else size_on_the_hub(model)
