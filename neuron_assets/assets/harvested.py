"""What a harvest asks for and gives, between the study, the subject and the tables.

Put here: from a study to a plan, and from a harvested layer to rows. Keep out: the pass (`subjects/harvest.py`).
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from neuron_assets.method.records import KINDS, SPLITS, Kind, Split
from neuron_assets.study import Study
from neuron_assets.subjects.exemplars import Exemplars
from neuron_assets.subjects.harvest import HarvestPlan, Kept, LayerHarvest
from neuron_assets.subjects.output_side import output_side, strings
from neuron_assets.subjects.speaking import SpeakingSubject
from neuron_assets.tables.rows import frame

NO_OUTPUT_SIDE: Mapping[str, object] = dict.fromkeys(
    ("pushes_up", "pushes_up_weights", "pushes_down", "pushes_down_weights")
)
"""Those columns for units that push no token."""


def harvest_plan(study: Study) -> HarvestPlan:
    kept = {
        split: Kept(section.top, section.random, study.splits.natural if split == "valid" else 0)
        for split, section in ((split, study.splits.of(split)) for split in SPLITS)
    }
    return HarvestPlan(
        kept=kept,
        seed=study.activations.seed,
        n_sampled_tokens=study.activations.sampled_tokens,
        rows_as=study.activations.stored_as,
        active_share=study.activations.active_share,
    )


def activations_frame(layer_index: int, layer: LayerHarvest) -> pl.DataFrame:
    """Rows of the table `activations`, by neuron, then pool, then top, random and natural, then rank."""
    parts = [
        _exemplar_rows(layer_index, split, kind, exemplars)
        for split, pool in layer.pools.items()
        for kind, exemplars in zip(KINDS, (pool.top, pool.random, pool.natural), strict=True)
        if exemplars.excerpts.size
    ]
    n_rows = [part.height // parts[0]["neuron_index"].n_unique() for part in parts]
    return _by_neuron(parts, n_rows)


def statistics_frame(
    layer_index: int, layer: LayerHarvest, side: Mapping[str, object] = NO_OUTPUT_SIDE
) -> pl.DataFrame:
    """Rows of the table `neuron_statistics`, by neuron; `side` are the columns of `output_columns`."""
    found = layer.statistics
    quantiles = found.quantiles.astype(np.float64)
    return frame(
        "neuron_statistics",
        {
            "layer_index": layer_index,
            "neuron_index": np.arange(len(found.mean), dtype=np.int32),
            "n_tokens": found.n_tokens,
            "mean": found.mean,
            "variance": found.variance,
            "maximum": found.maximum.astype(np.float64),
            "share_positive": found.positive_share,
            "n_sampled_tokens": found.n_sampled_tokens,
            "share_active": found.active_share,
            "skewness": pl.Series(found.skewness).fill_nan(None),
            "kurtosis": pl.Series(found.kurtosis).fill_nan(None),
            **{
                name: quantiles[:, i]
                for i, name in enumerate(("quantile_50", "quantile_90", "quantile_99", "quantile_999"))
            },
            **side,
        },
    )


def output_columns(
    subject: SpeakingSubject, layer_index: int, device: torch.device, *, signed: bool
) -> Mapping[str, object]:
    """What each neuron of a layer makes the model say, reckoned on `device`; of both signs of each, if `signed`."""
    side = output_side(subject, layer_index, device=device)
    if signed:
        side = side.with_negated()
    return {
        "pushes_up": strings(subject, side.up),
        "pushes_up_weights": side.up_weights,
        "pushes_down": strings(subject, side.down),
        "pushes_down_weights": side.down_weights,
    }


def _exemplar_rows(layer_index: int, split: Split, kind: Kind, exemplars: Exemplars) -> pl.DataFrame:
    n_neurons, n_kept = exemplars.excerpts.shape
    return frame(
        "activations",
        {
            "layer_index": layer_index,
            "neuron_index": np.repeat(np.arange(n_neurons, dtype=np.int32), n_kept),
            "split": split,
            "kind": kind,
            "rank": np.tile(np.arange(n_kept, dtype=np.int32), n_neurons),
            "excerpt_index": exemplars.excerpts.reshape(-1).astype(np.int32),
            "peak": exemplars.peaks.reshape(-1),
            "activations": exemplars.rows.reshape(n_neurons * n_kept, -1).astype(np.float32),
        },
    )


def _by_neuron(parts: list[pl.DataFrame], n_rows: list[int]) -> pl.DataFrame:
    """The parts, each with so many rows a neuron, woven so that a neuron's rows stand together."""
    n_neurons = parts[0].height // n_rows[0]
    starts = np.cumsum([0, *(part.height for part in parts)])
    order: list[NDArray[np.int64]] = [
        start + np.arange(n_neurons)[:, None] * n + np.arange(n) for start, n in zip(starts, n_rows, strict=False)
    ]  # [neuron, row of the part]
    return pl.concat(parts)[np.concatenate(order, axis=1).reshape(-1)]
