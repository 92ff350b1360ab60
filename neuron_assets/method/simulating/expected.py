"""From log-probabilities of the eleven whole numbers to their distribution and its mean.

What else a model might have said in the place (the mark for unknown, a letter) is left out, and the rest is made to sum
to 1 again (Bills et al. 2023). Here: the arithmetic, for tokenizers that read 10 as one token and for those that read
it as 1 and 0. Not here: where the log-probabilities stand in a reply (`echoed.py`) or in a model (`language_models/`).
"""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from neuron_assets.errors import UnreadableReply
from neuron_assets.method.records import LARGEST

_VALUES = [str(value) for value in range(LARGEST + 1)]


def distribution_from_alternatives(alternatives: Mapping[str, float]) -> Float[np.ndarray, " value"]:
    """Probabilities of 0 to 10, out of the log-probabilities (nats) of the likeliest tokens in one place.

    Only the texts `0` to `10` count, exactly so: ` 5`, `05` and `5.0` do not. A number that is not among the
    alternatives has probability 0. Raises UnreadableReply where none of them is, or where one is NaN or +inf.
    """
    found = np.array([alternatives.get(text, -math.inf) for text in _VALUES], dtype=np.float64)
    if np.isnan(found).any() or np.isposinf(found).any():
        raise UnreadableReply("a log-probability is NaN or infinite", str(dict(alternatives)))
    if np.isneginf(found).all():
        raise UnreadableReply("no number from 0 to 10 among the alternatives", str(dict(alternatives)))
    return distribution_from_log_probabilities(found)


def distribution_from_log_probabilities(
    log_probabilities: Float[np.ndarray, "*axes value"],
) -> Float[np.ndarray, "*axes value"]:
    """Probabilities that sum to 1, of log-probabilities that may lack one common constant, such as logits.

    At least one a place has to be finite; NaN in a place gives NaN there.
    """
    wide = log_probabilities.astype(np.float64)
    # The largest becomes 1 before the sum is taken: however small all of them are, none of it underflows to 0 / 0.
    probabilities = np.exp(wide - wide.max(axis=-1, keepdims=True))
    shares: Float[np.ndarray, "*axes value"] = probabilities / probabilities.sum(axis=-1, keepdims=True)
    return shares


def distribution_from_split_log_probabilities(
    digits: Float[np.ndarray, "*axes digit"], after_one: Float[np.ndarray, "*axes digit"]
) -> Float[np.ndarray, "*axes value"]:
    """The same for a tokenizer that reads each digit as a token: P(10) = P(1) P(0 | 1), P(1) = P(1) P(no digit | 1).

    `digits` may lack one common constant; `after_one` may not: it holds true log-probabilities of the ten digits, given
    that `1` has been said. Other two-digit numbers than 10 are no values, and left out like all that is not.
    """
    one, follows = digits[..., 1].astype(np.float64), np.exp(after_one.astype(np.float64))
    with np.errstate(divide="ignore"):  # nothing but digits after 1: then the value 1 has probability 0
        no_digit = np.log(np.clip(1 - follows.sum(axis=-1), 0, 1))
    values = np.concatenate([digits.astype(np.float64), (one + after_one[..., 0])[..., None]], axis=-1)
    values[..., 1] = one + no_digit
    return distribution_from_log_probabilities(values)


def expected_values(distribution: Float[np.ndarray, "*axes token value"]) -> Float[np.ndarray, "*axes token"]:
    """Means of distributions over 0 to 10."""
    means: Float[np.ndarray, "*axes token"] = distribution @ np.arange(LARGEST + 1, dtype=np.float64)
    return means
