"""Controls: what a score would be if the explanation had nothing to do with the neuron.

Here: which neuron lends its explanation, and what is too broad for any. Not here: simulating and scoring it, which goes
the way of every explanation.
"""

from collections.abc import Sequence

import numpy as np

SHUFFLED_CONTROL = "shuffled_control"
"""The author of a candidate whose text is another neuron's."""

OVER_BROAD_CONTROL = "over_broad_control"
"""The author of a candidate that says far too much, and the same of every neuron. It is right whenever the neuron is
active on a word: a score that it does well in tells little."""

CONTROLS = (SHUFFLED_CONTROL, OVER_BROAD_CONTROL)

OVER_BROAD_IN_WORDS = "most words"
OVER_BROAD_IN_RULES = "Activates on words (10). Otherwise about 0."
"""The same for the simulator that reads rules."""


def lenders(neuron_indices: Sequence[int], layer_index: int, seed: int) -> dict[int, int]:
    """For each neuron of a layer another one, whose explanation it is to be scored with; empty for a lone neuron.

    The neurons stand in a seeded circle, in the order of a number that depends only on the seed, the layer and the
    neuron: each borrows from the next. One more neuron changes the lender of one other.
    """
    circle = sorted(
        neuron_indices, key=lambda neuron: (np.random.default_rng([seed, layer_index, neuron]).random(), neuron)
    )
    return {
        neuron: lender for neuron, lender in zip(circle, [*circle[1:], *circle[:1]], strict=True) if neuron != lender
    }
