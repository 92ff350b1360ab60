"""When a neuron counts as active, and how often it is so in text as it comes.

Here: what `train` tells of that (the threshold, the neuron's top tokens), and counts over a natural-rate sample:
excerpts that were drawn without looking, the same for all neurons. Not here: which excerpts are judged (`choosing.py`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from neuron_assets.method.records import Answer, Exemplars, Tokens

SHARE = 0.1
"""Of the neuron's maximum over `train`: above it a token is active."""

N_TOP_TOKENS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What `train` tells of a neuron."""

    threshold: float
    """A token is active where its activation is above this, in the neuron's own unit; positive."""
    top_tokens: frozenset[str]
    """Those that hold most of its activity."""
    document_indices: Int[np.ndarray, " document"]
    """Of the documents that were looked at: no excerpt of theirs is judged."""


@dataclass(frozen=True, slots=True, eq=False)
class NaturalCounts:
    """How many excerpts of a natural-rate sample are of which kind, by document."""

    n_excerpts: Int[np.ndarray, " document"]
    """All of the document, at least 1."""
    n_active: Int[np.ndarray, " document"]
    """Those with an active token."""
    n_hard: Int[np.ndarray, " document"]
    """Those without one that hold a top token of the neuron all the same."""


def known_from(train: Exemplars, *, share: float = SHARE, n_top_tokens: int = N_TOP_TOKENS) -> Answer[Known]:
    """The threshold is a share of the neuron's maximum; a neuron that is never above 0 on `train` has none.

    Under GELU almost every excerpt holds some activation above 0, so 0 itself would not do.
    """
    largest = float(train.activations.max(initial=0.0))
    if not np.isfinite(largest):
        return Answer(None, "not finite")
    if largest <= 0:
        return Answer(None, "the neuron is never above 0 on train")
    threshold = share * largest
    return Answer(Known(threshold, _top_tokens(train, threshold, n_top_tokens), np.unique(train.document_indices)))


def active_tokens(exemplars: Exemplars, known: Known) -> Bool[np.ndarray, "excerpt token"]:
    """Where the neuron is active. An excerpt is active where any of its tokens is."""
    return np.asarray(exemplars.activations > known.threshold)


def alike_tokens(tokens: Tokens, known: Known) -> Bool[np.ndarray, "excerpt token"]:
    """Where a top token of the neuron stands, whether it is active there or not."""
    used = np.unique(tokens.codes).tolist()
    return np.isin(tokens.codes, [code for code in used if tokens.strings[code] in known.top_tokens])


def natural_counts(natural: Exemplars, known: Known) -> NaturalCounts:
    """The counts of each document, in ascending order of documents; each excerpt counts once."""
    _, rows = np.unique(natural.excerpt_indices, return_index=True)
    _, places = np.unique(natural.document_indices[rows], return_inverse=True)
    active = active_tokens(natural, known)[rows].any(axis=1)
    hard = alike_tokens(natural.tokens, known)[rows].any(axis=1) & ~active
    return NaturalCounts(
        np.bincount(places),
        *(np.bincount(places[kind], minlength=places.max(initial=-1) + 1) for kind in (active, hard)),
    )


def _top_tokens(train: Exemplars, threshold: float, n: int) -> frozenset[str]:
    """By summed activation over the active places; of equals the one that comes first among the strings."""
    active = np.where(train.activations > threshold, train.activations, 0.0)
    codes, places = np.unique(train.tokens.codes, return_inverse=True)
    sums: Float[np.ndarray, " string"] = np.bincount(places.ravel(), active.ravel())
    order = np.argsort(-sums, kind="stable")[:n]
    return frozenset(train.tokens.strings[code] for code in codes[order[sums[order] > 0]].tolist())
