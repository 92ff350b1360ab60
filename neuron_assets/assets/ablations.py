"""The step from simulations to what they are worth to the subject: it is run again with them in its neurons' place.

Put here: the asset `ablations`. Keep out: replacing (`subjects/ablation.py`), the score (`ablation_metrics.py`).
Everything heavy is imported within the step.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Float64, Int
from pydantic import Field

from neuron_assets.assets.checks import has_all
from neuron_assets.assets.expected_rows import expected_simulations
from neuron_assets.assets.forward_pass import OnDevice
from neuron_assets.assets.held_out import Layer, simulated_rows_of
from neuron_assets.assets.predictions import of_candidates
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import Result, asset_key, hand_over, made_by, seconds_since, table_asset
from neuron_assets.errors import NotReplaceable, SubjectWithoutHead
from neuron_assets.method.records import NeuronRecord
from neuron_assets.method.samples import simulated_rows
from neuron_assets.study import Study
from neuron_assets.subject_files import SUBJECT_FILES, noted, subject_files
from neuron_assets.subject_opening import open_speaking
from neuron_assets.tables.ablated import Replaced, ablations_frame
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.rows import corpus, matrix

if TYPE_CHECKING:
    from neuron_assets.subjects.speaking import SpeakingSubject

_NUMBERS_AT_ONCE = 1 << 25
"""Activations that are put in neurons' places in one go, so that memory does not grow with the layer."""


class Replacing(OnDevice):
    """What changes the speed of replacing, not its result (but for rounding)."""

    batch_size: int = Field(default=32, ge=1, description="Excerpts a batch.")


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """One neuron, and what is put in its place."""

    record: NeuronRecord
    """Each held-out excerpt once."""
    mean: float
    """Over `train`."""
    candidates: Sequence[int]
    simulated: Float[np.ndarray, "candidate excerpt token"]
    """Calibrated; NaN where there is nothing."""
    failures: Sequence[Sequence[str | None]]
    """Of each candidate on each excerpt: why there is nothing."""

    @property
    def put_there(self) -> Float64[np.ndarray, "row excerpt token"]:
        """The mean, then each candidate's simulation."""
        mean = np.full((1, *self.simulated.shape[1:]), self.mean)
        return np.concatenate([mean, self.simulated.astype(np.float64)])

    def replaced(
        self, divergences: Float64[np.ndarray, "row excerpt"], noise: Float64[np.ndarray, " excerpt"]
    ) -> Replaced:
        """With how far each of `put_there` moved the subject."""
        indices = self.record.exemplars.excerpt_indices
        return Replaced(
            self.record.neuron, self.candidates, indices, divergences[1:], divergences[0], noise, self.failures
        )

    def not_replaced(self, why: str) -> Replaced:
        nothing = np.full(self.simulated.shape[:2], np.nan)
        indices, failures = self.record.exemplars.excerpt_indices, [[why] * len(row) for row in nothing]
        unmoved = np.full(len(indices), np.nan)
        return Replaced(self.record.neuron, self.candidates, indices, nothing, unmoved, unmoved, failures)


def ablations_asset(study: Study, pool: str | None) -> dg.AssetsDefinition:
    @table_asset(study, "ablations", pool=pool)
    def ablations(  # noqa: PLR0913, PLR0917  # Dagster hands over inputs as arguments
        context: dg.AssetExecutionContext,
        config: Replacing,
        excerpts: pl.DataFrame,
        activations: StoredTable,
        neuron_statistics: pl.DataFrame,
        candidates: pl.DataFrame,
        simulations: pl.DataFrame,
    ) -> Result:
        tag_run(context, study)
        began = time.monotonic()
        notes = noted({SUBJECT_FILES: subject_files(study)})  # before they are opened
        layer = Layer(study, activations, corpus(excerpts), neuron_statistics)
        tried = list(_tried(layer, candidates, simulations))
        try:
            frame = ablations_frame(list(_replaced(study, config, excerpts, tried, context.log.info)))
        except (NotReplaceable, SubjectWithoutHead) as error:
            frame = ablations_frame([one.not_replaced(str(error)) for one in tried])
        facts = {"failures": frame["failure"].count()} | made_by(candidates, simulations) | seconds_since(began)
        context.add_asset_metadata(facts, asset_key(study, "ablations"), context.partition_key)
        held_out = simulated_rows_of(study, activations, candidates["neuron_index"].unique().to_list())
        expected = expected_simulations(
            candidates, held_out.filter(pl.col("split") == "valid", pl.col("kind") != "natural")
        )
        yield from hand_over(
            context,
            study,
            "ablations",
            frame,
            lambda rows: [has_all(rows, expected)],
            notes=notes,
        )

    return ablations


