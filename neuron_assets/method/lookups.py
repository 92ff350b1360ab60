"""Reference lines: what the tokens alone, or pairs of tokens, tell of a neuron's activations.

Here: a table of mean activations by token, and one by pair of tokens that backs off to it. Neither is an explanation
that anyone could read; a score beside theirs tells how much of what the tokens give away an explanation has said.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from neuron_assets.method.records import Exemplars, Tokens

PSEUDO_COUNT = 3.0
"""A mean is drawn to what is known without it as if that had been seen this many times more (tokens)."""


@dataclass(frozen=True, slots=True, eq=False)
class UnigramLookup:
    """The mean activation at each token of the training rows, shrunk to the mean of all, in the neuron's own unit."""

    means: Mapping[str, float]
    otherwise: float

    def predict(self, tokens: Tokens) -> Float[np.ndarray, "excerpt token"]:
        """What the token alone lets expect; tokens that were never seen get the mean of all."""
        return np.take(_by_string(self.means, tokens.strings, self.otherwise), tokens.codes)


@dataclass(frozen=True, slots=True, eq=False)
class BigramLookup:
    """The mean activation at each pair of tokens (the one before, this one), shrunk to that of this one."""

    means: Mapping[tuple[str, str], float]
    backoff: UnigramLookup

    def predict(self, tokens: Tokens) -> Float[np.ndarray, "excerpt token"]:
        """What the pair lets expect, or the token alone, at the first position and where the pair is new."""
        values = self.backoff.predict(tokens)
        pairs, places = np.unique(_pairs(tokens), return_inverse=True)
        n_strings = len(tokens.strings)
        known = [
            self.means.get((tokens.strings[p // n_strings], tokens.strings[p % n_strings])) for p in pairs.tolist()
        ]
        found = np.array([np.nan if value is None else value for value in known])[places.reshape(_pairs(tokens).shape)]
        values[:, 1:] = np.where(np.isnan(found), values[:, 1:], found)
        return values


def fit_unigram(exemplars: Exemplars) -> UnigramLookup:
    """The table of single tokens, from training rows."""
    activations = exemplars.activations.astype(np.float64)
    otherwise = float(activations.mean())
    codes, places = np.unique(exemplars.tokens.codes, return_inverse=True)
    means = _shrunken_means(places.ravel(), activations.ravel(), np.full(len(codes), otherwise))
    strings = [exemplars.tokens.strings[code] for code in codes.tolist()]
    return UnigramLookup(dict(zip(strings, means.tolist(), strict=True)), otherwise)


def fit_bigram(exemplars: Exemplars) -> BigramLookup:
    """The table of pairs of tokens, from training rows."""
    tokens = exemplars.tokens
    unigram = fit_unigram(exemplars)
    pairs, places = np.unique(_pairs(tokens), return_inverse=True)
    before, after = np.divmod(pairs, len(tokens.strings))
    prior = _by_string(unigram.means, tokens.strings, unigram.otherwise)[after]
    means = _shrunken_means(places.ravel(), exemplars.activations[:, 1:].astype(np.float64).ravel(), prior)
    keys = [(tokens.strings[b], tokens.strings[a]) for b, a in zip(before.tolist(), after.tolist(), strict=True)]
    return BigramLookup(dict(zip(keys, means.tolist(), strict=True)), unigram)


def _pairs(tokens: Tokens) -> Int[np.ndarray, "excerpt pair"]:
    """One number for each token but the first of an excerpt: that of the token before, and its own."""
    codes = tokens.codes.astype(np.int64)
    return codes[:, :-1] * len(tokens.strings) + codes[:, 1:]


def _by_string(means: Mapping[str, float], strings: tuple[str, ...], otherwise: float) -> Float[np.ndarray, " string"]:
    return np.array([means.get(string, otherwise) for string in strings], np.float64)


def _shrunken_means(
    groups: Int[np.ndarray, " position"], values: Float[np.ndarray, " position"], prior: Float[np.ndarray, " group"]
) -> Float[np.ndarray, " group"]:
    counts = np.bincount(groups, minlength=len(prior))
    sums = np.bincount(groups, values, len(prior))
    return (sums + PSEUDO_COUNT * prior) / (counts + PSEUDO_COUNT)
