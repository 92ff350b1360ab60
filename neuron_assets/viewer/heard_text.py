"""A text of a visitor's, as the neurons of a study's subject hear it.

Here: from a text to what fires in it, with what the tables say of these neurons; nothing is kept, no excerpt is read.
Not here: the arithmetic (`trying_text.py`), the page (`text_page.py`).
The text is read as an excerpt is in the harvest: by itself, from its first token on, and as far as an excerpt reaches.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from neuron_assets.errors import TableError
from neuron_assets.lineage import lineages
from neuron_assets.method.records import NeuronId
from neuron_assets.subject_files import forward_notes
from neuron_assets.viewer.shelf import OpenStudy
from neuron_assets.viewer.subject_room import SubjectRoom
from neuron_assets.viewer.told_neurons import Told, explained_of_layer, told_of_layer
from neuron_assets.viewer.trying_text import LayerFired, layer_fired, together

if TYPE_CHECKING:
    import torch

PER_TOKEN, IN_ALL = 4, 12
"""How many neurons are listed for each token, and for the whole text."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for in a text."""

    layers: Sequence[int]
    """Those whose neurons are listed."""
    follow: NeuronId | None = None
    explained: bool = False
    """Whether only neurons that are explained are listed."""

    @property
    def needed(self) -> set[int]:
        return {*self.layers, *([self.follow.layer_index] if self.follow else [])}


@dataclass(frozen=True, slots=True)
class Followed:
    """What one neuron does in the text."""

    neuron: NeuronId
    activations: tuple[float, ...]
    """By token; raw."""
    maximum: float | None
    """Of the neuron over `train`; None where the statistics of its layer do not stand."""

    @property
    def peak(self) -> float:
        return max(self.activations)


@dataclass(frozen=True, slots=True)
class HeardText:
    """What came of a text."""

    tokens: tuple[str, ...]
    """Those that were read; none where the subject has none for the text."""
    n_tokens: int
    """Of the whole text."""
    fired: LayerFired
    told: Mapping[NeuronId, Told]
    """Of the neurons that are listed or followed; those that were not explained are not in it."""
    followed: Followed | None
    problems: tuple[str, ...]
    """What is left out, and why."""


@dataclass(frozen=True, slots=True)
class _Listener:
    """Takes in one layer after the other, and keeps what is shown."""

    wanted: Wanted
    maxima: Mapping[int, Float[np.ndarray, " unit"]]
    listed: Mapping[int, Bool[np.ndarray, " unit"]]
    """By layer, which units may be listed."""
    parts: list[LayerFired] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    """Of the neuron that is followed, by token."""
    problems: list[str] = field(default_factory=list)

    def receive(self, layer_index: int, lent: "Float[torch.Tensor, 'excerpt token unit']") -> None:
        activations = lent[0].float().cpu().numpy()
        follow = self.wanted.follow
        if follow is not None and layer_index == follow.layer_index:
            self._follow(follow, activations[:, follow.neuron_index])
        if layer_index in self.listed:
            maxima = np.where(self.listed[layer_index], self.maxima[layer_index], 0)
            part = layer_fired(layer_index, activations, maxima, per_token=PER_TOKEN, in_all=IN_ALL)
            self.parts.append(part)
            if part.n_not_finite:
                self.problems.append(f"{part.n_not_finite} neurons of L{layer_index} are NaN or infinite on this text.")

    def followed(self) -> Followed | None:
        if self.wanted.follow is None or not self.own:
            return None
        neuron = self.wanted.follow
        maxima = self.maxima.get(neuron.layer_index)
        return Followed(neuron, tuple(self.own), None if maxima is None else float(maxima[neuron.neuron_index]))

    def _follow(self, neuron: NeuronId, activations: Float[np.ndarray, " token"]) -> None:
        if np.isfinite(activations).all():
            self.own.extend(activations.tolist())
        else:
            self.problems.append(f"{neuron} is NaN or infinite on this text, and is not drawn.")


