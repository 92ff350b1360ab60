"""The explanations of all neurons of a study, to be found by their words.

Here: the index in memory, as arrays, and what it answers by place. Not here: what is told of a hit (`search.py`).
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from neuron_assets.errors import ChangedInput, TableError
from neuron_assets.method.records import NeuronId
from neuron_assets.tables.explained import of_chosen
from neuron_assets.tables.schemas import empty
from neuron_assets.viewer.kept import KeptIndex
from neuron_assets.viewer.scored import texts_are_those_scored
from neuron_assets.viewer.shelf import OpenStudy

_WORD = r"\w+"
_OF_CANDIDATE = ["layer_index", "neuron_index", "candidate"]
_SHOWN = ["layer_index", "neuron_index", "explanation", "ev_correlation"]
_LAST = chr(0x10FFFF)


@dataclass(frozen=True, eq=False)
class WordIndex:
    """Neurons ascending, each at its place; words ascending, with the places of the neurons that have them."""

    neurons: pl.DataFrame
    """layer_index, neuron_index, explanation, ev_correlation: of the candidate that stands for it, or its first."""
    words: Sequence[str]
    starts: Int[np.ndarray, " word+1"]
    places: Int[np.ndarray, " occurrence"]
    """Those of word w from starts[w] to starts[w + 1], ascending."""
    left_out: tuple[str, ...]
    """Why layers that have tables are not in it, or not with their scores."""

    def having(self, word: str, *, begins: bool = False) -> Bool[np.ndarray, " neuron"]:
        """Which neurons have this word; or one that begins so."""
        first, last = bisect_left(self.words, word), bisect_left(self.words, word + (_LAST if begins else "\0"))
        found = np.zeros(self.neurons.height, dtype=bool)
        found[self.places[self.starts[first] : self.starts[last]]] = True
        return found

    def alike(self, place: int) -> Float[np.ndarray, " neuron"]:
        """The cosine of each explanation's words with those of this one; rare words weigh more."""
        dots = np.zeros(self.neurons.height, dtype=np.float32)
        for word in map(self._place_of_word, self.rarest_first(place)):
            dots[self.places[self.starts[word] : self.starts[word + 1]]] += self._weights[word] ** 2
        lengths = self._lengths * self._lengths[place]
        return np.asarray(np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0))

    def rarest_first(self, place: int) -> list[str]:
        """The words of one explanation, each once."""
        [words] = self.words_at([place])
        return sorted(dict.fromkeys(words), key=lambda word: -self._weights[self._place_of_word(word)])

    def words_at(self, places: Sequence[int]) -> list[list[str]]:
        """The words of these explanations, in their order."""
        return _words(self.neurons["explanation"].gather(list(places))).to_list()

    def _place_of_word(self, word: str) -> int:
        return bisect_left(self.words, word)

    def neuron(self, place: int) -> NeuronId:
        return NeuronId(self.neurons["layer_index"][place], self.neurons["neuron_index"][place])

    def place_of(self, neuron: NeuronId) -> int | None:
        """None of a neuron without an explanation."""
        place = int(np.searchsorted(self._numbers, _number(neuron.layer_index, neuron.neuron_index)))
        return place if place < self.neurons.height and self.neuron(place) == neuron else None

    @cached_property
    def scores(self) -> Float[np.ndarray, " neuron"]:
        """NaN where there is none."""
        return self.neurons["ev_correlation"].to_numpy()

    @cached_property
    def _numbers(self) -> Int[np.ndarray, " neuron"]:
        """Ascending, as the neurons are."""
        layers, neurons = (self.neurons[name].to_numpy().astype(np.int64) for name in _SHOWN[:2])
        return np.asarray(_number(layers, neurons))

    @cached_property
    def _weights(self) -> Float[np.ndarray, " word"]:
        n_having = np.diff(self.starts)
        return np.log1p(self.neurons.height / np.maximum(n_having, 1)).astype(np.float32)

    @cached_property
    def _lengths(self) -> Float[np.ndarray, " neuron"]:
        squares = np.repeat(self._weights**2, np.diff(self.starts))
        return np.sqrt(np.bincount(self.places, squares, minlength=self.neurons.height)).astype(np.float32)