def _tried(layer: Layer, candidates: pl.DataFrame, simulations: pl.DataFrame) -> Iterator[_Tried]:
    """By neuron, ascending."""
    scoring, predictions = layer.study.scoring, of_candidates(candidates, simulations)
    means = dict(layer.statistics.select("neuron_index", "mean").iter_rows())
    told = simulations.drop_nulls("failure").select("neuron_index", "candidate", "excerpt_index", "failure")
    failure_of = {tuple(key): failure for *key, failure in told.iter_rows()}
    for held in layer.held_out(candidates["neuron_index"].unique().sort().to_list()):
        assert held.calibration is not None
        record, number = (
            held.valid.only(simulated_rows(held.valid.exemplars, scoring.top)),
            held.valid.neuron.neuron_index,
        )
        named: list[int] = []
        simulated, failures = [], []
        for prediction in predictions(number):
            assert prediction.candidate is not None
            fitted, expected = (
                prediction.calibration(scoring.calibration, held.calibration),
                prediction.expected(record),
            )
            named.append(prediction.candidate)
            simulated.append(np.full_like(expected, np.nan) if fitted.value is None else fitted.value(expected))
            keys = [(number, prediction.candidate, each) for each in record.exemplars.excerpt_indices.tolist()]
            failures.append([failure_of.get(key, fitted.failure) for key in keys])
        yield _Tried(record, means[number], named, np.stack(simulated), failures)


def _replaced(
    study: Study, config: Replacing, excerpts: pl.DataFrame, tried: Sequence[_Tried], log: Callable[[str], None]
) -> Iterator[Replaced]:
    """Raises NotReplaceable or SubjectWithoutHead before anything is run.

    In float32, whatever the study harvests in: rounding hides what moves little.
    """
    subject, n_done = open_speaking(study, config.device, dtype="float32"), 0
    for group in _groups(tried):
        yield from _together(subject, config, excerpts, group)
        n_done += len(group)
        log(f"{n_done} of {len(tried)} neurons replaced")


def _groups(tried: Iterable[_Tried]) -> Iterator[list[_Tried]]:
    """As many neurons at once as memory allows."""
    group: list[_Tried] = []
    for one in tried:
        if group and sum(each.put_there.size for each in group) + one.put_there.size > _NUMBERS_AT_ONCE:
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def _together(
    subject: "SpeakingSubject", config: Replacing, excerpts: pl.DataFrame, group: Sequence[_Tried]
) -> Iterator[Replaced]:
    """All of these neurons in one go: each excerpt is run once up to the layer, whoever is tried on it."""
    from neuron_assets.subjects.ablation import Replacements, replace

    there = np.unique(np.concatenate([one.record.exemplars.excerpt_indices for one in group]))
    rows_of = [np.searchsorted(there, one.record.exemplars.excerpt_indices) for one in group]
    token_ids = matrix(excerpts["token_ids"].gather(there))
    put_there = [one.put_there for one in group]
    is_there = [np.isfinite(each).all(axis=2) for each in put_there]
    units = [np.full(len(rows), one.record.neuron.neuron_index) for one, rows in zip(group, rows_of, strict=True)]
    moved = replace(
        subject,
        token_ids,
        group[0].record.neuron.layer_index,
        Replacements(
            _rows_of_all(units, is_there),
            _rows_of_all(rows_of, is_there),
            np.concatenate([values[there] for values, there in zip(put_there, is_there, strict=True)]),
        ),
        batch_size=config.batch_size,
    )
    ends = np.cumsum([there.sum() for there in is_there])[:-1]
    for one, rows, there, found in zip(group, rows_of, is_there, np.split(moved.by_replacement, ends), strict=True):
        divergences = np.full(there.shape, np.nan)
        divergences[there] = found
        yield one.replaced(divergences, moved.by_rounding[rows])


def _rows_of_all(
    by_excerpt: Sequence[Int[np.ndarray, " excerpt"]], is_there: Sequence[Bool[np.ndarray, "row excerpt"]]
) -> Int[np.ndarray, " replacement"]:
    """A number of each excerpt, once for all that is put there."""
    pairs = zip(by_excerpt, is_there, strict=True)
    return np.concatenate([np.broadcast_to(numbers, there.shape)[there] for numbers, there in pairs])
