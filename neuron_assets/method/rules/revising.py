"""Revision without a language model: the rules are fitted anew, with the excerpts in sight on which they went wrong.

The counterexamples come from the corpus: of documents that the first fit has not seen, the excerpts that cost its
correlation most, where it fires wrongly or stays silent wrongly. They join the `train` exemplars and count more than
those, so that the new rules answer them, by an exception, a narrower context or another token, where that is worth its
characters.

Here: which excerpts, and the new fit. Not here: which documents may be looked at, and whether the new text is better,
which other documents must tell (`method/choosing.py`); the fit itself (`fitting.py`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from neuron_assets.method.mistakes import Mistake, mistakes
from neuron_assets.method.records import Exemplars, Tokens
from neuron_assets.method.rules.fitting import RuleParameters, explain_by_rules
from neuron_assets.method.rules.simulating import simulate_by_rules

RULES_REVISION_VERSION = 1
"""Rises whenever the same explanation and exemplars may give another revised text."""


@dataclass(frozen=True, slots=True)
class RevisionParameters:
    """What was chosen for the revision; every field can change the text."""

    n_counterexamples: int = 6
    """Excerpts, at most."""
    weight: int = 2
    """A counterexample counts as so many excerpts; its document still counts as one."""


@dataclass(frozen=True, slots=True)
class RevisedRules:
    """A revised explanation, and what it answers."""

    explanation: str
    counterexamples: tuple[Mistake, ...]
    """Rows of the exemplars that were looked at, the costliest first."""


def revise_by_rules(
    explanation: str,
    train: Exemplars,
    look: Exemplars,
    rules: RuleParameters,
    revision: RevisionParameters,
) -> RevisedRules:
    """The explanation in the light of its worst mistakes on `look`, whose documents it was not fitted to.

    The first text tells only where it goes wrong: the fit starts anew from `train` and the counterexamples. Where it
    makes no mistake, or nothing was looked at, it stays as it is. Raises UnreadableExplanation unless it is written in
    the grammar of docs/rules.md.
    """
    wrong = mistakes(look.activations, simulate_by_rules(explanation, look.tokens), revision.n_counterexamples)
    if not wrong:
        return RevisedRules(explanation, wrong)
    rows = np.repeat(np.array([mistake.row for mistake in wrong], np.int64), revision.weight)
    return RevisedRules(explain_by_rules(_with_rows(train, look, rows), rules), wrong)


def _with_rows(first: Exemplars, second: Exemplars, rows: Int[np.ndarray, " row"]) -> Exemplars:
    """All of the first, then some rows of the second."""
    strings = tuple(dict.fromkeys((*first.tokens.strings, *second.tokens.strings)))
    number = {string: code for code, string in enumerate(strings)}
    recoded = np.array([number[string] for string in second.tokens.strings], first.tokens.codes.dtype)
    codes = np.concatenate([first.tokens.codes, recoded[second.tokens.codes[rows]]])
    return Exemplars(
        Tokens(codes, strings),
        np.concatenate([first.activations, second.activations[rows]]),
        np.concatenate([first.is_top, second.is_top[rows]]),
        np.concatenate([first.document_indices, second.document_indices[rows]]),
        np.concatenate([first.excerpt_indices, second.excerpt_indices[rows]]),
    )
