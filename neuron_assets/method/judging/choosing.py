"""Which held-out excerpts a judge is asked about, and which of their tokens are marked for fuzzing.

Four kinds, chosen apart: active excerpts, over the whole range of their peaks; silent ones that hold a top token of the
neuron all the same (hard), which tell an explanation that names the right tokens from one that knows when; other
silent ones (plain); and, for fuzzing, active ones in which other tokens than the active ones are marked (beside).

Here: the choice, by arrays and a seed. Not here: when a token is active (`activity.py`), prompts (`asking.py`).
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from neuron_assets.method.judging.activity import Known, active_tokens, alike_tokens
from neuron_assets.method.records import Exemplars, NeuronRecord

Stratum = Literal["active", "plain", "hard", "beside"]
STRATA: tuple[Stratum, ...] = get_args(Stratum)
"""Of the first, yes is right; of all others, no."""
ACTIVE, PLAIN, HARD, BESIDE = range(len(STRATA))

N_BANDS = 5
"""Of equal width, between the threshold and the highest peak; active excerpts are taken from each in turn."""

_CHOICE, _MARKS = 2, 3
"""What keeps the streams of random numbers apart, from each other and from those of the intervals."""


@dataclass(frozen=True, slots=True)
class ChoicePlan:
    """How many excerpts of each kind. Where there are too few plain or hard ones, the other kind fills up."""

    n_active: int
    n_plain: int
    n_hard: int
    n_beside: int = 0
    most_marked: int = 1
    """Tokens an excerpt, for fuzzing. A judge has to say yes to all of them, and to many random ones nobody does: then
    "most words" is as good an explanation as a true one."""
    seed: int = 0


DETECTION = ChoicePlan(n_active=10, n_plain=5, n_hard=5)
FUZZING = ChoicePlan(n_active=10, n_plain=4, n_hard=3, n_beside=3)


@dataclass(frozen=True, slots=True, eq=False)
class ChosenExcerpts:
    """What a judge is asked about. The order, which is that of asking, tells nothing of the kind."""

    rows: Int[np.ndarray, " judged"]
    """Of the neuron's held-out exemplars."""
    strata: Int[np.ndarray, " judged"]
    """Index into STRATA."""


def choose_excerpts(held_out: NeuronRecord, known: Known, plan: ChoicePlan) -> ChosenExcerpts:
    """Some of a neuron's held-out excerpts, which may be top, random and natural-rate ones. None comes twice.

    Silent excerpts are taken only of those that were drawn without looking: a silent one among the top excerpts is no
    usual one. There may be fewer than planned. The choice hangs on the seed, the neuron and which excerpts there are,
    not on their order or on other neurons. Raises ValueError where an excerpt is of a document that `train` has shown.
    """
    exemplars = held_out.exemplars
    if np.isin(exemplars.document_indices, known.document_indices).any():
        raise ValueError(f"{held_out.neuron} would be judged on documents that `train` has shown.")
    rng = _rng(held_out, plan.seed, _CHOICE)
    _, rows = np.unique(exemplars.excerpt_indices, return_index=True)
    rows = rng.permutation(rows)
    active = active_tokens(exemplars, known)[rows].any(axis=1)
    alike = alike_tokens(exemplars.tokens, known)[rows].any(axis=1)
    silent = ~active & np.isin(exemplars.excerpt_indices[rows], exemplars.excerpt_indices[~exemplars.is_top])

    loud = _spread(rows[active], exemplars.activations[rows[active]].max(axis=1, initial=0.0), known.threshold)
    loud = rng.permutation(loud[: plan.n_active + plan.n_beside])
    all_active = np.asarray(active_tokens(exemplars, known)[loud].all(axis=1))  # nothing beside could be marked
    loud = loud[np.argsort(all_active, kind="stable")]
    planned = len(loud) * plan.n_beside // max(plan.n_active + plan.n_beside, 1)
    n_beside = min(planned, int((~all_active).sum()))
    hard, plain = rows[silent & alike], rows[silent & ~alike]
    n_hard = min(len(hard), plan.n_hard + max(0, plan.n_plain - len(plain)))
    n_plain = min(len(plain), plan.n_plain + plan.n_hard - n_hard)

    chosen = (loud[n_beside:], plain[:n_plain], hard[:n_hard], loud[:n_beside])
    strata = np.repeat(np.arange(len(STRATA)), [len(kind) for kind in chosen])
    order = rng.permutation(len(strata))
    return ChosenExcerpts(np.concatenate(chosen)[order], strata[order])


def marked_tokens(
    held_out: NeuronRecord, known: Known, chosen: ChosenExcerpts, plan: ChoicePlan
) -> Bool[np.ndarray, "judged token"]:
    """The tokens that are marked in each excerpt for fuzzing, at least one.

    In active excerpts the active tokens, the strongest where there are more than may be marked; in each other excerpt
    as many as in some active one, drawn anew: in hard excerpts top tokens of the neuron first, beside the active
    tokens only silent ones.
    """
    rng = _rng(held_out, plan.seed, _MARKS)
    cut: Exemplars = held_out.only(chosen.rows).exemplars
    active, alike = active_tokens(cut, known), alike_tokens(cut.tokens, known)
    strongest_first = np.lexsort((rng.random(active.shape), -cut.activations), axis=1)  # of equals, any
    ranks = np.argsort(strongest_first, axis=1)
    marked: Bool[np.ndarray, "judged token"] = active & (ranks < plan.most_marked)
    marked[chosen.strata != ACTIVE] = False
    sizes = rng.permutation(marked[chosen.strata == ACTIVE].sum(axis=1))
    for turn, row in enumerate(np.flatnonzero(chosen.strata != ACTIVE).tolist()):
        size = int(sizes[turn % len(sizes)]) if len(sizes) else 1
        drawn = rng.permutation(np.flatnonzero(~active[row]))
        if chosen.strata[row] == HARD:
            drawn = drawn[np.argsort(~alike[row, drawn], kind="stable")]
        marked[row, drawn[:size]] = True
    return marked


def _spread(
    rows: Int[np.ndarray, " row"], peaks: Float[np.ndarray, " row"], threshold: float
) -> Int[np.ndarray, " row"]:
    """The rows, one from each band of peaks in turn, the loudest band first; within a band in the order given."""
    if not len(rows):
        return rows
    heights = (peaks - threshold) / (peaks.max() - threshold)  # above 0, up to 1
    bands = np.minimum(np.floor(N_BANDS * heights), N_BANDS - 1)
    turns = np.tril(bands[:, None] == bands).sum(axis=1)
    return rows[np.lexsort((-bands, turns))]


def _rng(record: NeuronRecord, seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, record.neuron.layer_index, record.neuron.neuron_index, stream])
