"""How often a judge was right: over a balanced choice of excerpts, and in text as it comes.

A balanced choice flatters broad explanations. Of one that fits fifty times as many excerpts as the neuron is active in,
a judge says yes to every active excerpt and to one in twenty of the others: a balanced accuracy of 0.97, though of
fifty excerpts that the explanation fits the neuron is active in one. So precision is told at the natural rate (Bayes).

Here: balanced accuracy, AUROC, precision and F1 at the natural rate, each with its interval. Not here: who judged, and
the choice of what is judged (`choosing.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int

from neuron_assets.method.judging.activity import NaturalCounts
from neuron_assets.method.judging.choosing import ACTIVE, HARD, PLAIN, STRATA
from neuron_assets.method.records import NeuronId
from neuron_assets.method.resampling import FEWEST_DOCUMENTS, MOST_UNDEFINED, percentiles, resample

FEWEST = 5
"""Active excerpts, and silent ones, under which nothing is said of how often a judge is right; also natural ones."""

YES_ABOVE = 0.5
"""A probability above this is a yes."""


@dataclass(frozen=True, slots=True, eq=False)
class Judgements:
    """What a judge said of one explanation, excerpt by excerpt."""

    neuron: NeuronId
    probabilities: Float[np.ndarray, " judged"]
    """Of a yes, 0 to 1; a verdict is 0 or 1. NaN where the judge gave no answer that can be read."""
    strata: Int[np.ndarray, " judged"]
    """Index into STRATA: in the first yes is right, in all others no."""
    document_indices: Int[np.ndarray, " judged"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A number with its interval, or the reason why either is missing; never NaN."""

    value: float | None
    low: float | None
    high: float | None
    n_excerpts: int
    """All that were judged, read or not."""
    n_documents: int
    """Distinct ones of these excerpts."""
    failure: str | None = None
    """Why there is no value; where there is one, why there is no interval."""


_NATURAL = 4
"""Keeps the draws of natural documents apart from the stream of any neuron."""

_ACTIVE, _NOT_ACTIVE, _PLAIN, _HARD = range(4)
"""The groups whose shares of yes are told."""


@dataclass(frozen=True, slots=True, eq=False)
class _Draws:
    """What is drawn anew; the values themselves are a draw that takes everything once."""

    taken: Float[np.ndarray, "judged draw"]
    """How often each excerpt is taken."""
    chance: Float[np.ndarray, "4 draw"]
    """For each group a number from 0 to 1, excluded, that says how far a unanimous share may be off."""
    rate: Float[np.ndarray, " draw"]
    """Share of the excerpts that are active in text as it comes."""
    hard: Float[np.ndarray, " draw"]
    """Share of hard excerpts among those that are not active."""


def judging_metrics(
    said: Judgements, natural: NaturalCounts | None = None, *, seed: int, n_draws: int = 1000, level: float = 0.95
) -> Mapping[str, Metric]:
    """`balanced_accuracy`, `auroc`; with a natural-rate sample also `precision` and `f1` at the natural rate.

    With a yes for each probability above a half, and TPR and FPR the shares of yes among active and other excerpts:
    balanced accuracy is (TPR + 1 - FPR) / 2; AUROC is the share of pairs, of an active and another excerpt, in which
    the active one has the higher probability, ties counting half; precision is r TPR / (r TPR + (1 - r) FPR), where r
    is the natural share of active excerpts and FPR that of hard and plain excerpts in their natural shares; F1 is
    2 precision TPR / (precision + TPR), and 0 where TPR is. Without a false alarm precision is 1 however much is
    missed, and F1 is not.

    One answer that could not be read leaves all undefined: those that were read might be the easy ones. Resampled,
    with replacement: the documents of each stratum, each apart, and those of the natural-rate sample. Where a group is
    unanimous, resampling it would say that its share is certain; there, a draw is off by one of Beta(1, n + 1), n the
    documents of the group (what is left open by n agreeing draws, before which each share was equally likely). An
    interval is widened to hold its value. The draws depend on the seed and the neuron only, those of natural documents
    on the seed alone.
    """
    failures: dict[str, str | None] = dict.fromkeys(("balanced_accuracy", "auroc"), _why_undefined(said))
    if natural is not None:
        failures["f1"] = failures["auroc"] or _why_no_rate(said, natural)
        failures["precision"] = failures["f1"] or _why_no_precision(said)
    once, drawn = _once(said, natural), _drawn(said, natural, seed, n_draws)
    formulas = {"balanced_accuracy": _balanced_accuracy, "auroc": _auroc, "precision": _precision, "f1": _f1}
    found = {}
    for name, failure in failures.items():
        if failure is None:
            found[name] = _metric(said, float(formulas[name](said, once)[0]), formulas[name](said, drawn), level)
        else:
            found[name] = Metric(None, None, None, len(said.strata), _n_documents(said), failure)
    return found


