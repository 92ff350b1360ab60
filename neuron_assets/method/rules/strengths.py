"""Rules with their strengths, while they are being fitted: which rule counts where, the best strengths, the rounding.

Here: the running state of one fit. Not here: which rule comes next (`fitting.py`).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from neuron_assets.method.records import LARGEST
from neuron_assets.method.rules.classes import CLASSES
from neuron_assets.method.rules.language import ANY, ANYWHERE, Context, Effect, Rule, Ruleset, Target
from neuron_assets.method.rules.simulating import narrowness

RIDGE = 2.0
"""Strengths are drawn to the mean (what is added: to nothing) as if that had been seen at this many positions more."""

STRETCHES = (1.0, 1.25, 1.6, 2.0)
"""The strongest rule becomes 10 times one of these, and at most 10; more of a stretch tells weak rules apart better."""


class Strengths:
    """Grows by one rule at a time. `activations` and `weights` are [position], activations in 0 to 10."""

    def __init__(self, activations: Float[np.ndarray, " position"], weights: Float[np.ndarray, " position"]) -> None:
        self._activations = activations
        self._weights = weights
        self.mean = float(np.average(activations, weights=weights))
        self._setting: list[tuple[Context, Target]] = []
        self._adding: list[tuple[Context, Int[np.ndarray, " held"]]] = []
        self._set_to = np.array([self.mean])  # one a setting rule, then that of whatever no rule names
        self._added = np.zeros(0)
        self._owner = np.full(activations.size, -1)
        self.narrowness = np.full(activations.size, -1)
        """Of the rule that counts at each position; -1 where none does."""

    def set(self, context: Context, target: Target, positions: Int[np.ndarray, " held"]) -> None:
        """A rule that sets; it counts where no narrower one does, and gives way to earlier ones that are as narrow."""
        rank = narrowness(Rule(context, target, "sets", 0))
        here = positions[self.narrowness[positions] < rank]
        self.narrowness[here] = rank
        self._owner[here] = len(self._setting)
        self._setting.append((context, target))
        self._adding = [
            (adds_in, np.setdiff1d(held, here) if adds_in == context else held) for adds_in, held in self._adding
        ]

    def add(self, context: Context, positions: Int[np.ndarray, " held"]) -> None:
        """A rule that adds; nothing where a rule of the same context sets."""
        own = [number for number, (sets_in, _) in enumerate(self._setting) if sets_in == context]
        self._adding.append((context, positions[~np.isin(self._owner[positions], own)]))

    def base(self) -> Float[np.ndarray, " position"]:
        """What the setting rules say at each position."""
        base: Float[np.ndarray, " position"] = self._set_to[self._owner]
        return base

    def extra(self) -> Float[np.ndarray, " position"]:
        """What the adding rules say at each position."""
        return self._sum(self._added)

    def refit(self) -> None:
        """All strengths together, by ridge regression: setting rules divide the positions, adding ones overlap them."""
        n_set, n_add = len(self._setting) + 1, len(self._adding)
        owner = np.where(self._owner < 0, n_set - 1, self._owner)
        held = np.zeros((n_add, owner.size))
        for row, (_, positions) in zip(held, self._adding, strict=True):
            row[positions] = 1.0
        weighted = held * self._weights
        system = np.zeros((n_set + n_add, n_set + n_add))
        system[:n_set, :n_set] = np.diag(np.bincount(owner, self._weights, n_set))
        for index, (_, positions) in enumerate(self._adding, start=n_set):
            system[index, :n_set] = np.bincount(owner[positions], self._weights[positions], n_set)
        system[:n_set, n_set:] = system[n_set:, :n_set].T
        system[n_set:, n_set:] = weighted @ held.T
        system[np.diag_indices_from(system)] += RIDGE
        centred = self._activations - self.mean
        wanted = np.concatenate([np.bincount(owner, self._weights * centred, n_set), weighted @ centred])
        solution = np.linalg.solve(system, wanted)
        self._set_to = self.mean + solution[:n_set]
        self._added = solution[n_set:]

    def ruleset(self) -> Ruleset:
        """The rules in whole numbers, on the scale on which they follow the activations best."""
        strongest = max(float(np.abs(np.concatenate([self._set_to, self._added])).max()), 1e-9)
        choices = [self._scaled(LARGEST * stretch / strongest) for stretch in STRETCHES]
        set_to, added = max(choices, key=lambda choice: self._agreement(*choice))
        rules = [
            *_rules(self._setting, set_to, "sets"),
            *_rules([(context, ANY) for context, _ in self._adding], added, "adds"),
        ]
        otherwise = int(set_to[-1])
        telling = [rule for rule in rules if not _goes_without_saying(rule, rules, otherwise)]
        return Ruleset(tuple(_in_reading_order(telling)), otherwise)

    def _scaled(self, factor: float) -> tuple[Int[np.ndarray, " set"], Int[np.ndarray, " add"]]:
        set_to = np.clip(np.rint(self._set_to * factor), 0, LARGEST)
        added = np.clip(np.rint(self._added * factor), -LARGEST, LARGEST)
        return set_to.astype(np.int64), added.astype(np.int64)

    def _agreement(self, set_to: Int[np.ndarray, " set"], added: Int[np.ndarray, " add"]) -> float:
        """The weighted correlation with the activations, over all positions of the fit."""
        simulated = np.clip(set_to[self._owner] + self._sum(added.astype(np.float64)), 0, LARGEST)
        centred = simulated - np.average(simulated, weights=self._weights)
        spread = float(np.sqrt(self._weights @ centred**2))
        return float((self._weights * centred) @ (self._activations - self.mean)) / spread if spread > 0 else 0.0

    def _sum(self, added: Float[np.ndarray, " add"]) -> Float[np.ndarray, " position"]:
        total = np.zeros(self._activations.size)
        for (_, positions), strength in zip(self._adding, added.tolist(), strict=True):
            total[positions] += strength
        return total


def _rules(named: list[tuple[Context, Target]], strengths: Int[np.ndarray, " rule"], effect: Effect) -> list[Rule]:
    """Rules that add nothing are left out; those that set nothing may be exceptions, and stay."""
    return [
        Rule(context, target, effect, strength)
        for (context, target), strength in zip(named, strengths.tolist(), strict=False)
        if effect == "sets" or strength != 0
    ]


def _goes_without_saying(rule: Rule, rules: Sequence[Rule], otherwise: int) -> bool:
    """Whether it names a token that would have the same strength without it: no class that is named holds the token."""
    if rule.target.kind != "token" or rule.context != ANYWHERE or rule.strength != otherwise:
        return False
    classes = [other.target.what for other in rules if other.target.kind == "class"]
    return not any(CLASSES[name](rule.target.what) for name in classes)


def _in_reading_order(rules: list[Rule]) -> list[Rule]:
    """What holds anywhere, then the contexts as they were chosen, for of two rules that fit the first counts.

    In each, what is added, then tokens by strength, then classes as they were chosen.
    """
    contexts = list(dict.fromkeys(rule.context for rule in rules))
    return sorted(
        rules,
        key=lambda rule: (
            rule.context.kind != "anywhere",
            contexts.index(rule.context),
            rule.effect == "sets",
            ("token", "class", "any").index(rule.target.kind),
            -rule.strength if rule.target.kind == "token" else 0,
        ),
    )
