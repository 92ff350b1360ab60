"""The meanings of a neuron that has several: its top excerpts, parted by which tokens fire in them.

One sentence cannot say that a neuron looks for two things. So the excerpts are grouped, each group is explained by
itself, and the list of its explanations stands beside the one explanation as another candidate. A list means what any
of its entries means: on each token the strongest counts.

Here: the groups, the tokens that fire in them, and how a list is written. Not here: who explains a group, and whether
the list is better than the one sentence, which other documents must tell (`choosing.py`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from neuron_assets.method.records import Answer, Exemplars

MEANINGS_VERSION = 1
"""Rises whenever the same exemplars may be parted in another way, or a list be written otherwise."""

LIST = "Any of these:"
"""How a list begins."""

STRONG = 0.5
"""A token fires where it is active above this share of its excerpt's own peak."""

BESIDE = 0.5
"""What the token right before or right after one that fires counts, where that one counts 1."""

_DECIMALS = 9
"""Of distances that are compared: what lies beyond hangs on the machine."""

NOT_PARTED = "its top excerpts do not fall into"
"""How the reason begins why a neuron has no list."""


@dataclass(frozen=True, slots=True)
class MeaningParameters:
    """What was chosen for the groups; every field can change them."""

    most: int
    """Meanings of the longest list; 1: no list."""
    fewest_excerpts: int
    """Top excerpts of a meaning."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Rows of the exemplars that speak of one meaning, ascending."""

    top: Int[np.ndarray, " top"]
    """Whose tokens fire alike."""
    random: Int[np.ndarray, " random"]
    """That tell where the meaning ends: those in which little fires, and of the others those that are like this group.
    What fires by another meaning would only confuse."""

    @property
    def rows(self) -> Int[np.ndarray, " row"]:
        return np.concatenate([self.top, self.random])


def meanings_of(exemplars: Exemplars, parameters: MeaningParameters) -> Mapping[int, Answer[tuple[Group, ...]]]:
    """By the number of meanings, from 2 on, the groups; the one with the strongest excerpt is first.

    A longer list parts one group of the shorter. There is none where that would leave a group too few top excerpts;
    silent ones are in no group. Each excerpt is to be among the exemplars once.
    """
    peaks = exemplars.activations.max(axis=1, initial=0.0)
    is_loud = ~exemplars.is_top & (peaks > STRONG * peaks.max(initial=0.0))
    top, loud = np.flatnonzero(exemplars.is_top & (peaks > 0)), np.flatnonzero(is_loud)
    quiet = np.flatnonzero(~exemplars.is_top & ~is_loud)
    distances = _distances(exemplars, np.concatenate([top, loud]))
    parted = {len(places): places for places in _merged(distances[: len(top), : len(top)])}
    lists: dict[int, Answer[tuple[Group, ...]]] = {}
    for n_meanings in range(2, parameters.most + 1):
        places = parted.get(n_meanings, ())
        if min(map(len, places), default=0) < parameters.fewest_excerpts:
            lists[n_meanings] = Answer(None, f"{NOT_PARTED} {n_meanings} groups of {parameters.fewest_excerpts}")
            continue
        nearest = _nearest(distances[len(top) :], places)
        lists[n_meanings] = Answer(
            tuple(
                Group(top[of_group], np.sort(np.concatenate([quiet, loud[nearest == number]])))
                for number, of_group in enumerate(places)
            )
        )
    return lists


def firing(exemplars: Exemplars) -> Bool[np.ndarray, "excerpt token"]:
    """Which tokens fire; in a silent excerpt none."""
    peaks = exemplars.activations.max(axis=1, keepdims=True, initial=0.0)
    return np.asarray((exemplars.activations > STRONG * peaks) & (peaks > 0))


def firing_tokens(exemplars: Exemplars, most: int) -> tuple[str, ...]:
    """The tokens that fire in most of these excerpts, as they are; of several in as many, the first that comes."""
    counted = Counter(
        exemplars.tokens.strings[code]
        for codes, fires in zip(exemplars.tokens.codes, firing(exemplars), strict=True)
        for code in dict.fromkeys(codes[fires].tolist())
    )
    return tuple(string for string, _ in counted.most_common(most))


def as_list(explanations: Sequence[str]) -> str:
    """Several explanations as one text, such as `Any of these: 1. rivers. 2. lakes.`, with a full stop each."""
    entries = (f"{number}. {text.rstrip('.')}." for number, text in enumerate(explanations, start=1))
    return " ".join([LIST, *entries])


def _distances(exemplars: Exemplars, rows: Int[np.ndarray, " row"]) -> Float[np.ndarray, "row row"]:
    """Squared distances between these excerpts, by what fires in them: 0, the same tokens; 2, none in common."""
    sets = [_features(exemplars, row) for row in rows.tolist()]
    number = {name: place for place, name in enumerate(dict.fromkeys(name for one in sets for name in one))}
    vectors = np.zeros((len(rows), len(number)))
    for vector, one in zip(vectors, sets, strict=True):
        vector[[number[name] for name in one]] = list(one.values())
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(2.0 - 2.0 * vectors @ vectors.T)


def _features(exemplars: Exemplars, row: int) -> Mapping[tuple[int, str], float]:
    """The tokens that fire, and those beside them, in small letters and without the space before; each once."""
    strings = [_plain(exemplars.tokens.strings[code]) for code in exemplars.tokens.codes[row].tolist()]
    peak = exemplars.activations[row].max()
    return {
        (step, strings[place + step]): 1.0 if step == 0 else BESIDE
        for place in np.flatnonzero(exemplars.activations[row] > STRONG * peak).tolist()
        for step in (-1, 0, 1)
        if 0 <= place + step < len(strings)
    }


def _plain(token: str) -> str:
    return token.strip().casefold() or token


def _merged(distances: Float[np.ndarray, "top top"]) -> Iterator[tuple[Int[np.ndarray, " _"], ...]]:
    """From groups of one excerpt to a single one, joining each time the two that it spreads least (Ward 1963).

    Of pairs as near, the earlier is joined. Groups stand in the order of their first excerpts, ascending.
    """
    groups = [np.array([place]) for place in range(len(distances))]
    apart = distances.copy()
    np.fill_diagonal(apart, np.inf)
    while len(groups) > 1:
        yield tuple(groups)
        nearest = np.argmin(np.round(apart, _DECIMALS))
        first, second = sorted(int(place) for place in np.unravel_index(nearest, apart.shape))
        sizes = np.array([len(group) for group in groups])
        # Lance and Williams (1967): the same as if the groups were compared anew
        spread = (sizes + sizes[first]) * apart[first] + (sizes + sizes[second]) * apart[second]
        joined = (spread - sizes * apart[first, second]) / (sizes + sizes[first] + sizes[second])
        apart[first], apart[:, first] = joined, joined
        apart[first, first] = np.inf
        apart = np.delete(np.delete(apart, second, axis=0), second, axis=1)
        groups[first] = np.sort(np.concatenate([groups[first], groups.pop(second)]))


def _nearest(
    distances: Float[np.ndarray, "loud row"], groups: Sequence[Int[np.ndarray, " _"]]
) -> Int[np.ndarray, " loud"]:
    """Which group each excerpt is nearest to on average; of several as near, the first."""
    means = np.stack([distances[:, group].mean(axis=1) for group in groups])
    return np.asarray(np.argmin(np.round(means, _DECIMALS), axis=0))
