"""What the arithmetic of scores costs: values and intervals of 10,000 neurons, on made-up simulations."""

import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.row import Row
from neuron_assets.method.calibrated_scores import measure_calibrated
from neuron_assets.method.calibration import fit_calibration
from neuron_assets.method.intervals import neuron_intervals
from neuron_assets.method.metrics import metric_intervals
from neuron_assets.method.natural_rate import active_tokens, fit_threshold, measure_at_natural_rate
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens
from neuron_assets.method.samples import judge, sampled_rows

N_NEURONS = 10_000
N_TOKENS = 64
N_TOP = N_RANDOM = 5
N_NATURAL = 200
N_NATURAL_NEURONS = 200
"""So few are measured at the natural rate, and told as a mean."""
ACTIVE_RATE = 0.01
DRAWS = 1000


def benchmark() -> list[Row]:
    """Seconds of CPU time on one core, with the making of the numbers left out."""
    with threadpool_limits(1):
        scored = sum(_seconds(partial(_score, pairs)) for pairs in _pairs())
        calibrated = sum(_seconds(partial(_calibrate, pairs)) for pairs in _pairs())
        natural = {name: _seconds_at_natural_rate(decimals) for name, decimals in _SIMULATORS.items()}
    excerpts = f"{N_NEURONS:,} neurons x {N_TOP + N_RANDOM} excerpts, {DRAWS:,} draws, CPU s"
    return [
        Row(f"scoring: correlation and its interval, {excerpts}", f"{scored:.1f}", "< 10"),
        Row(
            f"scoring: calibration, r2, absolute deviation and their intervals, {excerpts}", f"{calibrated:.1f}", "< 10"
        ),
        *(
            Row(f"scoring: a neuron at the natural rate, {N_NATURAL} excerpts, {name}, CPU s", f"{seconds:.3f}")
            for name, seconds in natural.items()
        ),
    ]


Pair = tuple[NeuronRecord, np.ndarray]
"""A neuron on its excerpts, and their simulation."""
_SIMULATORS = {"whole numbers": 0, "expected values": 12}


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _pairs(n_at_once: int = 1000) -> Iterator[list[Pair]]:
    rng = np.random.default_rng(0)
    n = N_TOP + N_RANDOM
    tokens = Tokens(np.zeros((n, N_TOKENS), np.int64), ("a",))
    for start in range(0, N_NEURONS, n_at_once):
        pairs = []
        for neuron in range(start, start + n_at_once):
            true = rng.exponential(1, (n, N_TOKENS)).astype(np.float32)
            exemplars = Exemplars(tokens, true, np.arange(n) < N_TOP, rng.permutation(100)[:n], np.arange(n))
            pairs.append((NeuronRecord(NeuronId(0, neuron), exemplars), _simulated(rng, true)))
        yield pairs


def _simulated(rng: np.random.Generator, true: np.ndarray) -> np.ndarray:
    return np.clip(2 * true + rng.normal(size=true.shape), 0, 10)


def _score(pairs: list[Pair]) -> None:
    judged = [
        judge(record, sampled_rows(record.exemplars, N_TOP, N_RANDOM)["top_and_random"], simulated)
        for record, simulated in pairs
    ]
    neuron_intervals([one.sums for one in judged if one.sums is not None], seed=0, n_draws=DRAWS)


def _calibrate(pairs: list[Pair]) -> None:
    """The map of one neuron is fitted on the excerpts of the one before it."""
    others = [pairs[-1], *pairs[:-1]]
    for (record, simulated), (other, simulated_other) in zip(pairs, others, strict=True):
        rows = sampled_rows(record.exemplars, N_TOP, N_RANDOM)["top_and_random"]
        map_ = fit_calibration("linear", other.exemplars.activations, simulated_other)
        metric_intervals(measure_calibrated(record, rows, simulated, map_), seed=0, n_draws=DRAWS)


def _seconds_at_natural_rate(decimals: int) -> float:
    rng = np.random.default_rng(1)
    shape = N_NATURAL, N_TOKENS
    seconds = 0.0
    for neuron in range(N_NATURAL_NEURONS):
        true = rng.exponential(1, shape) * (rng.random(shape) < ACTIVE_RATE)
        simulated = np.round(_simulated(rng, true), decimals)
        seconds += _seconds(partial(_measure, neuron, true, simulated))
    return seconds / N_NATURAL_NEURONS


def _measure(neuron: int, true: np.ndarray, simulated: np.ndarray) -> None:
    active = active_tokens(true, float(true.max()))
    threshold = fit_threshold(active, simulated)
    measured = measure_at_natural_rate(NeuronId(0, neuron), active, simulated, np.arange(N_NATURAL), threshold)
    metric_intervals(measured, seed=0, n_draws=DRAWS)
