"""The sections of a study file, each with its defaults and its bounds.

Here: what may be written under each key. Not here: the study as a whole, and reading it (`study.py`).
"""

import re
import zoneinfo
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from neuron_assets.method.calibrated_scores import CALIBRATED_METRICS
from neuron_assets.method.calibration import CalibrationKind
from neuron_assets.method.judging.cases import Scorer as JudgedScorer
from neuron_assets.method.judging.choosing import DETECTION, FUZZING, ChoicePlan
from neuron_assets.method.judging.measuring import JUDGED_METRICS
from neuron_assets.method.natural_rate import NATURAL_RATE_METRICS
from neuron_assets.method.records import SPLITS, Split
from neuron_assets.method.samples import SAMPLES, Sample

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""A study's name is a folder, an asset group and a key prefix."""

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0)]
Indices = Annotated[tuple[Annotated[int, Field(ge=0, strict=True)], ...], Field(min_length=1)]


def parse_layers(text: str) -> tuple[int, ...]:
    """Reads `0-5`, `3` or `0,2,7-9`; raises ValueError on anything else."""
    layers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*[Ll]?([0-9]{1,4})(?:\s*-\s*[Ll]?([0-9]{1,4}))?\s*", part)
        if match is None or (match[2] is not None and int(match[2]) < int(match[1])):
            raise ValueError(f"{part.strip()!r} is no layer or range of layers; write 0-5, or 0,2,7-9")
        layers.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(sorted(layers))


def _read_layers(value: object) -> object:
    """`0-5` is written for [0, 1, 2, 3, 4, 5]."""
    return parse_layers(value) if isinstance(value, str) and value != "all" else value


Layers = Annotated[Literal["all"] | Indices, BeforeValidator(_read_layers)]

OtherStudies = Annotated[
    tuple[Annotated[str, Field(pattern=f"^{NAME.pattern}$")], ...],
    AfterValidator(lambda names: tuple(dict.fromkeys(names))),
]
"""By name, each once."""

Scorer = Literal[
    "simulation",
    "calibrated",
    "natural_rate",
    "ablation",
    "detection",
    "fuzzing",
    "embedding",
    "unigram_lookup",
    "bigram_lookup",
]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def provided_by(default: str) -> BeforeValidator:
    """Of a section whose keys depend on its provider: that may stand alone, and need not be named."""

    def in_full(value: object) -> object:
        if isinstance(value, str):
            return {"provider": value}
        return {"provider": default, **value} if isinstance(value, dict) else value

    return BeforeValidator(in_full)


class SplitSection(Section):
    """How many excerpts a neuron keeps of one pool."""

    top: Annotated[int, Field(ge=0)] = 10
    random: Annotated[int, Field(ge=0)] = 10


class SplitsSection(Section):
    """Four pools of documents; no document is in two of them."""

    fewest_documents: Count = 40
    train: SplitSection = SplitSection(top=50, random=150)
    calibration: SplitSection = SplitSection()
    valid: SplitSection = SplitSection()
    test: SplitSection = SplitSection()
    natural: Annotated[int, Field(ge=0)] = 200
    """Excerpts of `valid` as they come, the same for all neurons; all there are, where the pool holds fewer."""

    @model_validator(mode="after")
    def _there_is_something_to_show_and_to_score(self) -> "SplitsSection":
        if self.train.top + self.train.random == 0 or self.valid.top + self.valid.random == 0:
            raise ValueError("`train` and `valid` must keep at least one excerpt a neuron")
        return self

    def of(self, split: Split) -> SplitSection:
        section: SplitSection = getattr(self, split)
        return section


class ActivationsSection(Section):
    """What is kept of the one pass."""

    stored_as: Literal["float16", "float32"] = "float16"
    """Ranking is always done in float32."""
    seed: Seed = 0
    """Of the random excerpts and of the token sample."""
    sampled_tokens: Annotated[int, Field(ge=16)] = 2048
    """Tokens from which skewness, kurtosis, quantiles and the share of active tokens are estimated."""
    active_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Active: an activation above this share of the neuron's maximum over `train`."""
    output_side: bool = True
    """Whether the tokens are kept that each neuron makes the model say, where there are neurons and a head."""


class SampledNeurons(Section):
    """A seeded choice of so many neurons of each layer."""

    per_layer: Count
    seed: Seed = 0