def _number(layer_index: Any, neuron_index: Any) -> Any:
    return (layer_index << 32) + neuron_index


def words_in(text: str) -> list[str]:
    """In their order, in lower case, as they stand in the index."""
    return _words(pl.Series([text], dtype=pl.String)).explode(empty_as_null=False).to_list()


def build_word_index(study: OpenStudy) -> WordIndex:
    """Reads candidates and scores of all layers; what is damaged, or stands no more, is left out and told of."""
    parts, occurrences, left_out, n_before = [], [], [], 0
    for layer_index in study.study.layer_indices:
        try:
            part, told = _standing(study, layer_index)
        except TableError as error:
            left_out.append(str(error))
            continue
        left_out += told
        parts.append(part)
        words = pl.DataFrame({"word": _words(part["explanation"])}).with_row_index("place", offset=n_before)
        exploded = words.explode("word").drop_nulls().unique()
        occurrences.append(exploded.with_columns(pl.col("word").cast(pl.Categorical)))
        n_before += part.height
    neurons = pl.concat([_no_neuron(), *parts])
    return WordIndex(neurons, *_by_word(occurrences), tuple(left_out))


WORD_INDEX = KeptIndex(("candidates", "scores"), build_word_index)


def _standing(study: OpenStudy, layer_index: int) -> tuple[pl.DataFrame, list[str]]:
    """Of each neuron with a text the candidate that stands for it, or its first, and its score; why none has one.

    Raises UnreadableTable or ChangedInput where there are no texts to go by.
    """
    there = pl.col("neuron_index") < study.study.n_units
    texts = study.layer("candidates", layer_index, [*_OF_CANDIDATE, "explanation"], there)
    if texts is None:
        return _no_neuron(), []
    told = []
    try:
        scores = _scores(study, layer_index)
    except TableError as error:
        scores = empty("scores")
        told.append(str(error))
    stands = scores.select(*_OF_CANDIDATE, "ev_correlation", stands=pl.lit(value=True))
    known = texts.join(stands.unique(_OF_CANDIDATE, keep="first"), on=_OF_CANDIDATE, how="left")
    known = known.sort("layer_index", "neuron_index", pl.col("stands").is_null(), "candidate")
    first = known.unique(["layer_index", "neuron_index"], keep="first", maintain_order=True)
    return first.drop_nulls("explanation").select(_SHOWN).cast(_TYPES), told


def _scores(study: OpenStudy, layer_index: int) -> pl.DataFrame:
    """Those of what stands for each neuron; raises UnreadableTable, or ChangedInput where they are of other texts."""
    columns = [*_OF_CANDIDATE, "author", "scorer", "sample", "chosen", "ev_correlation"]
    scores = study.layer("scores", layer_index, columns, pl.col("sample") == "top_and_random")
    if scores is None:
        return empty("scores")
    if not texts_are_those_scored(study, layer_index):
        of, now = (study.store.path(study.name, table, study.key(layer_index)) for table in ("scores", "candidates"))
        raise ChangedInput(of, now)
    return of_chosen(scores)


_TYPES: Any = {"ev_correlation": pl.Float32}


def _no_neuron() -> pl.DataFrame:
    return empty("candidates").join(empty("scores"), on="neuron_index").select(_SHOWN).cast(_TYPES)


def _words(texts: pl.Series) -> pl.Series:
    return texts.str.to_lowercase().str.extract_all(_WORD)


def _by_word(
    occurrences: Sequence[pl.DataFrame],
) -> tuple[Sequence[str], Int[np.ndarray, " word+1"], Int[np.ndarray, " occurrence"]]:
    """The distinct words, where the places of each begin, and those places."""
    if not occurrences:
        return (), np.zeros(1, np.int64), np.zeros(0, np.int32)
    found = pl.concat(occurrences)
    words = found["word"].unique().cast(pl.String).sort()
    codes = found["word"].cast(pl.Enum(words)).to_physical().to_numpy()
    order = np.lexsort((found["place"].to_numpy(), codes))
    starts = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(words)))])
    return words.to_list(), starts, found["place"].to_numpy()[order].astype(np.int32)
