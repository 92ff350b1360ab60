"""What a step declares that makes several tables at once.

Put here: its outputs. Keep out: which steps these are (`activations.py`, `revised.py`).
https://docs.dagster.io/guides/build/assets/defining-assets#multi-asset
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from neuron_assets.assets.specs import IO_MANAGER_KEY, asset_attributes, asset_key
from neuron_assets.study import Study


def tables_out(study: Study, tables: Sequence[str]) -> Mapping[str, dg.AssetOut]:
    """By table, without partitions: a multi-asset has them once, for all its tables."""
    return {table: _out(study, table) for table in tables}


def _out(study: Study, table: str) -> dg.AssetOut:
    attributes: dict[str, Any] = asset_attributes(study, table)
    del attributes["partitions_def"]
    return dg.AssetOut(key=asset_key(study, table), io_manager_key=IO_MANAGER_KEY, **attributes)