class ScoringSection(Section):
    """How simulations are judged, on the `valid` pool."""

    top: Annotated[int, Field(ge=1)] = 5
    """Top excerpts in top-and-random; random-only takes all random excerpts that are kept."""
    random: Annotated[int, Field(ge=1)] = 5
    calibration: CalibrationKind = "linear"
    """How simulations are brought to the neuron's unit, fitted on `calibration`."""
    draws: Annotated[int, Field(ge=100)] = 1000
    """Of the bootstrap."""
    seed: Seed = 0
    choosing_seed: Seed = 0
    """Of the two halves of `calibration`: counterexamples come from the one, candidates are chosen on the other."""
    scorers: Annotated[tuple[Scorer, ...], Field(min_length=1)] = ("simulation", "unigram_lookup", "bigram_lookup")
    """What is scored: the simulation of an explanation, also once calibrated and on text as it comes, which take more
    simulations; verdicts on excerpts, of whom `judge` names; and lookups, the bar that it must clear."""

    @field_validator("scorers")
    @classmethod
    def _the_explanations_are_scored(cls, scorers: tuple[Scorer, ...]) -> tuple[Scorer, ...]:
        if "simulation" not in scorers:
            raise ValueError("`simulation` must be among them: it is what scores an explanation")
        return scorers

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Of excerpts, that simulations and lookups are scored on."""
        return tuple(sample for sample in SAMPLES if sample != "natural_rate" or self.at_natural_rate)

    @property
    def metrics(self) -> Mapping[Sample, tuple[str, ...]]:
        """What is measured beside the correlation, by sample."""
        calibrated = CALIBRATED_METRICS if "calibrated" in self.scorers else ()
        at_natural_rate = {"natural_rate": NATURAL_RATE_METRICS} if self.at_natural_rate else {}
        return {sample: (*calibrated, *at_natural_rate.get(sample, ())) for sample in self.samples}

    @property
    def at_natural_rate(self) -> bool:
        return "natural_rate" in self.scorers

    @property
    def judged(self) -> tuple[JudgedScorer, ...]:
        """The scorers that hold explanations against chosen excerpts."""
        return tuple(scorer for scorer in JUDGED_METRICS if scorer in self.scorers)

    @property
    def asks_judge(self) -> bool:
        """Whether one of them asks a judge; similarity is told by the study's `encoder`."""
        return bool({"detection", "fuzzing"}.intersection(self.scorers))

    @property
    def embeds(self) -> bool:
        return "embedding" in self.scorers

    @property
    def calibrates(self) -> bool:
        """Whether anything is fitted on `calibration`."""
        return self.at_natural_rate or self.ablates or "calibrated" in self.scorers

    @property
    def ablates(self) -> bool:
        """Whether simulations are put in the place of their neurons."""
        return "ablation" in self.scorers


class DetectionSection(Section):
    """How many excerpts of each kind are judged for detection; where there are too few, fewer are."""

    active: Annotated[int, Field(ge=1)] = DETECTION.n_active
    plain: Annotated[int, Field(ge=0)] = DETECTION.n_plain
    """Silent ones that were drawn without looking, without a top token of the neuron."""
    hard: Annotated[int, Field(ge=0)] = DETECTION.n_hard
    """Silent ones with such a token."""


class FuzzingSection(Section):
    """The same for fuzzing, which marks tokens."""

    active: Annotated[int, Field(ge=1)] = FUZZING.n_active
    plain: Annotated[int, Field(ge=0)] = FUZZING.n_plain
    hard: Annotated[int, Field(ge=0)] = FUZZING.n_hard
    beside: Annotated[int, Field(ge=0)] = FUZZING.n_beside
    """Active ones in which other tokens than the active ones are marked."""
    most_marked: Annotated[int, Field(ge=1)] = FUZZING.most_marked
    """Tokens that are marked in an excerpt."""


class JudgingSection(Section):
    """Which excerpts of `valid` are judged."""

    active_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Of the neuron's maximum over `train`: an excerpt with a token above it is active. Above a tenth most are."""
    detection: DetectionSection = DetectionSection()
    fuzzing: FuzzingSection = FuzzingSection()
    seed: Seed = 0

    def plan(self, scorer: JudgedScorer) -> ChoicePlan:
        chosen = self.fuzzing if scorer == "fuzzing" else self.detection
        numbers = {name if name == "most_marked" else f"n_{name}": number for name, number in chosen}
        return ChoicePlan(**numbers, seed=self.seed)


class RevisionSection(Section):
    """Whether explanations are revised in the light of where they went wrong."""

    rounds: Annotated[int, Field(ge=0, le=10)] = 0
    """Each revises what the one before it gave; 0: none."""
    counterexamples: Annotated[int, Field(ge=1, le=50)] = 6
    """The most that a round rests on."""


class MeaningsSection(Section):
    """Whether neurons are also explained by lists, an entry for each group of top excerpts in which the same fires."""

    most: Annotated[int, Field(ge=1, le=6)] = 1
    """Entries of the longest list; 1: no list."""
    fewest_excerpts: Count = 3
    """Top excerpts of `train` that a meaning rests on; a list with fewer in an entry is not made."""


class ControlsSection(Section):
    """What an honest report shows beside the result."""

    shuffled: bool = True
    """Each explanation is also scored on another neuron of its layer."""
    over_broad: bool = True
    """A text that says far too much is scored on every neuron."""
    seed: Seed = 0
    untrained: Annotated[str, Field(pattern=f"^{NAME.pattern}$")] | None = None
    """The name of a study of the same subject with random weights."""


class RefreshSection(Section):
    """When it is looked who explains and simulates now, and layers that others made are made again."""

    cron: str = "0 3 * * *"
    """Minute, hour, day, month, day of the week."""
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _the_timezone_is_known(cls, timezone: str) -> str:
        if timezone not in zoneinfo.available_timezones():
            raise ValueError(f"{timezone!r} is no time zone; write one such as UTC or Europe/Berlin")
        return timezone


class ChecksSection(Section):
    """When a layer's numbers are not to be trusted; changes none of them."""

    most_failures: Share = 0.5
    """Of explanations, and of simulations: with more, nothing is made from the layer's table."""
    most_undefined: Share = 0.5
    """Of the explainer's scores."""
    most_control: Share = 0.1
    """How far from zero the mean score of shuffled explanations may be, beyond its doubt."""
    most_drop: Share = 0.1
    """How much lower the mean score may be than when the layer was last made."""


assert all(split in SplitsSection.model_fields for split in SPLITS)
