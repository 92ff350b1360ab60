"""The table that tells which neurons fire on a token, as `schemas.py` has the others.

Here: its columns. Not here: how it is made (`token_index.py`).
"""

import pandera.polars as pa
import polars as pl

from neuron_assets.tables.table_models import OfNeurons


class TokenIndex(OfNeurons):
    """On which tokens each neuron fires in its `train` excerpts, sorted by token: for finding neurons."""

    token: pl.String = pa.Field(description="As a reader sees it; untrusted. Only those that a neuron does most on.")
    n_firing: pl.Int32 = pa.Field(ge=1, description="How often it fires there: is above `active_share` of its maximum.")
    mean: pl.Float64 = pa.Field(description="Mean activation of these, raw.")
    peak: pl.Float32 = pa.Field(description="Highest of these, raw.")
    share: pl.Float64 = pa.Field(
        ge=0, le=1.000001, description="Of the sum of its activations wherever it fires, the part on this token."
    )
