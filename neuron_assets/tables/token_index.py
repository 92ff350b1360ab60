"""The table `token_index`, made from what neurons did on their `train` excerpts.

Here: its rows. Not here: who asks for a token (`viewer/search.py`).
"""

import numpy as np
import polars as pl

from neuron_assets.tables.rows import Corpus, matrix
from neuron_assets.tables.schemas import KEYS, empty

MOST_TOKENS = 20
"""Of one neuron: those that it does most on."""

_OF_NEURON = ("layer_index", "neuron_index")


def token_index_frame(
    shown: pl.DataFrame, texts: Corpus, statistics: pl.DataFrame, *, active_share: float
) -> pl.DataFrame:
    """`shown` are rows of `activations` of the pool `train`, each excerpt of a neuron counts once.

    A neuron fires above `active_share` of its maximum in `statistics`; one that never was above 0 has no rows.
    """
    rows = shown.unique([*_OF_NEURON, "excerpt_index"], keep="first", maintain_order=True).join(
        statistics.filter(pl.col("maximum") > 0).select("neuron_index", "maximum"), on="neuron_index"
    )
    if rows.is_empty():
        return empty("token_index")
    activations, thresholds = matrix(rows["activations"]), active_share * rows["maximum"].to_numpy()
    places, positions = np.nonzero(activations > thresholds[:, None])
    codes = texts.tokens.codes[rows["excerpt_index"].to_numpy()[places], positions]
    fired = rows.select(_OF_NEURON)[places].with_columns(
        pl.Series("code", codes), pl.Series("activation", activations[places, positions])
    )
    value = pl.col("activation").cast(pl.Float64)
    by_token = fired.group_by(*_OF_NEURON, "code", maintain_order=True).agg(
        n_firing=pl.len().cast(pl.Int32), mean=value.mean(), peak=pl.col("activation").max(), total=value.sum()
    )
    told = by_token.with_columns(
        token=pl.Series(texts.tokens.strings, dtype=pl.String).gather(by_token["code"]),
        share=pl.col("total") / pl.col("total").sum().over(_OF_NEURON),
    ).sort("share", "token", descending=[True, False])
    most = told.group_by(*_OF_NEURON, maintain_order=True).head(MOST_TOKENS)
    return most.select(empty("token_index").columns).sort(KEYS["token_index"])
