"""What the models of all tables share.

Here: strictness, and the columns of what is told by neuron. Not here: any table (`schemas.py`).
"""

import pandera.polars as pa
import polars as pl


class Table(pa.DataFrameModel):
    """Has its columns, in their order and types, and no other."""

    class Config:
        """Of pandera."""

        strict = True
        ordered = True
        coerce = False


class OfNeurons(Table):
    """Told by neuron."""

    layer_index: pl.Int32 = pa.Field(ge=0, description="Layer, from 0.")
    neuron_index: pl.Int32 = pa.Field(ge=0, description="Unit of the layer's MLP, from 0.")
