"""The explainer without a language model: rules fitted to what one neuron did on its `train` excerpts, told in English.

Here: the greedy choice of rules. A rule is worth the squared error that it takes away, held against the characters
that it costs a reader; whenever a rule has come, all strengths are fitted anew, together. Not here: the contexts there
are to choose from (`surroundings.py`), the strengths (`strengths.py`), the sentences (`language.py`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from neuron_assets.method.records import LARGEST, Exemplars
from neuron_assets.method.rules.classes import CLASSES, class_table
from neuron_assets.method.rules.gains import Ground
from neuron_assets.method.rules.language import ANYWHERE, Context, Rule, Ruleset, Target, lead, quoted, render
from neuron_assets.method.rules.simulating import context_mask, narrowness, used_only
from neuron_assets.method.rules.strengths import Strengths
from neuron_assets.method.rules.surroundings import surroundings

RULES_VERSION = 1
"""Rises whenever the same exemplars may give another text."""


@dataclass(frozen=True, slots=True)
class RuleParameters:
    """What was chosen for the fit; every field can change the text."""

    n_rules: int = 40
    """At most so many tokens, classes and contexts are named."""
    longest: int = 480
    """Characters of the text, about."""
    brevity: float = 0.6
    """A rule ranks by its gain over its characters to this power: 0 ignores length, 1 is gain a character."""
    token_prior: float = 4.0
    """Strengths that a rule sets are drawn to the mean as if that had been seen at this many positions more."""
    exception_prior: float = 10.0
    """The same for one token in one context, of which there are many to choose from."""
    context_prior: float = 50.0
    """What a context adds is drawn to nothing as if that had been seen at this many positions more."""
    top_weight: float = 1.0
    """Weight of a top excerpt, where a random one has 1."""
    smallest_gain: float = 0.001
    """A rule that takes away less of the squared error than this share ends the fit."""
    fewest_documents: int = 2
    """A token that stands in fewer documents is never named: it may be a peculiarity of one text."""


def explain_by_rules(exemplars: Exemplars, parameters: RuleParameters) -> str:
    """What makes the neuron active, in the grammar of docs/rules.md; sees nothing but these exemplars."""
    activations = np.maximum(exemplars.activations.astype(np.float64), 0.0)
    peak = activations.max(initial=0.0)
    if peak <= 0.0:
        return render(Ruleset((), 0))
    return render(_Fit(exemplars, activations / peak * LARGEST, parameters).ruleset())


Step = tuple[Context, Target | None]
"""A rule without its strength: one that sets this target, or (None) one that adds."""


@dataclass(frozen=True, slots=True)
class _Proposal:
    """Steps that could be taken together."""

    gain: float
    """Weighted squared error taken away."""
    cost: float
    """Characters."""
    steps: tuple[Step, ...]


class _Fit:
    """One neuron's fit. Positions count through the excerpts row by row; tokens are codes of `self._tokens`."""

    def __init__(
        self, exemplars: Exemplars, activations: Float[np.ndarray, "excerpt token"], parameters: RuleParameters
    ) -> None:
        self._parameters = parameters
        self._tokens = used_only(exemplars.tokens)
        self._flat = self._tokens.codes.ravel()
        self._n_strings = len(self._tokens.strings)
        n_tokens = self._tokens.codes.shape[1]
        self._weights = np.repeat(np.where(exemplars.is_top, parameters.top_weight, 1.0), n_tokens)
        self._activations = activations.ravel()
        self._spread = self._n_documents(np.repeat(exemplars.document_indices, n_tokens)) >= parameters.fewest_documents
        self._around = surroundings(self._tokens, self._spread)
        self._classes = class_table(self._tokens.strings)[self._flat].astype(np.float32)
        self._token_costs = np.array([len(quoted(string)) + 3 for string in self._tokens.strings])
        self._context_weights = np.bincount(self._around.entries, self._weights[self._around.positions])
        self._entry_bounds = np.searchsorted(self._flat[self._around.positions], np.arange(self._n_strings + 1))
        self._strengths = Strengths(self._activations, self._weights)
        self._taken: set[Step] = set()
        self._spent = 0.0

    def ruleset(self) -> Ruleset:
        """Adds the best proposals until nothing is worth its characters, or there is no room."""
        left = self._residual()
        enough = self._parameters.smallest_gain * float(self._weights @ left**2) + _ROUNDING
        self._spent = float(len(render(Ruleset((), 0))) + len(lead(ANYWHERE)))
        while len(self._taken) < self._parameters.n_rules:
            chosen = self._chosen(enough)
            if not chosen:
                break
            for proposal in chosen:
                self._take(proposal)
            self._strengths.refit()
        return self._strengths.ruleset()

    def _chosen(self, enough: float) -> list[_Proposal]:
        """The best proposal; if it names a token, with the next tokens if they are nearly as good."""
        room = self._parameters.longest - self._spent
        n_left = self._parameters.n_rules - len(self._taken)
        tokens, others = (
            sorted(
                (p for p in proposals if p.gain > enough and p.cost <= room and len(p.steps) <= n_left),
                key=self._worth,
                reverse=True,
            )
            for proposals in self._proposals()
        )
        if others and (not tokens or self._worth(others[0]) >= self._worth(tokens[0])):
            return others[:1]
        bar = _NEARLY * self._worth(others[0]) if others else 0.0
        return [proposal for proposal in tokens[: min(_AT_ONCE, n_left)] if self._worth(proposal) > bar]

    def _worth(self, proposal: _Proposal) -> float:
        return proposal.gain / float(proposal.cost**self._parameters.brevity)

    def _take(self, proposal: _Proposal) -> None:
        if self._spent + proposal.cost > self._parameters.longest:
            return
        self._spent += proposal.cost
        for context, target in proposal.steps:
            self._taken.add((context, target))
            if target is None:
                self._strengths.add(context, self._where(context))
            else:
                self._strengths.set(context, target, self._holding(context, target))

    def _proposals(self) -> tuple[list[_Proposal], list[_Proposal]]:
        """Those that name a token anywhere, and all others."""
        ground = Ground.of(self._activations - self._strengths.extra(), self._strengths.base(), self._weights)
        free = ground.free(self._strengths.narrowness <= _TOKEN)
        in_context = [proposal for code in self._torn_tokens(free) for proposal in self._context_tokens(free, code)]
        return self._single_tokens(ground), [*self._whole_classes(ground), *self._additions(ground), *in_context]

    def _single_tokens(self, ground: Ground) -> list[_Proposal]:
        sums = ground.free(self._strengths.narrowness < _TOKEN).grouped(self._flat, self._n_strings)
        gains = np.where(self._spread, sums.gains(self._strengths.mean, self._parameters.token_prior), 0.0)
        worths = gains / self._token_costs**self._parameters.brevity
        best = np.argsort(-worths)[:_AT_ONCE].tolist()
        return [
            _Proposal(float(gains[code]), float(self._token_costs[code]), ((ANYWHERE, self._token(code)),))
            for code in best
        ]

    def _whole_classes(self, ground: Ground) -> list[_Proposal]:
        sums = ground.free(self._strengths.narrowness < _CLASS).overlapping(self._classes)
        gains = sums.gains(self._strengths.mean, self._parameters.token_prior)
        return [
            _Proposal(float(gains[index]), len(name) + 6.0, ((ANYWHERE, Target("class", name)),))
            for index, name in enumerate(CLASSES)
        ]

    def _additions(self, ground: Ground) -> list[_Proposal]:
        around = self._around
        left = np.bincount(around.entries, ground.left[around.positions], len(around.kinds))
        gains = left**2 / (self._context_weights + self._parameters.context_prior)
        best = np.argsort(-gains)[: len(self._taken) + _AT_ONCE].tolist()
        steps = [(around.context(index), None) for index in best]
        return [
            _Proposal(float(gains[index]), around.costs[index] + 8.0, (step,))
            for index, step in zip(best, steps, strict=True)
            if step not in self._taken
        ]

    def _torn_tokens(self, free: Ground) -> list[int]:
        """The tokens whose activations differ most from one place to another."""
        sums = free.grouped(self._flat, self._n_strings)
        return [int(code) for code in np.argsort(-sums.within() * self._spread)[:_TORN] if self._spread[code]]

    def _context_tokens(self, free: Ground, code: int) -> list[_Proposal]:
        """One token in one context; also together with the token anywhere, whose exception it then is."""
        mean, prior = self._strengths.mean, self._parameters.exception_prior
        around = self._around
        if not len(around.kinds):
            return []
        chosen = slice(*self._entry_bounds[code : code + 2])
        inside = free.at(around.positions[chosen]).grouped(around.entries[chosen], len(around.kinds))
        gains = np.where(inside.weight >= _FEWEST_IN_CONTEXT, inside.gains(mean, prior), 0.0)
        index = int(np.argmax(gains))
        context, token = around.context(index), self._token(code)
        cost = float(around.costs[index] + self._token_costs[code] + 4)
        proposals = [_Proposal(float(gains[index]), cost, ((context, token),))]
        if (ANYWHERE, token) not in self._taken and self._spread[code]:
            elsewhere = free.at(np.flatnonzero(self._flat == code)).whole().without(inside)
            both = np.where(
                inside.weight >= _FEWEST_IN_CONTEXT, inside.gains(mean, prior) + elsewhere.gains(mean, prior), 0.0
            )
            index = int(np.argmax(both))
            cost = float(around.costs[index] + 2 * self._token_costs[code] + 4)
            proposals.append(_Proposal(float(both[index]), cost, ((ANYWHERE, token), (around.context(index), token))))
        return [proposal for proposal in proposals if proposal.steps[-1] not in self._taken]

    def _residual(self) -> Float[np.ndarray, " position"]:
        return np.asarray(self._activations - self._strengths.base() - self._strengths.extra())

    def _token(self, code: int) -> Target:
        return Target("token", self._tokens.strings[code])

    def _n_documents(self, documents: Int[np.ndarray, " position"]) -> Int[np.ndarray, " string"]:
        """In how many documents each token stands."""
        pairs = np.unique(documents.astype(np.int64) * self._n_strings + self._flat)
        return np.bincount(pairs % self._n_strings, minlength=self._n_strings)

    def _where(self, context: Context) -> Int[np.ndarray, " held"]:
        return np.flatnonzero(context_mask(context, self._tokens))

    def _holding(self, context: Context, target: Target) -> Int[np.ndarray, " held"]:
        if target.kind == "class":
            holds = self._classes[:, list(CLASSES).index(target.what)] > 0
        else:
            holds = self._flat == self._tokens.strings.index(target.what)
        return (
            np.flatnonzero(holds)
            if context == ANYWHERE
            else np.intersect1d(np.flatnonzero(holds), self._where(context))
        )


_ROUNDING = 1e-6
"""Gains below this are errors of arithmetic."""

_AT_ONCE = 6
"""At most so many tokens are named between two fits of the strengths."""

_NEARLY = 0.75
"""Tokens that are worth this share of the best rule of another kind are named with those that are worth more."""

_TORN = 3
"""So many tokens are looked at in every context, each time."""

_FEWEST_IN_CONTEXT = 4
"""Weight (positions) that a token must have in a context to be named in it."""

_CLASS, _TOKEN = (narrowness(Rule(ANYWHERE, Target(kind), "sets", 0)) for kind in ("class", "token"))
