"""Facts on what each metric notices: labels that are missing, and labels too many, on a neuron whose concept is rare.

docs/scores.md has the table that is measured here; the last test holds it to that.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from neuron_assets.method.calibrated_scores import CALIBRATED_METRICS, measure_calibrated
from neuron_assets.method.calibration import CALIBRATION_KINDS, fit_calibration
from neuron_assets.method.natural_rate import (
    NATURAL_RATE_METRICS,
    active_tokens,
    fit_threshold,
    measure_at_natural_rate,
)
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens
from neuron_assets.method.samples import Rows, judge

N_NEURONS = 20
N_TOKENS = 64
BURST = 8
"""Tokens in a row that mean the concept."""
RATE = 1 / 500
"""Excerpts with such a burst: one token in 4,000."""
N_TOP, N_RANDOM, N_RANDOM_ONLY, N_NATURAL = 5, 5, 20, 2500
EXPLANATIONS: Mapping[str, tuple[float, float, float]] = {
    "true": (1.0, 0.0, 0.001),
    "half missing": (0.5, 0.0, 0.001),
    "as many again": (1.0, RATE, 0.001),
    "50 times too broad": (1.0, 49 * RATE, 0.001),
    "true, restless": (1.0, 0.0, 0.15),
}
"""The share of the concept's bursts that is labelled; how many excerpts have a labelled burst that is not the concept;
and how many of the silent tokens the simulator gives a 1."""
CORRELATIONS = ("correlation, top and random", "correlation, random only", "correlation, natural rate")
ROWS = (*CORRELATIONS, *CALIBRATED_METRICS, *NATURAL_RATE_METRICS)


def bursts(rng: np.random.Generator, holds: np.ndarray) -> np.ndarray:
    """Whether each token stands in the burst of its excerpt; `holds` says which excerpts have one."""
    start = rng.integers(N_TOKENS - BURST, size=len(holds))[:, np.newaxis]
    place = np.arange(N_TOKENS)
    return holds[:, np.newaxis] & (place >= start) & (place < start + BURST)


def simulated(rng: np.random.Generator, labels: np.ndarray, restless: float) -> np.ndarray:
    """As a language model writes: whole numbers, about 7 where the explanation holds, else 0, seldom 1."""
    elsewhere = rng.random(labels.shape) < restless
    return np.where(labels, rng.integers(5, 10, labels.shape), elsewhere).astype(np.float64)


class Sample:
    """Excerpts that one neuron was heard on, each of a document of its own, and a simulation by each explanation."""

    def __init__(self, rng: np.random.Generator, n_top: int, n_random: int) -> None:
        n = n_top + n_random
        is_top = np.arange(n) < n_top
        concept = bursts(rng, is_top | (rng.random(n) < RATE))
        activations = np.where(concept, rng.uniform(2, 5, concept.shape), 0) + rng.normal(0, 0.02, concept.shape)
        tokens = Tokens(np.zeros(concept.shape, dtype=np.int64), ("a",))
        exemplars = Exemplars(tokens, activations, is_top, np.arange(n), np.arange(n))
        self.record = NeuronRecord(NeuronId(0, 0), exemplars)
        self.rows = Rows(np.flatnonzero(is_top), np.flatnonzero(~is_top))
        self.simulated = {
            name: simulated(
                rng,
                (concept & (rng.random(n) < share)[:, np.newaxis]) | bursts(rng, rng.random(n) < too_many),
                restless,
            )
            for name, (share, too_many, restless) in EXPLANATIONS.items()
        }


def correlation(sample: Sample, explanation: str) -> float | None:
    return judge(sample.record, sample.rows, sample.simulated[explanation]).score.ev_correlation


def metrics_of_a_neuron(seed: int) -> dict[str, list[float | None]]:
    """By explanation, each metric in the order of `ROWS`."""
    rng = np.random.default_rng(seed)
    calibration, valid = Sample(rng, N_TOP, N_RANDOM), Sample(rng, N_TOP, N_RANDOM)
    random_only, natural = Sample(rng, 0, N_RANDOM_ONLY), Sample(rng, 0, N_NATURAL)
    heard, everywhere = calibration.record.exemplars.activations, natural.record.exemplars
    found = {}
    for name in EXPLANATIONS:
        map_ = fit_calibration("linear", heard, calibration.simulated[name])
        threshold = fit_threshold(active_tokens(heard, 5.0), calibration.simulated[name])
        measured = (
            *measure_calibrated(valid.record, valid.rows, valid.simulated[name], map_).metrics,
            *measure_at_natural_rate(
                natural.record.neuron,
                active_tokens(everywhere.activations, 5.0),
                natural.simulated[name],
                everywhere.document_indices,
                threshold,
            ).metrics,
        )
        correlations = [correlation(sample, name) for sample in (valid, random_only, natural)]
        found[name] = [*correlations, *(metric.value for metric in measured)]
    return found


@cache
def means() -> Mapping[str, Mapping[str, float]]:
    """By metric and explanation, over the neurons that have it under every explanation."""
    neurons = [metrics_of_a_neuron(seed) for seed in range(N_NEURONS)]
    table = np.array([[found[name] for name in EXPLANATIONS] for found in neurons], dtype=float)
    table[np.broadcast_to(np.isnan(table).any(axis=1, keepdims=True), table.shape)] = np.nan
    return {
        metric: dict(zip(EXPLANATIONS, of_metric, strict=True))
        for metric, of_metric in zip(ROWS, np.nanmean(table, axis=0).T.tolist(), strict=True)
    }


BY_BOTH = {"correlation, natural rate", "auprc", "f1"}
BY_MISSING_ALONE = {"correlation, top and random", "r2", "absolute_deviation", "recall"}
BY_TOO_MANY_ALONE = {"precision"}
BY_NEITHER = {"correlation, random only"}
"""On 20 excerpts drawn without looking such a concept seldom occurs: nothing is there to be labelled."""


def drop(metric: str, explanation: str) -> float:
    of_metric = means()[metric]
    return of_metric["true"] - of_metric[explanation]


def test_every_metric_is_looked_at() -> None:
    assert set(ROWS) == BY_BOTH | BY_MISSING_ALONE | BY_TOO_MANY_ALONE | BY_NEITHER


@pytest.mark.parametrize("metric", sorted(BY_BOTH | BY_MISSING_ALONE))
def test_missing_labels_lower(metric: str) -> None:
    assert drop(metric, "half missing") > 0.15


@pytest.mark.parametrize("metric", sorted(BY_TOO_MANY_ALONE | BY_NEITHER))
def test_missing_labels_go_unnoticed_in(metric: str) -> None:
    assert abs(drop(metric, "half missing")) < 0.05


@pytest.mark.parametrize("metric", sorted(BY_BOTH | BY_TOO_MANY_ALONE))
def test_as_many_labels_again_lower(metric: str) -> None:
    assert drop(metric, "as many again") > 0.15


@pytest.mark.parametrize("metric", sorted(BY_MISSING_ALONE | BY_NEITHER))
def test_as_many_labels_again_go_unnoticed_in(metric: str) -> None:
    assert abs(drop(metric, "as many again")) < 0.05


def test_what_is_fifty_times_too_broad_looks_right_among_top_excerpts_and_not_at_the_natural_rate() -> None:
    broad = {metric: of_metric["50 times too broad"] for metric, of_metric in means().items()}

    assert broad["correlation, top and random"] > 0.85
    assert broad["correlation, natural rate"] < 0.2
    assert max(broad["auprc"], broad["f1"], broad["precision"]) < 0.05
    assert broad["recall"] > 0.99


def test_a_simulator_that_writes_1_where_nothing_is_loses_correlation_and_no_decisions() -> None:
    assert drop("correlation, natural rate", "true, restless") > 0.4
    assert abs(drop("correlation, top and random", "true, restless")) < 0.05
    assert max(drop(metric, "true, restless") for metric in NATURAL_RATE_METRICS) < 0.01


def test_percentiles_make_a_simulation_that_misses_half_loud_everywhere() -> None:
    found = {}
    for kind in CALIBRATION_KINDS:
        of_neurons = []
        for seed in range(20):
            rng = np.random.default_rng(seed)
            calibration, valid = Sample(rng, N_TOP, N_RANDOM), Sample(rng, N_TOP, N_RANDOM)
            heard = calibration.record.exemplars.activations
            map_ = fit_calibration(kind, heard, calibration.simulated["half missing"])
            measured = measure_calibrated(valid.record, valid.rows, valid.simulated["half missing"], map_)
            of_neurons.append(measured.metrics[0].value)
        found[kind] = float(np.mean(np.array(of_neurons, dtype=float)))

    assert found["linear"] > 0.3
    assert found["percentile"] < -5


def test_the_documentation_has_these_numbers() -> None:
    text = (Path(__file__).parents[2] / "docs" / "scores.md").read_text(encoding="utf-8")
    section = text.split("## What lowers what")[1].split("\n## ")[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "|" in line]
    told = {cells[0].replace("`", ""): [float(cell) for cell in cells[1:]] for cells in lines[2:]}

    assert lines[0][1:] == list(EXPLANATIONS)
    assert told.keys() == set(ROWS)
    for metric, numbers in told.items():
        assert numbers == pytest.approx(list(means()[metric].values()), abs=0.01)
