"""What is said of some neurons in one line: the explanation that stands, and its score.

Here: reading these of many neurons at once. Not here: which score stands (`scored.py`), all that is known of one neuron
(`neuron.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from neuron_assets.tables.explained import is_explained, of_study
from neuron_assets.viewer.scored import explanations_of, layer_scores, texts_are_those_scored
from neuron_assets.viewer.shelf import OpenStudy


@dataclass(frozen=True, slots=True)
class Told:
    """One neuron's line."""

    explanation: str | None
    failure: str | None
    """Why there is none."""
    score: float | None
    """Top-and-random, of this explanation; None where it is undefined or not scored yet."""


def told_of_layer(study: OpenStudy, layer_index: int, neuron_indices: Sequence[int]) -> dict[int, Told]:
    """By neuron index; neurons that were not explained are left out.

    Raises UnreadableTable, or ChangedInput where the texts are of other activations than are there now.
    """
    texts = explanations_of(study, layer_index, neuron_indices)
    if texts is None:
        return {}
    scores = layer_scores(study, layer_index)
    stands: dict[int, tuple[int, float | None]] = {}
    if scores is not None and texts_are_those_scored(study, layer_index):
        rows = scores.of_sample("top_and_random").select("neuron_index", "candidate", "ev_correlation")
        stands = {neuron_index: (candidate, score) for neuron_index, candidate, score in rows.iter_rows()}
    found: dict[int, Told] = {}
    for row in texts.filter(of_study()).sort("candidate").to_dicts():
        candidate, score = stands.get(row["neuron_index"], (row["candidate"], None))
        if row["candidate"] == candidate:
            found.setdefault(row["neuron_index"], Told(row["explanation"], row["failure"], score))
    return found


def explained_of_layer(study: OpenStudy, layer_index: int) -> list[int]:
    """Indices of the neurons that have an explanation of the study's own; raises UnreadableTable or ChangedInput."""
    own = study.layer("candidates", layer_index, ["neuron_index"], is_explained())
    return [] if own is None else own["neuron_index"].unique().sort().to_list()