def _balanced_accuracy(said: Judgements, draws: _Draws) -> Float[np.ndarray, " draw"]:
    return np.asarray((_share_of_yes(said, draws, _ACTIVE) + 1 - _share_of_yes(said, draws, _NOT_ACTIVE)) / 2)


def _auroc(said: Judgements, draws: _Draws) -> Float[np.ndarray, " draw"]:
    active = said.strata == ACTIVE
    above = said.probabilities[active, None] - said.probabilities[~active]
    won = (np.sign(above) + 1) / 2  # [active, other]
    yes, no = draws.taken[active], draws.taken[~active]
    return np.asarray((yes * (won @ no)).sum(axis=0) / (yes.sum(axis=0) * no.sum(axis=0)))


def _precision(said: Judgements, draws: _Draws) -> Float[np.ndarray, " draw"]:
    """NaN in a draw without a yes, or without an active excerpt in the natural-rate sample."""
    right, wrong = _yes_in_text(said, draws)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(draws.rate > 0, right / (right + wrong), np.nan))


def _f1(said: Judgements, draws: _Draws) -> Float[np.ndarray, " draw"]:
    """NaN in a draw without an active excerpt in the natural-rate sample; 0 where nothing active is found."""
    right, wrong = _yes_in_text(said, draws)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(draws.rate > 0, 2 * right / (right + wrong + draws.rate), np.nan))


def _yes_in_text(said: Judgements, draws: _Draws) -> tuple[Float[np.ndarray, " draw"], Float[np.ndarray, " draw"]]:
    """The shares of all excerpts, in text as it comes, to which yes is said, rightly and wrongly."""
    plain, hard = (np.nan_to_num(_share_of_yes(said, draws, group)) for group in (_PLAIN, _HARD))
    wrong = (1 - draws.rate) * (draws.hard * hard + (1 - draws.hard) * plain)
    return np.asarray(draws.rate * _share_of_yes(said, draws, _ACTIVE)), np.asarray(wrong)


def _share_of_yes(said: Judgements, draws: _Draws, group: int) -> Float[np.ndarray, " draw"]:
    """Of one group, in each draw; NaN where nothing of the group was judged."""
    rows = _rows(said, group)
    if not len(rows):
        return np.full(draws.taken.shape[1], np.nan)
    yes, taken = said.probabilities[rows] > YES_ABOVE, draws.taken[rows]
    n_documents = len(np.unique(said.document_indices[rows]))
    off = 1 - (1 - draws.chance[group]) ** (1 / (n_documents + 1))  # of Beta(1, n + 1)
    if not yes.any():
        return np.asarray(off)
    return np.asarray(1 - off if yes.all() else yes @ taken / taken.sum(axis=0))


def _rows(said: Judgements, group: int) -> Int[np.ndarray, " row"]:
    held: tuple[Bool[np.ndarray, " judged"], ...] = (
        said.strata == ACTIVE,
        said.strata != ACTIVE,
        said.strata == PLAIN,
        said.strata == HARD,
    )
    return np.flatnonzero(held[group])


def _once(said: Judgements, natural: NaturalCounts | None) -> _Draws:
    rate, hard = _natural_shares(natural, np.ones((0 if natural is None else len(natural.n_excerpts), 1)))
    return _Draws(np.ones((len(said.strata), 1)), np.zeros((4, 1)), rate, hard)


