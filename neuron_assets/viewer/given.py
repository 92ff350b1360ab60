"""The explanations that were given of a neuron, by models, rules and people, and what a person thinks of them.

Here: gathering them. Not here: the pages that ask people (`label_page.py`, `rate_page.py`, `simulate_page.py`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neuron_assets.method.labels import PersonsExplanation, PersonsRating, distinct, known_as, standing_ratings
from neuron_assets.method.samples import SAMPLES
from neuron_assets.tables.label_store import Kept, LabelStore
from neuron_assets.viewer.neuron import Candidate, Desk, Row

EXPLAINED_ANEW = "That explanation is none of this neuron's any more: it was explained anew. Nothing was kept."


@dataclass(frozen=True, slots=True)
class Given:
    """One text."""

    text: str
    author: str
    candidate: int | None
    """None for what a person wrote since `candidates` was made."""
    stands: bool
    is_control: bool


@dataclass(frozen=True, slots=True)
class Own:
    """What a person wrote, and what has become of it."""

    label: PersonsExplanation
    scores: Mapping[str, Row]
    """By sample, whatever a scorer said; none while it waits to be a candidate, or to be scored."""


def given_explanations(candidates: Sequence[Candidate], kept: Kept) -> tuple[Given, ...]:
    """Each text once, the one that stands first; controls too."""
    found: dict[str, Given] = {}
    for each in sorted(candidates, key=lambda each: not each.stands):
        if each.explanation:
            given = Given(each.explanation, each.author, each.number, each.stands, each.is_control)
            found.setdefault(each.explanation, given)
    for one in distinct(kept.of(PersonsExplanation)):
        found.setdefault(one.text, Given(one.text, one.author, None, stands=False, is_control=False))
    return tuple(found.values())


def labels_of(desk: Desk) -> Kept:
    """What people added to this neuron; what is damaged is told."""
    kept = LabelStore(desk.study.store, desk.study.name).of_neuron(desk.neuron)
    desk.told.extend(map(str, kept.damaged))
    return kept


def explanations_by(person: str, kept: Kept) -> tuple[PersonsExplanation, ...]:
    return tuple(each for each in distinct(kept.of(PersonsExplanation)) if each.by == known_as(person))


def own_explanations(person: str, candidates: Sequence[Candidate], kept: Kept) -> tuple[Own, ...]:
    """All that this person wrote of the neuron, in the order of time, with the scores of its candidates."""
    scores = {(each.author, each.explanation): each.scores for each in candidates}
    found = ((label, scores.get((label.author, label.text), {})) for label in explanations_by(person, kept))
    return tuple(Own(label, {sample: of[sample] for sample in SAMPLES if sample in of}) for label, of in found)


def ratings_by(person: str, kept: Kept) -> Mapping[str, str]:
    """good, partly or wrong, by the text that was rated."""
    standing = standing_ratings(kept.of(PersonsRating))
    return {each.text: each.rating for each in standing if each.by == known_as(person)}


def explanation_id(text: str) -> str:
    """Names an explanation in a form: browsers change the line breaks of a text that they send."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
