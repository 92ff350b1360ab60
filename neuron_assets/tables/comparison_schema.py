"""The model of the table `comparison`.

Here: its columns. Not here: what they are made of (`compared.py`), other tables (`schemas.py`).
"""

import pandera.polars as pa
import polars as pl

from neuron_assets.method.samples import SAMPLES
from neuron_assets.tables.table_models import Table


class Comparison(Table):
    """How much better other studies score the same neurons on the same excerpts than the first one, the baseline."""

    baseline: pl.String = pa.Field(description="The study that the others are compared with.")
    study: pl.String = pa.Field(description="The other study.")
    baseline_explainer: pl.String = pa.Field(description="Identity of the baseline's explainer.")
    explainer: pl.String = pa.Field(description="Identity of the other study's explainer.")
    baseline_simulator: pl.String = pa.Field(description="Identity of the baseline's simulator.")
    simulator: pl.String = pa.Field(description="Identity of the other study's simulator.")
    layer_index: pl.Int32 = pa.Field(nullable=True, ge=0, description="Layer, from 0; null for all layers together.")
    scorer: pl.String = pa.Field(description="simulation, ablation, detection or fuzzing.")
    sample: pl.String = pa.Field(isin=[*SAMPLES, "judged"], description="Which held-out excerpts were used.")
    metric: pl.String = pa.Field(description="ev_correlation of `scores`, or a metric of `metrics`.")
    n_neurons: pl.Int32 = pa.Field(ge=0, description="Neurons that have a value in both studies: all else is of these.")
    n_left_out: pl.Int32 = pa.Field(ge=0, description="Neurons of either study without a value in both.")
    left_out: pl.String = pa.Field(nullable=True, description="Why they are left out, by how often; null if none is.")
    baseline_mean: pl.Float64 = pa.Field(nullable=True, description="Mean of the baseline.")
    mean: pl.Float64 = pa.Field(nullable=True, description="Mean of the other study.")
    difference: pl.Float64 = pa.Field(
        nullable=True, description="Mean over neurons of the other study's value less the baseline's."
    )
    difference_low: pl.Float64 = pa.Field(
        nullable=True,
        description="Lower end of its 95 % interval: of ev_correlation documents and neurons, else neurons only.",
    )
    difference_high: pl.Float64 = pa.Field(nullable=True, description="Upper end of its 95 % interval.")
    win_rate: pl.Float64 = pa.Field(
        nullable=True, ge=0, le=1, description="Share of neurons that the other study does better on; ties count half."
    )
    baseline_cost: pl.Float64 = pa.Field(
        nullable=True, ge=0, description="US dollars that servers charged the baseline, a neuron it explains; or null."
    )
    cost: pl.Float64 = pa.Field(nullable=True, ge=0, description="The same of the other study.")
    baseline_cost_failure: pl.String = pa.Field(nullable=True, description="Why baseline_cost is null.")
    cost_failure: pl.String = pa.Field(nullable=True, description="Why cost is null.")
    failure: pl.String = pa.Field(nullable=True, description="Why there is no difference.")
    interval_failure: pl.String = pa.Field(nullable=True, description="Why there is no interval.")

    @pa.dataframe_check(name="a difference or a failure, never both")
    def compared_or_failed(cls, data: pa.PolarsData) -> pl.LazyFrame:  # noqa: N805
        return data.lazyframe.select(pl.col("difference").is_null() != pl.col("failure").is_null())

    @pa.dataframe_check(name="a cost or a reason, never both")
    def charged_or_unknown(cls, data: pa.PolarsData) -> pl.LazyFrame:  # noqa: N805
        own = pl.col("cost").is_null() != pl.col("cost_failure").is_null()
        return data.lazyframe.select(
            own & (pl.col("baseline_cost").is_null() != pl.col("baseline_cost_failure").is_null())
        )
