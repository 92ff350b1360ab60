"""The layers of a study as partitions.

Put here: partitions. Keep out: which layers a study has (`study.py`), how they are called (`tables/layer_keys.py`).
https://docs.dagster.io/guides/build/partitions-and-backfills/partitioning-assets
"""

import dagster as dg

from neuron_assets.study import Study
from neuron_assets.tables.layer_keys import layer_index, layer_key

__all__ = ["layer_index", "layer_key", "layer_partitions"]


def layer_partitions(study: Study) -> dg.StaticPartitionsDefinition:
    """One partition a layer of the study."""
    return dg.StaticPartitionsDefinition([layer_key(index, study.subject.n_layers) for index in study.layer_indices])
