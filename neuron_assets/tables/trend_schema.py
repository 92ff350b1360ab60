"""The model of the table `trends`, as `schemas.py` has the others.

Here: its columns. Not here: how it is made (`trends.py`).
"""

import pandera.polars as pa
import polars as pl

from neuron_assets.method.samples import SAMPLES
from neuron_assets.method.trends import TRENDS
from neuron_assets.tables.table_models import Table


class Trends(Table):
    """How scores go with depth, density, kurtosis, explainer and revision: one row a point of a plot."""

    trend: pl.String = pa.Field(isin=list(TRENDS), description="What the scores are told by.")
    sample: pl.String = pa.Field(isin=list(SAMPLES), description="Which held-out excerpts were used.")
    author: pl.String = pa.Field(
        description="Author, control, lookup, or `chosen`. In `revision`: first, chosen, and gain, their difference."
    )
    layer_index: pl.Int32 = pa.Field(
        nullable=True, ge=0, description="In depth and revision: the layer, from 0; null for all layers together."
    )
    bin: pl.Int32 = pa.Field(
        nullable=True, ge=0, description="In density and kurtosis: from 0 for the lowest; null for neurons without one."
    )
    bin_low: pl.Float64 = pa.Field(
        nullable=True, description="Lowest share_active, or kurtosis, of the bin's neurons (`neuron_statistics`)."
    )
    bin_high: pl.Float64 = pa.Field(nullable=True, description="Highest one of the bin's neurons.")
    explainer: pl.String = pa.Field(description="Identity of the explainer, of several all; `none` for a lookup.")
    simulator: pl.String = pa.Field(description="Identity of the simulator, of several all; `none` for a lookup.")
    n_neurons: pl.Int32 = pa.Field(ge=1, description="Neurons that were asked for.")
    n_undefined: pl.Int32 = pa.Field(ge=0, description="Neurons without a score, or gain; in no mean and no share.")
    mean: pl.Float64 = pa.Field(
        nullable=True, ge=-2.000001, le=2.000001, description="Mean ev_correlation of the others, or mean gain."
    )
    mean_low: pl.Float64 = pa.Field(nullable=True, description="Lower end of its 95 % interval: documents and neurons.")
    mean_high: pl.Float64 = pa.Field(nullable=True, description="Upper end of its 95 % interval.")
    failure: pl.String = pa.Field(nullable=True, description="Why there is no mean.")
    interval_failure: pl.String = pa.Field(nullable=True, description="Why there is no interval.")
    share_above_half: pl.Float64 = pa.Field(
        nullable=True, ge=0, le=1, description="Share of scores above 0.5; null of a gain, and where there is no mean."
    )
    share_above_70: pl.Float64 = pa.Field(nullable=True, ge=0, le=1, description="Share of scores above 0.7.")
    share_above_80: pl.Float64 = pa.Field(nullable=True, ge=0, le=1, description="Share of scores above 0.8.")

    @pa.dataframe_check(name="a mean or a failure, never both")
    def told_or_failed(cls, data: pa.PolarsData) -> pl.LazyFrame:  # noqa: N805
        return data.lazyframe.select(pl.col("mean").is_null() != pl.col("failure").is_null())
