"""The tables of evidence that some scorers rest on, as `schemas.py` has the others.

Here: verdicts of judges, and what replacing a neuron does to the subject. Not here: what tables have in common
(`table_models.py`), the metrics that are made of them.
"""

import pandera.polars as pa
import polars as pl

from neuron_assets.method.judging.choosing import STRATA
from neuron_assets.method.judging.measuring import JUDGED_METRICS
from neuron_assets.tables.table_models import OfNeurons


class Judgements(OfNeurons):
    """What a judge, reading a candidate's text, says of held-out excerpts: whether the neuron is active there."""

    candidate: pl.Int32 = pa.Field(ge=0, description="Candidate of the neuron.")
    scorer: pl.String = pa.Field(isin=list(JUDGED_METRICS), description="detection, fuzzing, or embedding.")
    excerpt_index: pl.Int32 = pa.Field(ge=0, description="Row of `excerpts`, of the pool valid.")
    stratum: pl.String = pa.Field(isin=list(STRATA), description="Kind of excerpt; yes is right for active, else no.")
    marked: pl.List = pa.Field(dtype_kwargs={"inner": pl.Int32()}, description="Places of marked tokens, for fuzzing.")
    judge: pl.String = pa.Field(description="Who judged; a model by who it was observed to be.")
    explanation: pl.String = pa.Field(nullable=True, description="The text that was read; null if there was none.")
    probability: pl.Float64 = pa.Field(
        nullable=True, ge=0, le=1, description="Of a yes, above 0.5 it is one; for embedding (1 + cosine) / 2."
    )
    failure: pl.String = pa.Field(nullable=True, description="Why there is no verdict.")

    @pa.dataframe_check(name="a verdict or a failure, never both")
    def judged_or_failed(cls, data: pa.PolarsData) -> pl.LazyFrame:  # noqa: N805
        return data.lazyframe.select(pl.col("probability").is_null() != pl.col("failure").is_null())


class Ablations(OfNeurons):
    """How far a neuron moves what the subject says next, where it does something else than it did.

    Divergences are Jensen-Shannon's, in nats, from the next-token distributions of the true pass; means over tokens.
    """

    candidate: pl.Int32 = pa.Field(ge=0, description="Candidate of the neuron.")
    excerpt_index: pl.Int32 = pa.Field(ge=0, description="Row of `excerpts`, of the pool `valid`.")
    divergence_simulated: pl.Float64 = pa.Field(
        nullable=True, ge=0, le=0.6932, description="Where it does what was simulated, calibrated; null if nothing was."
    )
    divergence_mean: pl.Float64 = pa.Field(
        nullable=True, ge=0, le=0.6932, description="Where it does its mean over `train`, at every token."
    )
    noise: pl.Float64 = pa.Field(
        nullable=True, ge=0, le=0.6932, description="Of rounding: as much cannot be told from nothing."
    )
    failure: pl.String = pa.Field(nullable=True, description="Why divergence_simulated is null.")

    @pa.dataframe_check(name="a divergence or a failure, never both")
    def replaced_or_failed(cls, data: pa.PolarsData) -> pl.LazyFrame:  # noqa: N805
        return data.lazyframe.select(pl.col("divergence_simulated").is_null() != pl.col("failure").is_null())
