"""A text of a visitor's, as the neurons of a study's subject hear it.

Here: from a text to what fires in it, with what the tables say of these neurons; nothing is kept, and nothing is read of
any excerpt. Not here: the arithmetic (`trying_text.py`), the page (`text_page.py`).
The text is read as an excerpt is in the harvest: by itself, from its first token on, and as far as an excerpt reaches.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from neuron_assets.errors import TableError
from neuron_assets.lineage import lineages
from neuron_assets.method.records import NeuronId
from neuron_assets.subject_files import forward_notes
from neuron_assets.viewer.shelf import OpenStudy
from neuron_assets.viewer.subject_room import SubjectRoom
from neuron_assets.viewer.told_neurons import Told, told_of_layer
from neuron_assets.viewer.trying_text import LayerFired, layer_fired, together

if TYPE_CHECKING:
    import torch

PER_TOKEN, IN_ALL = 4, 12
"""How many neurons are listed for each token, and for the whole text."""


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


def hear(
    study: OpenStudy, room: SubjectRoom, text: str, layers: Sequence[int], follow: NeuronId | None = None
) -> HeardText:
    """Runs the subject on the text; `layers` are those whose neurons are listed. Raises SubjectError."""
    maxima, problems = _maxima(study, {*layers, *([follow.layer_index] if follow else [])})
    wanted = sorted({*maxima.keys() & set(layers), *([follow.layer_index] if follow else [])})
    parts: list[LayerFired] = []
    own: list[float] = []

    def receive(layer_index: int, lent: "Float[torch.Tensor, 'excerpt token unit']") -> None:
        activations = lent[0].float().cpu().numpy()
        if follow is not None and layer_index == follow.layer_index:
            own.extend(activations[:, follow.neuron_index].tolist())
        if layer_index in maxima and layer_index in layers:
            part = layer_fired(layer_index, activations, maxima[layer_index], per_token=PER_TOKEN, in_all=IN_ALL)
            parts.append(part)
            if part.n_not_finite:
                problems.append(f"{part.n_not_finite} neurons of layer {layer_index} are NaN or infinite on this text.")

    with room.lent(study.study) as subject:
        token_ids = subject.tokenize(text)
        read = token_ids[: study.study.corpus.excerpt_length]
        if read and wanted:
            subject.run(np.array([read]), wanted, receive)
        tokens = tuple(subject.token_strings(read))
    fired = together(parts, per_token=PER_TOKEN, in_all=IN_ALL)
    followed = None
    if follow is not None and own:
        of_layer = maxima.get(follow.layer_index)
        followed = Followed(follow, tuple(own), None if of_layer is None else float(of_layer[follow.neuron_index]))
    listed = {one.neuron for row in (*fired.by_token, fired.peaks) for one in row} | ({follow} if follow else set())
    told, untold = _told(study, listed)
    return HeardText(tokens, len(token_ids), fired, told, followed, (*problems, *untold))


def _maxima(
    study: OpenStudy, layers: Iterable[int]
) -> tuple[dict[int, Float[np.ndarray, " unit"]], list[str]]:
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
