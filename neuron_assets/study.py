"""The study: one YAML file that says what is explained, with what, and how it is scored.

Here: its frozen, validated form, and the only code that parses a study file. Not here: where studies lie
(`project.py`), what a change of a field makes stale (`lineage.py`).
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from neuron_assets.asking_sections import AskingSection, BudgetSection, PriceSection
from neuron_assets.corpus_sections import Corpus, StandardLibrary
from neuron_assets.errors import InvalidStudy, LayerOutOfRange, LayerWithoutUnits, NeuronOutOfRange
from neuron_assets.judge_sections import EncoderSection, Judge, SimulationJudge
from neuron_assets.method.excerpts import CutPlan
from neuron_assets.method.records import NeuronId
from neuron_assets.model_sections import AskedExplainer, Explainer, RulesExplainer, RulesSimulator, Simulator
from neuron_assets.sections import (
    NAME,
    ActivationsSection,
    ChecksSection,
    ControlsSection,
    Indices,
    JudgingSection,
    Layers,
    MeaningsSection,
    OtherStudies,
    RefreshSection,
    RevisionSection,
    SampledNeurons,
    ScoringSection,
    Section,
    SplitsSection,
)
from neuron_assets.study_problems import in_words
from neuron_assets.subject_sections import Subject, written_in_full
from neuron_assets.unit_sections import NeuronUnits, Units, UnitSizes
from neuron_assets.yaml_files import read_yaml


class Study(Section):
    """Everything that can change an answer."""

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    folder: Path
    """Where the study file lies; the files that it names are relative to it."""
    description: str = ""
    owners: tuple[Annotated[str, Field(pattern=r"^(team:[\w-]+|[^@\s]+@[^@\s]+)$")], ...] = ("team:neuron_assets",)
    """Of the assets, in the Dagster UI: an e-mail address, or team:NAME."""
    subject: Subject
    units: Units = NeuronUnits()
    corpus: Corpus = StandardLibrary()
    layers: Layers = "all"
    neurons: Literal["all"] | SampledNeurons | Indices = "all"
    splits: SplitsSection = SplitsSection()
    activations: ActivationsSection = ActivationsSection()
    explainer: Explainer = RulesExplainer()
    simulator: Simulator = RulesSimulator()
    asking: AskingSection = AskingSection()
    budget: BudgetSection = BudgetSection()
    prices: Mapping[str, PriceSection] = {}
    """By a model's name, as above or as its server tells it; they go before the list that is shipped."""
    scoring: ScoringSection = ScoringSection()
    judge: Judge = SimulationJudge()
    encoder: EncoderSection | None = None
    judging: JudgingSection = JudgingSection()
    revision: RevisionSection = RevisionSection()
    meanings: MeaningsSection = MeaningsSection()
    controls: ControlsSection = ControlsSection()
    compare_with: OtherStudies = ()
    checks: ChecksSection = ChecksSection()
    refresh: RefreshSection = RefreshSection()

    @model_validator(mode="before")
    @classmethod
    def _the_subject_is_written_in_full(cls, content: object) -> object:
        if not isinstance(content, dict) or "subject" not in content:
            return content
        return {**content, "subject": written_in_full(content["subject"], Path(content.get("folder", ".")))}

    @model_validator(mode="after")
    def _sizes_agree(self) -> "Study":
        known, label = self.subject.known_size(self.folder), self.subject.label
        if known is not None and (known.n_layers, known.n_neurons) != (self.subject.n_layers, self.subject.n_neurons):
            raise ValueError(
                f"subject: {label} has {known.n_layers} layers of {known.n_neurons} neurons, "
                f"the study says {self.subject.n_layers} of {self.subject.n_neurons}; "
                "take `n_layers` and `n_neurons` out, or name the subject that has them"
            )
        longest = known.longest_excerpt if known is not None else None
        if longest is not None and self.corpus.excerpt_length > longest:
            raise ValueError(
                f"corpus.excerpt_length: {label} reads {longest} tokens at most, not {self.corpus.excerpt_length}"
            )
        if self.explainer.provider == "planted" != self.subject.provider:
            raise ValueError("explainer: `planted` explains the subject `planted` only")
        if self.subject.provider == "planted" and not isinstance(self.units, NeuronUnits):
            raise ValueError("units: the subject `planted` has no inner place to be heard at, only neurons")
        valid = self.splits.valid
        if self.scoring.top > valid.top or self.scoring.random > valid.random:
            raise ValueError("scoring: `top` and `random` cannot exceed what `splits.valid` keeps")
        return self

    @model_validator(mode="after")
    def _what_is_needed_is_kept(self) -> "Study":
        for scorer in {"natural_rate", "detection", "embedding"}.intersection(self.scoring.scorers):
            if self.splits.natural == 0:
                raise ValueError(f"scoring.scorers: `{scorer}` needs excerpts; `splits.natural` must be 1 or more")
        if self.shown_output_side and not self.activations.output_side:
            raise ValueError("explainer.shown_output_side: `activations.output_side` is off, so nothing is kept of it")
        if self.scoring.embeds and self.encoder is None:
            raise ValueError("scoring.scorers: `embedding` needs a model; name a local one under `encoder.model`")
        if self.simulates_calibration and self.splits.calibration.top + self.splits.calibration.random == 0:
            raise ValueError("splits.calibration: what is calibrated, or chosen between, needs excerpts in it")
        return self

    @model_validator(mode="after")
    def _who_explains_can_revise_and_list(self) -> "Study":
        if self.revises and not isinstance(self.explainer, RulesExplainer | AskedExplainer):
            raise ValueError(
                f"revision.rounds: the explainer {self.explainer.provider} cannot revise; `rules` and models can"
            )
        if self.revises_by_asking and self.revision.counterexamples % 2:
            raise ValueError("revision.counterexamples: a model writes as many of either kind; write an even number")
        n_seen = 0 if self.explainer.provider in {"written", "planted"} else getattr(self.explainer, "shown_top", 1)
        if self.lists_meanings and n_seen == 0:
            raise ValueError("meanings.most: the explainer must see top excerpts (`shown_top`), which are parted")
        return self

    @model_validator(mode="after")
    def _it_is_compared_with_others(self) -> "Study":
        if self.name in self.compare_with:
            raise ValueError("compare_with: a study has nothing to be compared with in itself; name others")
        return self

    @model_validator(mode="after")
    def _batches_are_of_chats(self) -> "Study":
        if self.asking.mode == "direct":
            return self
        models = {"explainer": self.explainer, "simulator": self.simulator}
        for role, model in (models | ({"judge": self.judge} if self.scoring.asks_judge else {})).items():
            if role != "simulator" and model.provider == "local":
                raise ValueError(f"asking: `mode: batch` is for models of servers, and the {role} is a local one")
            if getattr(model, "method", None) == "logprobs":
                raise ValueError(f"asking: `mode: batch` echoes no prompts; write `method: json` for the {role}")
        return self

    @cached_property
    def _unit_sizes(self) -> UnitSizes:
        """Raises UnusableUnits or UnknownAutoencoder, where the files of the units are not as they should be."""
        return self.units.sizes(self.folder, self.subject.n_layers, self.subject.n_neurons)

    @property
    def subject_label(self) -> str:
        """Whose numbers these are: the subject model, and what is looked at in it where that is not its neurons."""
        units = "" if self.units == NeuronUnits() else f", {self.units.label}"
        return f"{self.subject.label}{units}"

    @property
    def n_units(self) -> int:
        """Units of one layer: rows of the tables are numbered by these."""
        return self._unit_sizes.n_units

    @property
    def layer_indices(self) -> tuple[int, ...]:
        """Ascending, each checked against the subject's size and its units; `all` are those that have units."""
        layers = self._unit_sizes.layers if self.layers == "all" else sorted(set(self.layers))
        for layer_index in layers:
            self.check_layer(layer_index)
        return tuple(layers)

    def check_layer(self, layer_index: int) -> None:
        """Raises LayerOutOfRange or LayerWithoutUnits."""
        if not 0 <= layer_index < self.subject.n_layers:
            raise LayerOutOfRange(layer_index, self.subject.n_layers, self.subject.label)
        if layer_index not in self._unit_sizes.layers:
            raise LayerWithoutUnits(layer_index, self._unit_sizes.place, self._unit_sizes.layers)

    def check_neuron(self, neuron: NeuronId) -> None:
        """Raises LayerOutOfRange, LayerWithoutUnits or NeuronOutOfRange."""
        self.check_layer(neuron.layer_index)
        if neuron.neuron_index >= self.n_units:
            raise NeuronOutOfRange(str(neuron), self.n_units, self.subject.label)

    def read_neuron(self, text: str) -> NeuronId:
        """As NeuronId.parse; in a study of both signs `L5N131-` is the negative side of L5N131.

        Raises ValueError, or what check_neuron raises.
        """
        negative = text.rstrip().endswith("-")
        if negative and not self.units.signed:
            raise ValueError(f"{text!r} is a negative side, and the study has no `signed: true` under `units`")
        neuron = NeuronId.parse(text.rstrip().removesuffix("-"))
        self.check_neuron(neuron)
        return self._turned(neuron) if negative else neuron

    def unit_name(self, neuron: NeuronId) -> str:
        """What people read: `L5N899, the negative side of L5N131`, or `L5N131` alone."""
        if not self.units.signed or neuron.neuron_index < self.n_units // 2:
            return str(neuron)
        return f"{neuron}, the negative side of {self._turned(neuron)}"

    def _turned(self, neuron: NeuronId) -> NeuronId:
        """The other sign of it."""
        return NeuronId(neuron.layer_index, (neuron.neuron_index + self.n_units // 2) % self.n_units)

    def neuron_indices(self, layer_index: int, asked: int | Literal["all"] | None = None) -> tuple[int, ...]:
        """The neurons of a layer to explain, ascending; `asked` overrules the study: a number of them, or all.

        A smaller seeded choice is part of every larger one of the same seed.
        """
        n_neurons = self.n_units
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
    def chooses(self) -> bool:
        """Whether a neuron has several candidates, of which the best is chosen on `calibration`."""
        return self.revises or self.lists_meanings or getattr(self.explainer, "samples", 1) > 1

    @property
    def revises(self) -> bool:
        return self.revision.rounds > 0

    @property
    def shown_output_side(self) -> int:
        """How many tokens that a neuron makes the model say its explainer is told; a language model only."""
        return self.explainer.shown_output_side if isinstance(self.explainer, AskedExplainer) else 0

    @property
    def revises_by_asking(self) -> bool:
        """Whether a language model revises: it writes sentences, and the subject is run on them."""
        return self.revises and isinstance(self.explainer, AskedExplainer)

    @property
    def lists_meanings(self) -> bool:
        return self.meanings.most > 1

    @property
    def n_further(self) -> int:
        """Candidates of a neuron that come after its first explanations: revised ones, and lists."""
        return self.revision.rounds + self.meanings.most - 1

    @property
    def simulates_calibration(self) -> bool:
        """Whether candidates are simulated on `calibration`, too: something is fitted there, or they are chosen."""
        return self.scoring.calibrates or self.chooses

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
        return self.explainer.identity(self.folder)

    @property
    def simulator_identity(self) -> str:
        return self.simulator.identity(self.folder)

    @property
    def judge_identity(self) -> str:
        return self.judge.identity(self.folder)


def read_study(path: Path) -> Study:
    """The study in `path`, named after its folder; raises UnreadableStudy or InvalidStudy, naming each wrong key."""
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InvalidStudy(path, ["the file must hold keys and values, like `layers: all`"])
    if {"name", "folder"} & set(content):
        raise InvalidStudy(path, ["a study is named after its folder: remove `name` and `folder`"])
    try:
        study = Study.model_validate({**content, "name": path.parent.name, "folder": path.parent})
        _ = study.neuron_indices(study.layer_indices[0])
    except ValidationError as error:
        raise InvalidStudy(path, [in_words(dict(problem), Study) for problem in error.errors()]) from error
    return study
