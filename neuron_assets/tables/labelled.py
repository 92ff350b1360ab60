"""What people wrote of neurons, as rows of the table `labels`.

Here: the way from the store's explanations to rows. Not here: the store (`label_store.py`), how rows become candidates
(`explained.py`), simulations by hand (`hand_simulated.py`).
"""

from collections import Counter
from collections.abc import Sequence

import polars as pl

from neuron_assets.method.labels import PersonsExplanation, distinct
from neuron_assets.method.records import NeuronId
from neuron_assets.tables.rows import frame


def labels_frame(explanations: Sequence[PersonsExplanation]) -> pl.DataFrame:
    """One row a neuron, person and text."""
    told, so_far, numbers = distinct(explanations), Counter[NeuronId](), list[int]()
    for one in told:
        numbers.append(so_far[one.neuron])
        so_far[one.neuron] += 1
    return frame(
        "labels",
        {
            "layer_index": [one.neuron.layer_index for one in told],
            "neuron_index": [one.neuron.neuron_index for one in told],
            "label": numbers,
            "author": [one.author for one in told],
            "explanation": [one.text for one in told],
        },
    )
