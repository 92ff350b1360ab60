"""Every context that holds somewhere in some excerpts, all at once: what the fit chooses from.

Here: a sparse incidence of contexts and positions, which must say the same as `simulating.context_mask` says of one
context. Not here: which of them are worth a sentence (`fitting.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from neuron_assets.method.records import Tokens
from neuron_assets.method.rules.classes import CLASSES, PLACES, class_table, line_numbers
from neuron_assets.method.rules.language import NEAR, QUOTING, Context, ContextKind, lead, quoted

FEWEST_TOKENS = 60
"""A context that holds at fewer positions is not looked at: too little is seen of it."""

_Pairs = tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]
_KINDS: tuple[ContextKind, ...] = ("after", "near", "line", "after class", "place")


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """Contexts by number: entry i says that context number `entries[i]` holds at `positions[i]`.

    Positions count through the excerpts, row by row. Entries are ordered by the token at their position.
    """

    strings: tuple[str, ...]
    kinds: Int[np.ndarray, " context"]
    whats: Int[np.ndarray, " context"]
    """What the context speaks of: the code of a token, or the number of a class or of a place."""
    entries: Int[np.ndarray, " entry"]
    positions: Int[np.ndarray, " entry"]
    costs: Float[np.ndarray, " context"]
    """Characters of the beginning of its sentence."""

    def context(self, number: int) -> Context:
        kind = _KINDS[self.kinds[number]]
        names = tuple(CLASSES) if kind == "after class" else tuple(PLACES) if kind == "place" else self.strings
        return Context(kind, names[self.whats[number]])


def surroundings(tokens: Tokens, spread: Bool[np.ndarray, " string"]) -> Surroundings:
    """The contexts of some excerpts; tokens serve as contexts only where `spread` says so."""
    kinds, whats, entries, positions = [], [], [], []
    n_contexts = 0
    for kind, (family_entries, family_positions) in enumerate(_families(tokens, spread)):
        kept = np.flatnonzero(np.bincount(family_entries) >= FEWEST_TOKENS)
        number = np.full(int(family_entries.max(initial=0)) + 1, -1)
        number[kept] = n_contexts + np.arange(len(kept))
        n_contexts += len(kept)
        chosen = np.flatnonzero(number[family_entries] >= 0)
        entries.append(number[family_entries[chosen]])
        positions.append(family_positions[chosen])
        whats.append(kept)
        kinds.append(np.full(len(kept), kind))
    all_kinds, all_whats = np.concatenate(kinds), np.concatenate(whats)
    costs = _lead_costs(tokens.strings, all_kinds, all_whats)
    where = np.concatenate(positions)
    order = np.argsort(
        tokens.codes.ravel()[where].astype(np.min_scalar_type(len(tokens.strings))), kind="stable"
    )  # 16 bits: a radix sort
    return Surroundings(tokens.strings, all_kinds, all_whats, np.concatenate(entries)[order], where[order], costs)


def _lead_costs(
    strings: tuple[str, ...], kinds: Int[np.ndarray, " context"], whats: Int[np.ndarray, " context"]
) -> Float[np.ndarray, " context"]:
    lengths = {"after class": [len(name) for name in CLASSES], "place": [len(name) for name in PLACES]}
    quoted_lengths = [len(quoted(string)) for string in strings]
    overheads = [len(lead(Context(kind, "x"))) - (3 if kind in QUOTING else 1) for kind in _KINDS]
    return np.array(
        [
            overheads[kind] + lengths.get(_KINDS[kind], quoted_lengths)[what]
            for kind, what in zip(kinds.tolist(), whats.tolist(), strict=True)
        ],
        np.float64,
    )


def _families(tokens: Tokens, spread: Bool[np.ndarray, " string"]) -> Iterator[_Pairs]:
    """The entries of each kind in the order of _KINDS, their contexts numbered within the kind."""
    flat = tokens.codes.ravel()
    positions = np.arange(flat.size).reshape(tokens.codes.shape)
    right_after = positions[:, :-1].ravel(), positions[:, 1:].ravel()
    for before, here in (right_after, _near_pairs(tokens), _line_pairs(tokens)):
        chosen = spread[flat[before]]
        yield flat[before[chosen]], here[chosen]
    pairs, classes = np.nonzero(class_table(tokens.strings)[tokens.codes[:, :-1].ravel()])
    yield classes, positions[:, 1:].ravel()[pairs]
    places, held = np.nonzero(np.stack([holds(tokens).ravel() for holds in PLACES.values()]))
    yield places, held


def _near_pairs(tokens: Tokens) -> _Pairs:
    return _pairs(tokens, np.zeros_like(tokens.codes), NEAR)


def _line_pairs(tokens: Tokens) -> _Pairs:
    return _pairs(tokens, line_numbers(tokens), tokens.codes.shape[1] - 1)


def _pairs(tokens: Tokens, group: Int[np.ndarray, "excerpt token"], longest: int) -> _Pairs:
    """An earlier and a later position of the same group; of several with one token the nearest."""
    n_tokens = tokens.codes.shape[1]
    flat, flat_group = tokens.codes.ravel(), group.ravel()
    again = _next_same(tokens)
    columns = np.tile(np.arange(n_tokens), len(tokens.codes))
    alive = np.arange(flat.size)
    earlier, later = [], []
    for n_back in range(1, min(longest, n_tokens - 1) + 1):
        alive = alive[columns[alive] + n_back < n_tokens]
        alive = alive[(again[alive] >= alive + n_back) & (flat_group[alive] == flat_group[alive + n_back])]
        if not alive.size:
            break
        earlier.append(alive)
        later.append(alive + n_back)
    nothing = np.zeros(0, np.int64)
    return np.concatenate([nothing, *earlier]), np.concatenate([nothing, *later])


def _next_same(tokens: Tokens) -> Int[np.ndarray, " position"]:
    """The next position in the same excerpt that has the same token; beyond all positions if there is none."""
    n_excerpts, n_tokens = tokens.codes.shape
    keys = (tokens.codes + len(tokens.strings) * np.arange(n_excerpts)[:, None]).ravel()
    order = np.argsort(keys, kind="stable")
    follows = keys[order[1:]] == keys[order[:-1]]
    following = np.full(keys.size, keys.size + n_tokens)
    following[order[:-1][follows]] = order[1:][follows]
    return following