def _drawn(said: Judgements, natural: NaturalCounts | None, seed: int, n_draws: int) -> _Draws:
    rng = np.random.default_rng([seed, said.neuron.layer_index, said.neuron.neuron_index])
    taken = np.zeros((len(said.strata), n_draws))
    for stratum in range(len(STRATA)):
        rows = np.flatnonzero(said.strata == stratum)
        documents, places = np.unique(said.document_indices[rows], return_inverse=True)
        taken[rows] = resample(rng, len(documents), n_draws)[places]
    chance = rng.random((4, n_draws))
    n_natural = 0 if natural is None else len(natural.n_excerpts)
    return _Draws(taken, chance, *_natural_shares(natural, _natural_draws(seed, n_natural, n_draws)))


@lru_cache(maxsize=2)
def _natural_draws(seed: int, n_documents: int, n_draws: int) -> Float[np.ndarray, "document draw"]:
    """One for all neurons, as they have one natural-rate sample."""
    taken = resample(np.random.default_rng([seed, 0, 0, _NATURAL]), n_documents, n_draws)
    taken.flags.writeable = False
    return taken


def _natural_shares(
    natural: NaturalCounts | None, taken: Float[np.ndarray, "document draw"]
) -> tuple[Float[np.ndarray, " draw"], Float[np.ndarray, " draw"]]:
    """The rate of active excerpts, and of hard ones among the others; NaN without a sample."""
    if natural is None:
        nothing = np.full(taken.shape[1], np.nan)
        return nothing, nothing
    counts = np.stack([natural.n_excerpts, natural.n_active, natural.n_hard]).astype(np.float64)
    n_excerpts, n_active, n_hard = counts @ taken
    return np.asarray(n_active / n_excerpts), np.asarray(n_hard / np.maximum(n_excerpts - n_active, 1))


def _why_undefined(said: Judgements) -> str | None:
    n_missing = int(np.isnan(said.probabilities).sum())
    if n_missing:
        return f"{n_missing} of {len(said.strata)} excerpts have no verdict"
    n_active = len(_rows(said, _ACTIVE))
    for n, what in ((n_active, "active"), (len(said.strata) - n_active, "other")):
        if n < FEWEST:
            return f"{n} of the {FEWEST} {what} excerpts that it needs"
    return None


def _why_no_rate(said: Judgements, natural: NaturalCounts) -> str | None:
    n_active, n_hard = int(natural.n_active.sum()), int(natural.n_hard.sum())
    if n_active < FEWEST:
        return f"{n_active} of the {FEWEST} active excerpts that a natural rate needs"
    n_plain = int(natural.n_excerpts.sum()) - n_active - n_hard
    for n, group, what in ((n_plain, _PLAIN, "plain"), (n_hard, _HARD, "hard")):
        if n and not len(_rows(said, group)):
            return f"of {n} {what} excerpts of the natural-rate sample none was judged"
    return None


def _why_no_precision(said: Judgements) -> str | None:
    return None if (said.probabilities > YES_ABOVE).any() else "the judge says yes to no excerpt"


def _metric(said: Judgements, value: float, draws: Float[np.ndarray, " draw"], level: float) -> Metric:
    n_excerpts, n_documents = len(said.strata), _n_documents(said)
    ends = percentiles(draws[np.newaxis], level)
    failure = None
    if n_documents < FEWEST_DOCUMENTS:
        failure = f"{n_documents} of the {FEWEST_DOCUMENTS} documents that an interval needs"
    elif ends.undefined[0] > MOST_UNDEFINED:
        failure = f"{ends.undefined[0]:.0%} of the draws have no value"
    elif np.all(draws == value):
        failure = "all draws say the same: the excerpts are too few to tell how far it may be off"
    if failure is not None:
        return Metric(value, None, None, n_excerpts, n_documents, failure)
    return Metric(value, min(value, float(ends.low[0])), max(value, float(ends.high[0])), n_excerpts, n_documents)


def _n_documents(said: Judgements) -> int:
    return len(np.unique(said.document_indices))
