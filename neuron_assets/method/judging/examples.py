"""Worked examples for prompts to judges: invented neurons, and the right answers on invented excerpts.

They show that an explanation may be met in meaning without its words, and not met where its words are.

Here: the examples, in one order for all prompts. Not here: how prompts show them (`asking.py`).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ShownExcerpt:
    """An excerpt as a judge is shown it."""

    tokens: tuple[str, ...]
    marked: frozenset[int] = frozenset()
    """Places of marked tokens; used by fuzzing alone."""


@dataclass(frozen=True, slots=True)
class JudgedExample:
    """An excerpt with the right answers, which differ: fuzzing asks about the marked tokens only."""

    excerpt: ShownExcerpt
    detection: int
    """Percent: how likely the neuron is active anywhere in it."""
    fuzzing: int
    """Percent: how likely it is active on each marked token."""


@dataclass(frozen=True, slots=True)
class JudgedNeuron:
    explanation: str
    examples: tuple[JudgedExample, ...]


def _example(text: str, detection: int, fuzzing: int) -> JudgedExample:
    """Tokens stand between bars; those that begin with a star (before any space) are marked."""
    pieces = text.split("|")
    marked = frozenset(place for place, piece in enumerate(pieces) if piece.startswith("*"))
    tokens = tuple(piece.removeprefix("*") for piece in pieces)
    return JudgedExample(ShownExcerpt(tokens, marked), detection, fuzzing)


JUDGED_NEURONS: tuple[JudgedNeuron, ...] = (
    JudgedNeuron(
        "water that moves: rivers, waves, rain, things that pour",
        (
            _example("They| reached| the|* ford| after| dark|,| and| the|* current| took| the| mule|.", 97, 95),
            _example("A|* glass| of| milk|* stood| on| the| desk|;| outside| it| drizzled| on| roofs|.", 85, 4),
            _example("The|* minutes| of| the| meeting| were| read|,| and| nobody|* asked| anything|.", 2, 1),
        ),
    ),
    JudgedNeuron(
        "a number that is compared with another one, not one that is assigned or counted",
        (
            _example("rows| =|* 40|\n|for| page| in| range|(|*12|):|\n|    show|(|page|)", 3, 2),
            _example("if| age| >=|* 18| and| height| <|* 140|:|\n|    admit|(|guest|)", 98, 97),
            _example("*limit| =| 7|\n|while| n| !=| 3|:|\n|    n| =|* step|(|n|)", 90, 3),
        ),
    ),
)
