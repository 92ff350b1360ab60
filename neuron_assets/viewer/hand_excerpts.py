"""Excerpts that a person simulated, token by token: what the neuron did, the person's marks, the model's simulation.

Here: laying the three beside each other, as heat-maps. Not here: which simulations count, and scores
(`tables/hand_simulated.py`), the page (`simulate_page.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from neuron_assets.method.labels import HandSimulation, counted, known_as
from neuron_assets.tables.hand_simulated import PersonsSimulation
from neuron_assets.viewer.excerpts import HeatToken, heat_tokens, strongest
from neuron_assets.viewer.given import labels_of
from neuron_assets.viewer.neuron import Desk, see_neuron
from neuron_assets.viewer.neuron_excerpts import Excerpt, see_excerpts


@dataclass(frozen=True, slots=True)
class DoneExcerpt:
    """One that a person simulated; the colours of the neuron's own are as on its page."""

    document: str
    neuron: tuple[HeatToken, ...]
    person: tuple[HeatToken, ...]
    """By `guess`."""
    model: tuple[HeatToken, ...] | None
    """By `guess`; None where the model did not simulate it."""


def done_excerpts(desk: Desk, result: PersonsSimulation) -> tuple[DoneExcerpt, ...]:
    """All that are scored in `result`, the one simulated last first."""
    read = next((each for each in see_neuron(desk).candidates if each.number == result.candidate), None)
    seen = see_excerpts(desk, "valid", read).excerpts
    there = {each.excerpt_index: each for each in seen}
    largest = strongest([each.activations for each in seen])
    whose = known_as(result.person), result.explanation
    made = counted(labels_of(desk).of(HandSimulation))
    marks = {one.excerpt.tokens: one.values for one in made if (one.by, one.text) == whose}
    scored = (there[index] for index in reversed(result.excerpt_indices) if index in there)
    return tuple(
        DoneExcerpt(
            each.document,
            neuron=_drawn(each, largest),
            person=_drawn(each, largest, marks[each.tokens]),
            model=_drawn(each, largest, each.simulated) if each.simulated else None,
        )
        for each in scored
        if each.tokens in marks
    )


def _drawn(excerpt: Excerpt, largest: float, simulated: Sequence[float] | None = None) -> tuple[HeatToken, ...]:
    return heat_tokens(excerpt.tokens, excerpt.activations, largest, simulated)
