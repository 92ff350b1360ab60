"""From tokenized documents to excerpts of equal length in four pools of documents.

Here: cutting, choosing, the assignment of documents to pools, the one shuffle. Not here: reading documents (`corpora/`)
or tokenizing them (`subjects/`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from neuron_assets.errors import NoDocuments, TooFewDocuments
from neuron_assets.method.records import SPLITS


@dataclass(frozen=True, slots=True)
class CutPlan:
    """What decides which excerpts there are and which pool each belongs to."""

    length: int = 64
    """Tokens an excerpt."""
    most_per_document: int | None = None
    """A longer document gives a seeded choice of so many of its excerpts, so that no document outweighs the others."""
    fewest_documents: int = 40
    """Each pool must hold at least so many documents."""
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class CutCorpus:
    """All excerpts in their one shuffled order: `excerpt_index` is the row."""

    token_ids: Int[np.ndarray, "excerpt token"]
    document_indices: Int[np.ndarray, " excerpt"]
    """Rows of the documents as they were given."""
    pools: Int[np.ndarray, " excerpt"]
    """Index into SPLITS."""


TokenIds = Sequence[int] | Int[np.ndarray, " _"]
"""Of one document; each has as many as it likes."""


def cut_excerpts(names: Sequence[str], token_ids: Sequence[TokenIds], plan: CutPlan, source: str) -> CutCorpus:
    """Cuts each document into disjoint excerpts, gives whole documents to pools, and shuffles the excerpts once.

    A remainder shorter than an excerpt is dropped. `names` seeds what happens to each document, so the documents' order
    does not matter to the cut. Raises NoDocuments (naming `source`) and TooFewDocuments.
    """
    cuts = [_cut(name, ids, plan) for name, ids in zip(names, token_ids, strict=True)]
    if not any(len(cut) for cut in cuts):
        raise NoDocuments(source)
    pool_of = _assign_pools(names, [len(cut) for cut in cuts], plan)
    document_indices = np.repeat(np.arange(len(cuts)), [len(cut) for cut in cuts])
    order = np.random.default_rng(plan.seed).permutation(len(document_indices))
    return CutCorpus(
        token_ids=np.concatenate(cuts)[order],
        document_indices=document_indices[order].astype(np.int32),
        pools=pool_of[document_indices][order],
    )


def _cut(name: str, token_ids: TokenIds, plan: CutPlan) -> Int[np.ndarray, "excerpt token"]:
    n_excerpts = len(token_ids) // plan.length
    excerpts = np.asarray(token_ids[: n_excerpts * plan.length], np.int32).reshape(n_excerpts, plan.length)
    if plan.most_per_document is None or n_excerpts <= plan.most_per_document:
        return excerpts
    random = np.random.default_rng([plan.seed, _hash(name, plan.seed)])
    return excerpts[np.sort(random.choice(n_excerpts, plan.most_per_document, replace=False))]


def _assign_pools(names: Sequence[str], n_excerpts: Sequence[int], plan: CutPlan) -> Int[np.ndarray, " document"]:
    """In the order of their hashes, each document goes to the pool that holds the fewest excerpts so far."""
    pool_of = np.zeros(len(names), np.int8)
    filled = np.zeros(len(SPLITS), np.int64)
    n_documents = np.zeros(len(SPLITS), np.int64)
    for index in sorted(range(len(names)), key=lambda index: (_hash(names[index], plan.seed), names[index])):
        pool = int(filled.argmin())
        pool_of[index] = pool
        filled[pool] += n_excerpts[index]
        n_documents[pool] += n_excerpts[index] > 0
    for split, n in zip(SPLITS, n_documents, strict=True):
        if n < plan.fewest_documents:
            raise TooFewDocuments(split, int(n), plan.fewest_documents)
    return pool_of


def _hash(name: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big")
