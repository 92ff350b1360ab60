"""The study: one YAML file that says what is explained, with what, and how it is scored.

Here: its frozen, validated form, and the only code that parses a study file. Not here: where studies lie
(`project.py`), what a change of a field makes stale (`lineage.py`).
"""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from neuron_assets.errors import InvalidStudy, LayerOutOfRange, NeuronOutOfRange, UnreadableStudy
from neuron_assets.method.excerpts import CutPlan
from neuron_assets.method.records import SPLITS, NeuronId, Split
from neuron_assets.method.rules.fitting import RULES_VERSION, RuleParameters
from neuron_assets.subjects.catalog import CATALOG

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""A study's name is a folder, an asset group and a key prefix."""

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SubjectSection(_Section):
    """The subject model: the one whose neurons are explained."""

    provider: Literal["bundled", "bundled_untrained", "planted"] = "bundled"
    seed: Seed = 0
    """Of the weights, for an untrained subject."""
    n_layers: Count
    n_neurons: Count
    """Of one layer. The loaded model is checked against both."""


class CorpusSection(_Section):
    """The text that the subject reads."""

    provider: Literal["standard_library", "text_files"] = "standard_library"
    folder: str | None = None
    """For text_files: relative to the study file."""
    pattern: str = "**/*.txt"
    excerpt_length: Annotated[int, Field(ge=2, le=1024)] = 64
    most_excerpts_per_document: Count | None = None
    seed: Seed = 0

    @model_validator(mode="after")
    def _a_folder_is_named(self) -> "CorpusSection":
        if (self.provider == "text_files") != (self.folder is not None):
            raise ValueError("`folder` goes with `provider: text_files`, and only with it")
        return self


class SplitSection(_Section):
    """How many excerpts a neuron keeps of one pool."""

    top: Annotated[int, Field(ge=0)] = 10
    random: Annotated[int, Field(ge=0)] = 10


class SplitsSection(_Section):
    """Four pools of documents; no document is in two of them."""

    fewest_documents: Count = 40
    train: SplitSection = SplitSection(top=50, random=150)
    calibration: SplitSection = SplitSection()
    valid: SplitSection = SplitSection()
    test: SplitSection = SplitSection()

    def of(self, split: Split) -> SplitSection:
        section: SplitSection = getattr(self, split)
        return section


class ActivationsSection(_Section):
    """What is kept of the one pass."""

    stored_as: Literal["float16", "float32"] = "float16"
    """Ranking is always done in float32."""
    seed: Seed = 0
    """Of the random excerpts and of the token sample."""
    sampled_tokens: Annotated[int, Field(ge=16)] = 2048
    """Tokens from which skewness, kurtosis, quantiles and the share of active tokens are estimated."""
    active_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Active: an activation above this share of the neuron's maximum over `train`."""


class SampledNeurons(_Section):
    """A seeded choice of so many neurons of each layer."""

    per_layer: Count
    seed: Seed = 0


class ExplainerSection(_Section):
    """Who writes the explanations."""

    provider: Literal["rules", "written", "planted"] = "rules"
    n_rules: Annotated[int, Field(ge=1, le=60)] = RuleParameters().n_rules
    """For rules: the most an explanation may hold."""
    longest: Annotated[int, Field(ge=60, le=4000)] = RuleParameters().longest
    """For rules: about how many characters an explanation may have."""
    file: str | None = None
    """For written: a YAML file of explanations that are there already, relative to the study file."""

    @model_validator(mode="after")
    def _a_file_is_named(self) -> "ExplainerSection":
        if (self.provider == "written") != (self.file is not None):
            raise ValueError("`file` goes with `provider: written`, and only with it")
        return self


class SimulatorSection(_Section):
    """Who predicts activations from an explanation."""

    provider: Literal["rules"] = "rules"


class ScoringSection(_Section):
    """How simulations are judged, on the `valid` pool."""

    top: Annotated[int, Field(ge=1)] = 5
    """Top excerpts in top-and-random; random-only takes all random excerpts that are kept."""
    random: Annotated[int, Field(ge=1)] = 5
    draws: Annotated[int, Field(ge=100)] = 1000
    """Of the bootstrap."""
    seed: Seed = 0


class ControlsSection(_Section):
    """What an honest report shows beside the result."""

    shuffled: bool = True
    """Each explanation is also scored on another neuron of its layer."""
    seed: Seed = 0
    untrained: str | None = None
    """The name of a study of the same subject with random weights."""


