"""The model of the table `spending`.

Here: its columns. Not here: the ledger that it is made from (`language_models/ledger.py`), other tables (`schemas.py`).
"""

import pandera.polars as pa
import polars as pl

from neuron_assets.tables.table_models import Table


class Spending(Table):
    """What asking a server has taken so far, in all runs of the study, by step, layer and model."""

    asset: pl.String = pa.Field(description="For which table, or observation: to see who answers.")
    layer_index: pl.Int32 = pa.Field(nullable=True, ge=0, description="Layer, from 0; null for what is of no layer.")
    model: pl.String = pa.Field(description="Who answered, as observed: model and server.")
    requests: pl.Int64 = pa.Field(ge=1, description="Sent, whatever came of them; answers that were kept are in none.")
    answered: pl.Int64 = pa.Field(ge=0, description="Requests whose reply could be read.")
    unreadable: pl.Int64 = pa.Field(ge=0, description="Requests whose reply could not be read; they are charged, too.")
    refused: pl.Int64 = pa.Field(ge=0, description="Requests that the server refused for good.")
    retried: pl.Int64 = pa.Field(ge=0, description="Requests that it did not answer, and that were to be sent again.")
    tokens_in: pl.Int64 = pa.Field(ge=0, description="Tokens sent, as the server counts them.")
    tokens_out: pl.Int64 = pa.Field(ge=0, description="Tokens of the replies.")
    tokens_cached: pl.Int64 = pa.Field(ge=0, description="Those of tokens_in that the server had seen before.")
    cached_share: pl.Float64 = pa.Field(
        nullable=True, ge=0, le=1, description="tokens_cached / tokens_in; null where nothing was sent."
    )
    money: pl.Float64 = pa.Field(
        nullable=True, ge=0, description="US dollars of the requests whose price is known; null where none is."
    )
    n_without_price: pl.Int64 = pa.Field(ge=0, description="Requests that were charged, and are not in money.")
    n_estimated: pl.Int64 = pa.Field(
        ge=0, description="Requests whose tokens the server did not tell; they are estimated, rather too many."
    )
    median_seconds: pl.Float64 = pa.Field(
        nullable=True, ge=0, description="Until the reply, but for those of a provider's batch; null where none came."
    )
    p95_seconds: pl.Float64 = pa.Field(nullable=True, ge=0, description="95 % quantile of the same.")
