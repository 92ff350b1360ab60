"""What tables have in common, as pandera models that they are made from.

Here: those models. Not here: the tables (`schemas.py`, `revision_schemas.py`).
"""

import pandera.polars as pa
import polars as pl


class Table(pa.DataFrameModel):
    """Exactly these columns, in this order."""

    class Config:  # noqa: D106  # pandera's own
        strict = True
        ordered = True
        coerce = False


class OfNeurons(Table):
    """Whose rows are of neurons."""

    layer_index: pl.Int32 = pa.Field(ge=0, description="Layer, from 0.")
    neuron_index: pl.Int32 = pa.Field(ge=0, description="Unit of the layer's MLP, from 0.")


class WithExplanation(OfNeurons):
    """Whose rows hold an explanation, or why there is none."""

    @pa.dataframe_check(name="an explanation or a failure, never both")
    def explained_or_failed(cls, data: pa.PolarsData) -> pl.LazyFrame:  # noqa: N805
        return data.lazyframe.select(pl.col("explanation").is_null() != pl.col("failure").is_null())
