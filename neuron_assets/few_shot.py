"""The worked examples that prompts begin with, from the file that comes with this package or from one like it.

Here: the reading and checking. Not here: the examples (`few_shot.yaml`, with a word on every key), their shape
(`method/few_shot.py`), and how prompts show them.
"""

import hashlib
import json
from dataclasses import asdict
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails

from neuron_assets.errors import UnreadableStudy
from neuron_assets.method.few_shot import FewShotExcerpt, FewShotNeuron
from neuron_assets.method.records import LARGEST
from neuron_assets.yaml_files import read_yaml


class _Excerpt(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    tokens: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    scaled: list[Annotated[int, Field(ge=0, le=LARGEST)]]
    first_revealed: int = Field(ge=0)

    @model_validator(mode="after")
    def _agrees_in_length(self) -> Self:
        n_tokens = len(self.tokens)
        if len(self.scaled) != n_tokens:
            raise ValueError(f"{n_tokens} tokens, but {len(self.scaled)} numbers")
        if self.first_revealed >= n_tokens:
            raise ValueError(f"first_revealed is {self.first_revealed}, but there are only {n_tokens} tokens")
        return self


class _Neuron(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    explanation: str = Field(min_length=1)
    excerpts: list[_Excerpt] = Field(min_length=1)


_NEURONS = TypeAdapter(Annotated[list[_Neuron], Field(min_length=1)])


@cache
def few_shot_neurons() -> tuple[FewShotNeuron, ...]:
    """The invented neurons that come with this package."""
    with as_file(files("neuron_assets") / "few_shot.yaml") as path:
        return read_few_shot(path)


@cache
def few_shot_digest() -> str:
    """Sixteen hexadecimal digits that change with the packaged examples, and not with how their file is laid out."""
    content = json.dumps([asdict(neuron) for neuron in few_shot_neurons()])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def read_few_shot(path: Path) -> tuple[FewShotNeuron, ...]:
    """The neurons of a file laid out like `few_shot.yaml`.

    Raises UnreadableStudy, naming the place, where it is no YAML, a key is missing or unknown, a number is not one of
    0 to 10, numbers and tokens differ in length, or `first_revealed` is not one of the tokens.
    """
    try:
        neurons = _NEURONS.validate_python(read_yaml(path))
    except ValidationError as error:
        raise UnreadableStudy(path, "; ".join(map(_told, error.errors()))) from error
    return tuple(
        FewShotNeuron(
            neuron.explanation,
            tuple(FewShotExcerpt(tuple(e.tokens), tuple(e.scaled), e.first_revealed) for e in neuron.excerpts),
        )
        for neuron in neurons
    )


def _told(problem: ErrorDetails) -> str:
    place = ", ".join(f"{part + 1}." if isinstance(part, int) else part for part in problem["loc"])
    return f"{place or 'the file'}: {problem['msg'].removeprefix('Value error, ')}"
