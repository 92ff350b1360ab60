"""The simulator of the rules: strengths for every token, from the text of an explanation and the tokens alone.

Here: where contexts and targets hold, and which rule counts where several do. Not here: the grammar (`language.py`).
"""

import numpy as np
from jaxtyping import Bool, Float

from neuron_assets.method.records import LARGEST, Tokens
from neuron_assets.method.rules.classes import CLASSES, PLACES, line_numbers
from neuron_assets.method.rules.language import ANYWHERE, NEAR, Context, Rule, Ruleset, Target, parse_meanings


def simulate_by_rules(text: str, tokens: Tokens) -> Float[np.ndarray, "excerpt token"]:
    """What the text says of these tokens, 0 to 10; of a list of meanings the strongest counts.

    Raises UnreadableExplanation if it is not written in the grammar.
    """
    return np.asarray(np.max([simulate(ruleset, tokens) for ruleset in parse_meanings(text)], axis=0))


def simulate(ruleset: Ruleset, tokens: Tokens) -> Float[np.ndarray, "excerpt token"]:
    """Each token has the strength that the narrowest rule sets, more or less what the contexts add; 0 to 10.

    A context adds nothing where the rule that counts stands in its own sentence.
    """
    tokens = used_only(tokens)
    setting = [rule for rule in ruleset.rules if rule.effect == "sets"]
    values = np.full(tokens.codes.shape, float(ruleset.otherwise))
    setting.reverse()  # the sort is stable: of equals, the first in the text is applied last, and counts
    contexts = list(dict.fromkeys(rule.context for rule in ruleset.rules))
    said_in = np.full(tokens.codes.shape, -1)
    for rule in sorted(setting, key=narrowness):
        mask = rule_mask(rule, tokens)
        values[mask] = rule.strength
        said_in[mask] = contexts.index(rule.context)
    for rule in ruleset.rules:
        if rule.effect == "adds":
            values += rule.strength * (rule_mask(rule, tokens) & (said_in != contexts.index(rule.context)))
    return np.asarray(np.clip(values, 0, LARGEST))


def used_only(tokens: Tokens) -> Tokens:
    """The same tokens, with codes into those strings only that occur in them."""
    used, codes = np.unique(tokens.codes, return_inverse=True)
    return Tokens(codes.reshape(tokens.codes.shape), tuple(tokens.strings[code] for code in used.tolist()))


def narrowness(rule: Rule) -> int:
    """A token counts before a class, a class before any token; of two alike, the one in a context counts."""
    return 2 * ("any", "class", "token").index(rule.target.kind) + (rule.context != ANYWHERE)


def rule_mask(rule: Rule, tokens: Tokens) -> Bool[np.ndarray, "excerpt token"]:
    """Where a rule speaks, other rules left aside."""
    mask = target_mask(rule.target, tokens)
    return mask if rule.context == ANYWHERE else mask & context_mask(rule.context, tokens)


def target_mask(target: Target, tokens: Tokens) -> Bool[np.ndarray, "excerpt token"]:
    """Where a token is one of those that the target names."""
    match target.kind:
        case "token":
            code = tokens.strings.index(target.what) if target.what in tokens.strings else -1
            return np.asarray(tokens.codes == code)
        case "class":
            belongs = CLASSES[target.what]
            return np.take(np.array([belongs(string) for string in tokens.strings], np.bool_), tokens.codes)
        case "any":
            return np.ones(tokens.codes.shape, np.bool_)


def context_mask(context: Context, tokens: Tokens) -> Bool[np.ndarray, "excerpt token"]:
    """Where a context holds, told from the tokens before in the same excerpt."""
    match context.kind:
        case "anywhere":
            return np.ones(tokens.codes.shape, np.bool_)
        case "after":
            return _delayed(target_mask(Target("token", context.what), tokens), 1)
        case "after class":
            return _delayed(target_mask(Target("class", context.what), tokens), 1)
        case "near":
            here = target_mask(Target("token", context.what), tokens)
            return np.asarray(np.any([_delayed(here, n_back) for n_back in range(1, NEAR + 1)], axis=0))
        case "line":
            return _earlier_on_line(target_mask(Target("token", context.what), tokens), tokens)
        case "place":
            return PLACES[context.what](tokens)


def _delayed(holds: Bool[np.ndarray, "excerpt token"], n_back: int) -> Bool[np.ndarray, "excerpt token"]:
    """Where it held so many tokens before."""
    later = np.zeros_like(holds)
    later[:, n_back:] = holds[:, :-n_back]
    return later


def _earlier_on_line(holds: Bool[np.ndarray, "excerpt token"], tokens: Tokens) -> Bool[np.ndarray, "excerpt token"]:
    lines = line_numbers(tokens)
    latest = np.maximum.accumulate(np.where(holds, lines, -1), axis=1)  # the last line on which it held
    later = np.zeros_like(holds)
    later[:, 1:] = latest[:, :-1] == lines[:, 1:]
    return later
