"""Neurons found by words of their explanations, by a token on which they fire, and by their likeness to one.

Here: what is asked and told, without a page. Not here: the indices (`word_index.py`, `firing_index.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from neuron_assets.errors import LayerNotInStudy, TableError
from neuron_assets.method.records import NeuronId
from neuron_assets.tables.schemas import empty
from neuron_assets.viewer.firing_index import FIRING_INDEX
from neuron_assets.viewer.shelf import OpenStudy
from neuron_assets.viewer.word_index import WORD_INDEX, WordIndex, words_in

MOST = 50
"""Hits that are told at once."""
_WORDS_TOLD = 3
_INDEXED = ["layer_index", "neuron_index", "token", "n_firing", "share"]


@dataclass(frozen=True, slots=True)
class Hit:
    """A neuron that was found."""

    study: str
    neuron: NeuronId
    explanation: str | None
    """Of the candidate that stands for it, or its first; None of one that is not explained."""
    score: float | None
    """How well it fits what was asked for, 0 to 1; in a search by words the explanation's `ev_correlation`, or None."""
    why: str
    """Nothing where there is nothing to add."""


@dataclass(frozen=True, slots=True)
class Found:
    """The best hits, best first."""

    hits: tuple[Hit, ...]
    n_total: int
    left_out: tuple[str, ...] = ()
    """What is wrong with layers that could not be looked through, or not wholly."""
    missing: tuple[int, ...] = ()
    """Layers without the table that is needed; of all, where nobody made it."""


@dataclass(frozen=True, slots=True)
class FoundToken:
    """Neurons that fire on `token`: as it was typed or, where none does, as a variant of it."""

    token: str
    found: Found
    variants: tuple[tuple[str, int], ...]
    """Others, with or without a space before them or in another case, and how many neurons fire on each."""


def search_words(study: OpenStudy, text: str, *, skip: int = 0, most: int = MOST) -> Found:
    """Neurons whose explanation has every word; the last one need only be begun.

    First those that have it whole, then by score. Nothing is found by a text without a word.
    """
    index, words = WORD_INDEX.of(study), words_in(text)
    if not words:
        return Found((), 0, index.left_out)
    found = index.having(words[-1], begins=True)
    for word in words[:-1]:
        found &= index.having(word)
    places, whole = np.flatnonzero(found), index.having(words[-1])
    scores = np.nan_to_num(index.scores[places], nan=-np.inf)
    order = places[np.lexsort((-scores, ~whole[places]))][skip : skip + most]
    begun = f"a word that begins with {words[-1]}"
    hits = tuple(
        _hit(study, index, index.neuron(place), index.scores[place], "" if whole[place] else begun)
        for place in order.tolist()
    )
    return Found(hits, len(places), index.left_out)


def search_token(study: OpenStudy, token: str, *, skip: int = 0, most: int = MOST) -> FoundToken:
    """Neurons by how much of what they do in their `train` excerpts is on this token: `share` of `token_index`."""
    variants = variants_of(token)
    rows, left_out, missing = _firing_on(study, variants)
    counts = dict(rows.group_by("token").len().iter_rows())
    shown = next((each for each in variants if each in counts), token)
    of_token = rows.filter(pl.col("token") == shown).sort(
        "share", "n_firing", "layer_index", "neuron_index", descending=[True, True, False, False]
    )
    index = WORD_INDEX.of(study)
    hits = tuple(
        _hit(study, index, NeuronId(layer, neuron), share, f"{share:.0%} of what it does is there, {n_firing} times")
        for layer, neuron, _, n_firing, share in of_token.slice(skip, most).iter_rows()
    )
    others = tuple((each, counts[each]) for each in variants if each != shown and each in counts)
    return FoundToken(shown, Found(hits, of_token.height, left_out, missing), others)


