"""Layers as partition keys: L03 is layer 3, with as many digits as the subject's last layer needs, and at least two.

Put here: the naming of partitions. Keep out: which layers a study has (`study.py`).
https://docs.dagster.io/guides/build/partitions-and-backfills/partitioning-assets
"""

import dagster as dg

from neuron_assets.study import Study


def layer_key(layer_index: int, n_layers: int) -> str:
    """`L03` for layer 3 of 48, `L003` for layer 3 of 120."""
    return f"L{layer_index:0{max(2, len(str(n_layers - 1)))}d}"


def layer_index(key: str) -> int:
    """3 for `L03`."""
    return int(key.removeprefix("L"))


def layer_partitions(study: Study) -> dg.StaticPartitionsDefinition:
    """One partition a layer of the study."""
    return dg.StaticPartitionsDefinition([layer_key(index, study.subject.n_layers) for index in study.layer_indices])