class Study(_Section):
    """Everything that can change an answer."""

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    folder: Path
    """Where the study file lies; the files that it names are relative to it."""
    description: str = ""
    owners: tuple[str, ...] = ()
    """Of the assets, in the Dagster UI: an e-mail address, or team:NAME."""
    subject: SubjectSection
    corpus: CorpusSection = CorpusSection()
    layers: Literal["all"] | tuple[Annotated[int, Field(ge=0)], ...] = "all"
    neurons: Literal["all"] | SampledNeurons | tuple[Annotated[int, Field(ge=0)], ...] = "all"
    splits: SplitsSection = SplitsSection()
    activations: ActivationsSection = ActivationsSection()
    explainer: ExplainerSection = ExplainerSection()
    simulator: SimulatorSection = SimulatorSection()
    scoring: ScoringSection = ScoringSection()
    controls: ControlsSection = ControlsSection()

    @model_validator(mode="after")
    def _sizes_agree(self) -> "Study":
        known = CATALOG[self.subject.provider]
        if (known.n_layers, known.n_neurons) != (self.subject.n_layers, self.subject.n_neurons):
            raise ValueError(
                f"subject: {self.subject.provider} has {known.n_layers} layers of {known.n_neurons} neurons, "
                f"the study says {self.subject.n_layers} of {self.subject.n_neurons}"
            )
        valid = self.splits.valid
        if self.scoring.top > valid.top or self.scoring.random > valid.random:
            raise ValueError("scoring: `top` and `random` cannot exceed what `splits.valid` keeps")
        return self

    @property
    def layer_indices(self) -> tuple[int, ...]:
        """Ascending, each checked against the subject's size."""
        layers = range(self.subject.n_layers) if self.layers == "all" else sorted(set(self.layers))
        for layer_index in layers:
            self.check_layer(layer_index)
        return tuple(layers)

    def check_layer(self, layer_index: int) -> None:
        """Raises LayerOutOfRange."""
        if not 0 <= layer_index < self.subject.n_layers:
            raise LayerOutOfRange(layer_index, self.subject.n_layers, self.subject.provider)

    def check_neuron(self, neuron: NeuronId) -> None:
        """Raises LayerOutOfRange or NeuronOutOfRange."""
        self.check_layer(neuron.layer_index)
        if neuron.neuron_index >= self.subject.n_neurons:
            raise NeuronOutOfRange(str(neuron), self.subject.n_neurons, self.subject.provider)

    def neuron_indices(self, layer_index: int, asked: int | Literal["all"] | None = None) -> tuple[int, ...]:
        """The neurons of a layer to explain, ascending; `asked` overrules the study: a number of them, or all.

        A smaller seeded choice is part of every larger one of the same seed.
        """
        n_neurons = self.subject.n_neurons
        wanted = self.neurons if asked is None else asked
        if wanted == "all":
            return tuple(range(n_neurons))
        if isinstance(wanted, tuple):
            for neuron_index in wanted:
                self.check_neuron(NeuronId(layer_index, neuron_index))
            return tuple(sorted(set(wanted)))
        seed = self.neurons.seed if isinstance(self.neurons, SampledNeurons) else 0
        per_layer = wanted.per_layer if isinstance(wanted, SampledNeurons) else wanted
        order = np.random.default_rng([seed, layer_index]).permutation(n_neurons)
        return tuple(sorted(int(neuron_index) for neuron_index in order[:per_layer]))

    @property
    def cut_plan(self) -> CutPlan:
        return CutPlan(
            length=self.corpus.excerpt_length,
            most_per_document=self.corpus.most_excerpts_per_document,
            fewest_documents=self.splits.fewest_documents,
            seed=self.corpus.seed,
        )

    @property
    def explainer_identity(self) -> str:
        """What an explanation depends on beside its neuron: the provider, its version and its parameters."""
        if self.explainer.provider == "rules":
            return f"rules/{RULES_VERSION}?n_rules={self.explainer.n_rules}&longest={self.explainer.longest}"
        if self.explainer.provider == "planted":
            return f"planted/{RULES_VERSION}"
        return f"written?file={self.explainer.file}"

    @property
    def simulator_identity(self) -> str:
        return f"{self.simulator.provider}/{RULES_VERSION}"


def read_study(path: Path) -> Study:
    """The study in `path`, named after its folder; raises UnreadableStudy or InvalidStudy, naming each wrong key."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UnreadableStudy(path, " ".join(str(error).split())) from error
    if not isinstance(content, dict):
        raise InvalidStudy(path, ["the file must hold keys and values, like `layers: all`"])
    if {"name", "folder"} & set(content):
        raise InvalidStudy(path, ["a study is named after its folder: remove `name` and `folder`"])
    try:
        study = Study.model_validate({**content, "name": path.parent.name, "folder": path.parent})
        _ = study.layer_indices, study.neuron_indices(0)
    except ValidationError as error:
        raise InvalidStudy(path, [_problem(dict(problem)) for problem in error.errors()]) from error
    return study


def parse_layers(text: str) -> tuple[int, ...]:
    """Reads `0-5`, `3` or `0,2,7-9`; raises ValueError on anything else."""
    layers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*[Ll]?(\d{1,4})(?:\s*-\s*[Ll]?(\d{1,4}))?\s*", part)
        if match is None or (match[2] is not None and int(match[2]) < int(match[1])):
            raise ValueError(f"{part.strip()!r} is no layer or range of layers; write 0-5, or 0,2,7-9")
        layers.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(sorted(layers))


def _problem(error: dict[str, Any]) -> str:
    """One line for one of pydantic's findings: the key, what is wrong, and the key that was probably meant."""
    place = ".".join(
        str(part) for part in error["loc"] if not str(part).startswith(("function-", "literal[", "tuple["))
    )
    if error["type"] == "extra_forbidden":
        known = _keys_beside(error["loc"])
        close = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"known keys here: {', '.join(known)}"
        return f"`{place}` is no key of a study; {hint}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"`{place}`: {message}" if place else message


def _keys_beside(location: Sequence[int | str]) -> list[str]:
    model: type[BaseModel] = Study
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return []
        model = field.annotation
    return [key for key in model.model_fields if key not in {"name", "folder"}]


assert all(split in SplitsSection.model_fields for split in SPLITS)