def hear(study: OpenStudy, room: SubjectRoom, text: str, wanted: Wanted) -> HeardText:
    """Runs the subject on the text; raises SubjectError."""
    maxima, problems = _maxima(study, wanted.needed)
    listed, unlisted = _listed(study, maxima, wanted)
    listener = _Listener(wanted, maxima, listed)
    layers = sorted(wanted.needed & {*listed, *([wanted.follow.layer_index] if wanted.follow else [])})
    with room.lent(study.study) as subject:
        token_ids = subject.tokenize(text)
        read = token_ids[: study.study.corpus.excerpt_length]
        if read and layers:
            subject.run(np.array([read]), layers, listener.receive)
        tokens = tuple(subject.token_strings(read))
    fired = together(listener.parts, per_token=PER_TOKEN, in_all=IN_ALL)
    neurons = {one.neuron for row in (*fired.by_token, fired.peaks) for one in row}
    told, untold = _told(study, neurons | ({wanted.follow} if wanted.follow else set()))
    problems = [*problems, *unlisted, *listener.problems, *untold]
    return HeardText(tokens, len(token_ids), fired, told, listener.followed(), tuple(dict.fromkeys(problems)))


def _listed(
    study: OpenStudy, maxima: Mapping[int, Float[np.ndarray, " unit"]], wanted: Wanted
) -> tuple[dict[int, Bool[np.ndarray, " unit"]], list[str]]:
    """Which units of these layers may be listed; and what is wrong with the layers that are missing."""
    found: dict[int, Bool[np.ndarray, " unit"]] = {}
    problems = []
    for layer_index in sorted(maxima.keys() & set(wanted.layers)):
        found[layer_index] = np.full(len(maxima[layer_index]), fill_value=True)
        if wanted.explained:
            try:
                explained = explained_of_layer(study, layer_index)
                found[layer_index] = np.isin(np.arange(len(maxima[layer_index])), explained)
            except TableError as error:
                del found[layer_index]
                problems.append(f"Explanations of layer {layer_index} are left out: {error}")
    return found, problems


def _maxima(study: OpenStudy, layers: Iterable[int]) -> tuple[dict[int, Float[np.ndarray, " unit"]], list[str]]:
    """By layer, of all its units; and what is wrong with the layers that are missing. Raises SubjectError."""
    lineage, notes = lineages(study.study)["neuron_statistics"], forward_notes(study.study)
    found: dict[int, Float[np.ndarray, " unit"]] = {}
    problems, missing = [], []
    for layer_index in sorted(layers):
        path = study.store.path(study.name, "neuron_statistics", study.key(layer_index))
        try:
            table = study.layer("neuron_statistics", layer_index, ["neuron_index", "maximum"])
            if table is None:
                missing.append(layer_index)
                continue
            facts = study.store.current_facts(path, lineage)
        except TableError as error:
            problems.append(f"Layer {layer_index} is left out: {error}")
            continue
        if table.height != study.study.n_units or notes.items() - facts.notes.items():
            reason = "its maxima are of other weights or units than the subject has now"
            problems.append(f"Layer {layer_index} is left out: {reason}. {_command(study, [layer_index])}")
            continue
        found[layer_index] = table.sort("neuron_index")["maximum"].to_numpy()
    if missing:
        named = ", ".join(map(str, missing))
        problems.append(f"Not harvested yet, so left out: layers {named}. {_command(study, missing)}")
    return found, problems


def _told(study: OpenStudy, neurons: Iterable[NeuronId]) -> tuple[dict[NeuronId, Told], list[str]]:
    by_layer: dict[int, list[int]] = {}
    for neuron in sorted(neurons):
        by_layer.setdefault(neuron.layer_index, []).append(neuron.neuron_index)
    found: dict[NeuronId, Told] = {}
    problems = []
    for layer_index, neuron_indices in by_layer.items():
        try:
            lines = told_of_layer(study, layer_index, neuron_indices)
        except TableError as error:
            problems.append(f"Explanations of layer {layer_index} are left out: {error}")
            continue
        found.update({NeuronId(layer_index, index): line for index, line in lines.items()})
    return found, problems


def _command(study: OpenStudy, layers: Sequence[int]) -> str:
    return f"Run: neuron-assets materialize {study.name} --layers {','.join(map(str, layers))}"
