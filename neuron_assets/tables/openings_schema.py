"""The table that tells when the pool `test` was opened, as `schemas.py` has the others.

Here: its columns. Not here: when it may be opened (`final_report.py`), its rows (`openings.py`).
"""

from typing import Annotated

import pandera.polars as pa
import polars as pl

from neuron_assets.tables.table_models import Table


class Openings(Table):
    """When a person opened the pool `test` for a final report, and for what. Rows are only added."""

    opening: pl.Int32 = pa.Field(ge=1, description="First, second ... look; only the first is final.")
    layer_index: pl.Int32 = pa.Field(ge=0, description="Layer, from 0.")
    opened_at: Annotated[pl.Datetime, "us", "UTC"] = pa.Field(description="When; the one time in all tables.")
    excerpts: pl.String = pa.Field(description="Content hash of `excerpts`: whose `test` it was.")
    lineage: pl.String = pa.Field(description="Of `final_scores`: how it was scored.")
    n_neurons: pl.Int32 = pa.Field(ge=0, description="Neurons that are reported.")
    stand: pl.String = pa.Field(description="Hash of the texts that stand for them.")
    explainer: pl.String = pa.Field(description="Who wrote these.")
    simulator: pl.String = pa.Field(description="Who simulates.")