def alike_in_words(study: OpenStudy, neuron: NeuronId, *, most: int = MOST) -> Found:
    """Neurons whose explanations share words with this one's, rare ones first of all; none where it has no text."""
    index = WORD_INDEX.of(study)
    left_out = (*_if_not_listed(study, neuron), *index.left_out)
    if (place := index.place_of(neuron)) is None:
        return Found((), 0, left_out)
    likeness, own = index.alike(place), index.rarest_first(place)
    likeness[place] = 0
    others = _highest(likeness, most)
    hits = tuple(
        _hit(study, index, index.neuron(other), likeness[other], f"shares {_first_of(own, theirs)}")
        for other, theirs in zip(others, index.words_at(others), strict=True)
    )
    return Found(hits, int(np.count_nonzero(likeness)), left_out)


def alike_in_firing(study: OpenStudy, neuron: NeuronId, *, most: int = MOST) -> Found:
    """Neurons with the highest peaks in the same excerpts of `train`; none where the layer is not harvested.

    Raises UnreadableTable or ChangedInput where this neuron's own layer is damaged, or of another cut of the corpus.
    """
    index = FIRING_INDEX.of(study)
    left_out = (*_if_not_listed(study, neuron), *index.left_out)
    kept = study.rows("activations", neuron, ["split", "kind", "excerpt_index"])
    if kept is None:
        return Found((), 0, left_out)
    own = kept.filter(pl.col("split") == "train", pl.col("kind") == "top")["excerpt_index"].unique()
    shared = index.n_shared(own.to_numpy())
    if (itself := index.number(neuron)) is not None:
        shared[itself] = 0
    texts, n_own = WORD_INDEX.of(study), max(len(own), 1)
    hits = tuple(
        _hit(
            *(study, texts, index.neuron(other), shared[other] / n_own),
            f"{shared[other]} of {n_own} top excerpts are the same",
        )
        for other in _highest(shared, most)
    )
    return Found(hits, int(np.count_nonzero(shared)), left_out)


def variants_of(token: str) -> tuple[str, ...]:
    """The token as it is, then with or without a space before it, then the same in other cases; each once."""
    bare = token.lstrip(" ")
    cases = (bare, bare.lower(), bare.capitalize(), bare.upper())
    return tuple(filter(None, dict.fromkeys([token, *(space + case for case in cases for space in (" ", ""))])))


def _firing_on(study: OpenStudy, tokens: Sequence[str]) -> tuple[pl.DataFrame, tuple[str, ...], tuple[int, ...]]:
    """Rows of `token_index`; what is wrong with layers that are left out; and which layers have none."""
    parts, left_out, missing = [empty("token_index").select(_INDEXED)], [], []
    for layer_index in study.study.layer_indices:
        try:
            rows = study.rows_where("token_index", layer_index, "token", tokens, _INDEXED)
        except TableError as error:
            left_out.append(str(error))
            continue
        if rows is None:
            missing.append(layer_index)
        else:
            parts.append(rows)
    return pl.concat(parts).filter(pl.col("neuron_index") < study.study.n_units), tuple(left_out), tuple(missing)


def _if_not_listed(study: OpenStudy, neuron: NeuronId) -> tuple[str, ...]:
    """Why the indices do not hold it, where its layer is no longer one of the study's."""
    if neuron.layer_index in study.study.layer_indices:
        return ()
    return (str(LayerNotInStudy(neuron.layer_index, study.name)),)


def _first_of(own: Sequence[str], theirs: Sequence[str]) -> str:
    """The first few that both have."""
    there = set(theirs)
    return ", ".join([word for word in own if word in there][:_WORDS_TOLD])


def _highest(values: Float[np.ndarray, " neuron"] | Int[np.ndarray, " neuron"], most: int) -> list[int]:
    """Places of the highest values above 0, the highest first; of equal ones the earlier."""
    above = np.flatnonzero(values)
    if len(above) > most > 0:  # sorting all would take longer than finding them
        above = above[values[above] >= np.partition(values[above], -most)[-most]]
    return [int(place) for place in above[np.argsort(-values[above], kind="stable")][:most]]


def _hit(study: OpenStudy, index: WordIndex, neuron: NeuronId, score: float, why: str) -> Hit:
    place = index.place_of(neuron)
    text = None if place is None else index.neurons["explanation"][place]
    return Hit(study.name, neuron, text, None if math.isnan(score) else float(score), why)
