"""Facts on the table `comparison`, made from hand-made scores and metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest

from neuron_assets.method.scoring import document_sums, score
from neuron_assets.tables.compared import CORRELATION, Cost, Draws, Side, comparison_frame, values_of
from neuron_assets.tables.parquet import content_hash
from neuron_assets.tables.rows import frame, sums_as_lists
from neuron_assets.tables.validation import problems

DRAWS = Draws(seed=0, number=200)
FREE = Cost(0.0)
N_DOCUMENTS, N_TOKENS = 8, 12
NOISES = {"good": 0.3, "bad": 2.0}

Neuron = tuple[int, int]
NEURONS: Sequence[Neuron] = [(layer, neuron) for layer in (1, 2) for neuron in (3, 4, 9)]


def true_and_simulated(neuron: Neuron, quality: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(neuron)
    true, noise = rng.exponential(size=(2, N_DOCUMENTS, N_TOKENS))
    return true, true + NOISES[quality] * noise


def r(neuron: Neuron, quality: str) -> float:
    true, simulated = true_and_simulated(neuron, quality)
    return float(np.corrcoef(true.ravel(), simulated.ravel())[0, 1])


def score_row(neuron: Neuron, quality: str | None, **changes: object) -> dict[str, Any]:
    """Of a simulation of that quality; None: of none."""
    true, simulated = true_and_simulated(neuron, quality or "bad")
    sums = document_sums(true, simulated, np.arange(N_DOCUMENTS))
    row = {
        "layer_index": neuron[0],
        "neuron_index": neuron[1],
        "candidate": 0,
        "author": "rules",
        "chosen": True,
        "scorer": "simulation",
        "sample": "random_only",
        "explainer": "rules/1",
        "simulator": "rules/1",
        "ev_correlation": score(true, simulated).ev_correlation if quality else None,
        "r2": None,
        "absolute_deviation": None,
        "n_excerpts": N_DOCUMENTS,
        "n_documents": N_DOCUMENTS,
        "n_tokens": N_DOCUMENTS * N_TOKENS,
        "failure": None if quality else "the simulation is constant",
        "document_sums": sums_as_lists(None, sums) if quality else [],
    }
    return row | dict.fromkeys(("ev_correlation_low", "ev_correlation_high", "interval_failure")) | changes


def metric_row(neuron: Neuron, value: float | None, **changes: object) -> dict[str, Any]:
    row = {
        "layer_index": neuron[0],
        "neuron_index": neuron[1],
        "candidate": 0,
        "author": "rules",
        "chosen": True,
        "scorer": "simulation",
        "sample": "natural_rate",
        "metric": "auprc",
        "explainer": "rules/1",
        "simulator": "rules/1",
        "value": value,
        "chance": None,
        "n_excerpts": 20,
        "n_documents": 9,
        "failure": None if value is not None else "4 of the 5 active tokens that it needs",
    }
    return row | dict.fromkeys(("value_low", "value_high", "interval_failure")) | changes


def table(name: str, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    return frame(name, {column: [row[column] for row in rows] for column in rows[0]})


def side(
    name: str, scores: Sequence[Mapping[str, Any]], metrics: Sequence[Mapping[str, Any]] = (), cost: Cost = FREE
) -> Side:
    values = values_of(table("scores", scores), table("metrics", metrics) if metrics else None)
    layers = {row["layer_index"] for row in scores}
    return Side(name, f"{name}'s explainer", "rules/1", layers, values, lambda _layers: cost)


def qualities(quality: str) -> list[dict[str, Any]]:
    return [score_row(neuron, quality) for neuron in NEURONS]


def row_of(comparison: pl.DataFrame, layer: int | None, metric: str = CORRELATION) -> dict[str, Any]:
    of_layer = pl.col("layer_index").eq_missing(pl.lit(layer, pl.Int32))
    (row,) = comparison.filter(of_layer, pl.col("metric") == metric).to_dicts()
    return row


def test_a_difference_in_correlation_is_that_of_the_correlations() -> None:
    found = comparison_frame(side("first", qualities("bad")), [side("second", qualities("good"))], DRAWS)
    by_hand = {neuron: r(neuron, "good") - r(neuron, "bad") for neuron in NEURONS}

    assert problems("comparison", found) == []
    assert found["layer_index"].to_list() == [1, 2, None]
    for layer in (1, 2, None):
        row = row_of(found, layer)
        own = [neuron for neuron in NEURONS if layer in (neuron[0], None)]
        assert row["difference"] == pytest.approx(np.mean([by_hand[neuron] for neuron in own]), abs=1e-9)
        assert row["mean"] == pytest.approx(np.mean([r(neuron, "good") for neuron in own]), abs=1e-9)
        assert row["baseline_mean"] == pytest.approx(np.mean([r(neuron, "bad") for neuron in own]), abs=1e-9)
        assert 0 < row["difference_low"] < row["difference"] < row["difference_high"]
        assert (row["n_neurons"], row["n_left_out"], row["left_out"]) == (len(own), 0, None)
        assert row["win_rate"] == 1.0


def test_studies_that_say_the_same_differ_by_exactly_nothing() -> None:
    metrics = [metric_row(neuron, 0.1 * neuron[1]) for neuron in NEURONS]
    first, second = (side(name, qualities("good"), metrics) for name in ("first", "second"))
    found = comparison_frame(first, [second], DRAWS)
    numbers = found.filter(pl.col("metric").is_in([CORRELATION, "auprc"]), pl.col("layer_index").is_null())

    assert set(found["difference"]) == {0.0}
    assert set(numbers["difference_low"]) == set(numbers["difference_high"]) == {0.0}
    assert set(found["win_rate"]) == {0.5}
    assert numbers.height == 2


def test_the_order_of_neurons_does_not_matter_to_the_bit() -> None:
    rng = np.random.default_rng(4)
    values = dict(zip(NEURONS, rng.normal(size=(len(NEURONS), 2)).tolist(), strict=True))

    def compared(orders: Sequence[np.ndarray]) -> pl.DataFrame:
        first, second = (
            side(
                name,
                [score_row(NEURONS[i], quality) for i in order],
                [metric_row(NEURONS[i], min(values[NEURONS[i]][place], 1.0)) for i in order[::-1]],
            )
            for place, (name, quality, order) in enumerate(
                zip(("first", "second"), ("bad", "good"), orders, strict=True)
            )
        )
        return comparison_frame(first, [second], DRAWS)

    in_order = compared([np.arange(len(NEURONS))] * 2)
    for _ in range(3):
        assert content_hash(compared([rng.permutation(len(NEURONS)) for _ in range(2)])) == content_hash(in_order)


def test_a_metric_of_known_difference_has_it() -> None:
    first = side("first", qualities("good"), [metric_row(neuron, 0.25) for neuron in NEURONS])
    better = [metric_row(neuron, 0.75 if neuron[1] != 9 else 0.25) for neuron in NEURONS]
    row = row_of(comparison_frame(first, [side("second", qualities("good"), better)], DRAWS), None, "auprc")

    assert (row["difference"], row["win_rate"]) == (
        pytest.approx(0.5 * 4 / 6, abs=1e-15),
        pytest.approx(5 / 6, abs=1e-15),
    )
    assert 0 <= row["difference_low"] < row["difference"] < row["difference_high"] <= 0.5
    assert (row["baseline_mean"], row["mean"]) == (0.25, pytest.approx(0.25 + 0.5 * 4 / 6, abs=1e-15))
    assert (row["scorer"], row["sample"]) == ("simulation", "natural_rate")


def test_who_has_no_value_in_both_is_left_out_and_told() -> None:
    there = [neuron for neuron in NEURONS if neuron[0] == 1]
    first = side("first", [score_row(there[0], None), *(score_row(neuron, "bad") for neuron in NEURONS[1:])])
    second = side("second", [score_row(neuron, "good") for neuron in (there[0], there[1])])
    found = comparison_frame(first, [second], DRAWS)
    layer, missing, together = (row_of(found, each) for each in (1, 2, None))

    assert problems("comparison", found) == []
    assert (layer["n_neurons"], layer["n_left_out"]) == (1, 2)
    assert layer["difference"] == pytest.approx(r(there[1], "good") - r(there[1], "bad"), abs=1e-9)
    assert layer["interval_failure"] == "1 of the 2 scored neurons that an interval needs"
    assert layer["left_out"] == "1 x first: the simulation is constant; 1 x second: not asked for"
    assert (missing["n_neurons"], missing["n_left_out"], missing["difference"]) == (0, 3, None)
    assert missing["failure"] == "no neuron has a value in both"
    assert (missing["mean"], missing["win_rate"]) == (None, None)
    assert missing["left_out"] == "3 x second: no scores of this layer that stand"
    assert (together["n_neurons"], together["n_left_out"]) == (1, 5)


def test_only_the_candidate_that_stands_for_its_neuron_counts() -> None:
    several = [
        row
        for neuron in NEURONS
        for row in (
            score_row(neuron, "bad", chosen=False),
            score_row(neuron, "good", candidate=1, author="revision"),
            score_row(neuron, "good", candidate=2, author="shuffled_control", chosen=False),
            score_row(neuron, "bad", candidate=1, sample="choosing", document_sums=[]),
            score_row(neuron, "bad", candidate=None, author="unigram_lookup", scorer="unigram_lookup", chosen=False),
        )
    ]
    metrics = [
        metric_row(neuron, 0.1 * candidate, candidate=candidate) for neuron in NEURONS for candidate in (0, 1, 2)
    ]
    first = side("first", qualities("good"), [metric_row(neuron, 0.1) for neuron in NEURONS])
    found = comparison_frame(first, [side("second", several, metrics)], DRAWS)

    assert set(found.select("scorer", "sample", "metric").unique().iter_rows()) == {
        ("simulation", "random_only", CORRELATION),
        ("simulation", "natural_rate", "auprc"),
    }
    assert set(found["difference"]) == {0.0}
    assert set(found["n_neurons"]) == {3, 6}


def test_a_cost_is_money_or_a_reason() -> None:
    dear, unknown = (
        side(name, qualities("good"), cost=cost)
        for name, cost in (("dear", Cost(0.02)), ("unknown", Cost(None, "2 requests have no known price")))
    )
    found = comparison_frame(side("first", qualities("bad")), [dear, unknown], DRAWS)
    told = found.filter(pl.col("layer_index") == 1).select("study", "baseline_cost", "cost", "cost_failure").rows()

    assert problems("comparison", found) == []
    assert told == [("dear", 0.0, 0.02, None), ("unknown", 0.0, None, "2 requests have no known price")]
    assert set(found["explainer"]) == {"dear's explainer", "unknown's explainer"}


def test_other_excerpts_are_refused() -> None:
    others = [row | {"document_sums": row["document_sums"][1:]} for row in qualities("good")]

    with pytest.raises(ValueError, match="two different samples"):
        comparison_frame(side("first", qualities("bad")), [side("second", others)], DRAWS)
