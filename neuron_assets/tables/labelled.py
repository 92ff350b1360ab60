"""What people wrote of neurons, as rows of the table `labels`, and what has become of it.

Here: the way from the store's explanations to rows and candidates, for people to look at. Not here: the store
(`label_store.py`), simulations by hand (`hand_simulated.py`).
"""

from collections import Counter
from collections.abc import Sequence

import polars as pl

from neuron_assets.method.labels import PersonsExplanation, distinct
from neuron_assets.method.records import NeuronId
from neuron_assets.tables.rows import frame


def labels_frame(explanations: Sequence[PersonsExplanation]) -> pl.DataFrame:
    """One row a neuron, person and text."""
    told, numbers = distinct(explanations), Counter[NeuronId]()
    rows = []
    for one in told:
        rows.append(numbers[one.neuron])
        numbers[one.neuron] += 1
    return frame(
        "labels",
        {
            "layer_index": [one.neuron.layer_index for one in told],
            "neuron_index": [one.neuron.neuron_index for one in told],
            "label": rows,
            "author": [one.author for one in told],
            "explanation": [one.text for one in told],
        },
    )
