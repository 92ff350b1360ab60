"""What people add to a study: explanations of neurons, ratings of explanations, and simulations by hand.

Here: these values, what makes one valid, and which of several counts. Not here: where they are kept
(`tables/label_store.py`), and how a simulation by hand is scored (`hand_simulations.py`).
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from neuron_assets.errors import InvalidLabel
from neuron_assets.method.controls import CONTROLS
from neuron_assets.method.records import LARGEST, NeuronId

HUMAN = "human:"
"""What the author of a person's explanation and the simulator of a simulation by hand begin with."""

LONGEST_NAME, LONGEST_TEXT = 40, 2000
"""In characters."""

RATINGS = ("good", "partly", "wrong")

_NAMES_MARKS = " ._-"


def is_human(author: str) -> bool:
    return author.startswith(HUMAN)


def is_of_study(author: str) -> bool:
    """Whether a candidate may stand for its neuron: neither a control nor a person's does."""
    return author not in CONTROLS and not is_human(author)


def tidied(text: str) -> str:
    """As it is kept: composed characters, no white space at the ends, one space for every run of it within."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def known_as(person: str) -> str:
    """What all spellings of a name have in common: `Ann` and `ann` are one person."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", person).casefold())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    person: str
    """A name of 1 to 40 characters: letters of any script, digits, space, `.`, `_`, `-`; as `tidied` leaves it."""
    neuron: NeuronId
    written_at: datetime
    """With its time zone."""
    text: str
    """The explanation that is given, rated, or was read before simulating."""

    @property
    def author(self) -> str:
        return f"{HUMAN}{self.person}"

    @property
    def by(self) -> str:
        """Who it is, however the name was written."""
        return known_as(self.person)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonsExplanation(_Said):
    """What a person says a neuron looks for: 1 to 2,000 characters in one line. Raises InvalidLabel."""

    kind: Literal["explanation"] = "explanation"

    def __post_init__(self) -> None:
        _check_who_and_when(self)
        if self.text != tidied(self.text) or not 1 <= len(self.text) <= LONGEST_TEXT:
            raise InvalidLabel(
                "explanation", f"it must be one line of 1 to {LONGEST_TEXT} characters without spaces at its ends"
            )
        if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in self.text):
            raise InvalidLabel("explanation", "it holds control characters, or half a character")


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonsRating(_Said):
    """How good a person finds an explanation. Raises InvalidLabel."""

    rating: str
    """One of `RATINGS`."""
    kind: Literal["rating"] = "rating"

    def __post_init__(self) -> None:
        _check_who_and_when(self)
        _check_is_text("explanation that is rated", self.text)
        if self.rating not in RATINGS:
            raise InvalidLabel("rating", f"it must be one of {', '.join(RATINGS)}, not {self.rating!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadExcerpt:
    """The excerpt that a person marked, by its content: an index means another one once the corpus is cut anew."""

    excerpts: str
    """Content hash of the table `excerpts`."""
    excerpt_index: int
    document: str
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandSimulation(_Said):
    """What a person who read only an explanation expects on each token of an excerpt. Raises InvalidLabel."""

    excerpt: ReadExcerpt
    values: tuple[int, ...]
    """A whole number 0 to 10 for each token."""
    kind: Literal["simulation"] = "simulation"

    def __post_init__(self) -> None:
        _check_who_and_when(self)
        _check_is_text("explanation that was read", self.text)
        _check_is_text("excerpt", "".join((*self.excerpt.tokens, self.excerpt.document)))
        if not self.values or len(self.values) != len(self.excerpt.tokens):
            raise InvalidLabel("simulation", f"{len(self.values)} values for {len(self.excerpt.tokens)} tokens")
        if not all(isinstance(value, int) and 0 <= value <= LARGEST for value in self.values):
            raise InvalidLabel("simulation", f"every value must be a whole number from 0 to {LARGEST}")


Label = PersonsExplanation | PersonsRating | HandSimulation
AnySaid = TypeVar("AnySaid", bound=_Said)


def check_name(person: str) -> None:
    """Raises InvalidLabel where nobody can be called so."""
    if not 1 <= len(person) <= LONGEST_NAME or person != tidied(person):
        raise InvalidLabel("name", f"it must have 1 to {LONGEST_NAME} characters, and no space at its ends")
    if wrong := sorted({letter for letter in person if not _may_be_in_a_name(letter)}):
        raise InvalidLabel(
            "name", f"letters, digits, space, . _ and - may be in it, not {', '.join(map(ascii, wrong))}"
        )


def counted(simulations: Iterable[HandSimulation]) -> tuple[HandSimulation, ...]:
    """Of each person, neuron and excerpt the first, in the order of time, whatever explanation was read.

    Who simulates an excerpt again has thought about it before, so later ones are kept, and not scored.
    """
    first: dict[object, HandSimulation] = {}
    for one in _by_time(simulations):
        first.setdefault((one.by, one.neuron, one.excerpt.tokens), one)
    return tuple(first.values())


def excerpts_of(person: str, simulations: Iterable[HandSimulation], neuron: NeuronId) -> frozenset[tuple[str, ...]]:
    """The excerpts, by their tokens, that this person has simulated already in this neuron."""
    return frozenset(one.excerpt.tokens for one in simulations if (one.by, one.neuron) == (known_as(person), neuron))


def standing_ratings(ratings: Iterable[PersonsRating]) -> tuple[PersonsRating, ...]:
    """Of each person, neuron and text the last, in the order of time."""
    last = {(one.by, one.neuron, one.text): one for one in _by_time(ratings)}
    return tuple(_by_time(last.values()))


def distinct(explanations: Iterable[PersonsExplanation]) -> tuple[PersonsExplanation, ...]:
    """Of each person, neuron and text the first, by neuron, then in the order of time."""
    first: dict[object, PersonsExplanation] = {}
    for one in _by_time(explanations):
        first.setdefault((one.by, one.neuron, one.text), one)
    return tuple(sorted(first.values(), key=lambda one: one.neuron))


def _by_time(said: Iterable[AnySaid]) -> Sequence[AnySaid]:
    return sorted(said, key=lambda one: one.written_at)


def _check_who_and_when(said: _Said) -> None:
    check_name(said.person)
    if said.written_at.utcoffset() is None:
        raise InvalidLabel("time", "it must tell its time zone")


def _may_be_in_a_name(letter: str) -> bool:
    return letter in _NAMES_MARKS or unicodedata.category(letter) in {"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd"}


def _check_is_text(what: str, text: str) -> None:
    """Models and corpora write what they like; but half a character no file takes."""
    if not text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidLabel(what, "there is nothing in it, or half a character")
