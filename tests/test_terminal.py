"""What the command line shows is whole, on narrow terminals too."""

import polars as pl
import pytest
from rich.console import Console

from neuron_assets.method.controls import SHUFFLED_CONTROL
from neuron_assets.terminal import helped_text, metrics_tables, score_tables


@pytest.mark.parametrize("author", ["rules", "a-provider/a-model-with-a-long-name-70b", "[bold]70b"])
def test_scores_fit_80_columns_whoever_explains(author: str) -> None:
    rows = [
        {"layer_index": layer, "author": each, "sample": sample, "n_neurons": 6400, "n_undefined": 104}
        | {"mean": -0.11, "mean_low": -0.15, "mean_high": -0.05}
        for layer in (0, 47)
        for each in (author, SHUFFLED_CONTROL)
        for sample in ("top_and_random", "random_only")
    ]
    summary, console = pl.DataFrame(rows), Console(width=80, record=True)
    console.print(score_tables(summary, "title", author, summary))
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]

    assert not any("…" in line for line in lines)
    assert sum(f"n {author[:10]}" in line for line in lines) == 2
    assert sum("6400 -0.11 [-.15 -.05] -0.11 [-.15 -.05] -0.11 [-.15 -.05] 104/104/104" in line for line in lines) == 4


def test_of_a_metric_without_lower_bound_the_median_stands_below_the_mean() -> None:
    values = {"ablation": (0.5, 0.7, -30.0), "mean_ablation": (1e-4, 2e-4, 6e-4)}
    rows = [
        {
            "candidate": 0,
            "author": author,
            "chosen": author == "rules",
            "scorer": "ablation",
            "sample": "top_and_random",
            "metric": metric,
            "value": value,
        }
        | {"chance": 0.0 if metric == "ablation" else None, "failure": None}
        for metric, of_neurons in values.items()
        for value in of_neurons
        for author in ("rules", SHUFFLED_CONTROL)
    ]
    console = Console(width=80, record=True)
    console.print(metrics_tables(pl.DataFrame(rows), "rules"))
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]

    assert "ablation -9.60 0.00 -9.60 - - 0" in lines
    assert "ablation, median 0.50 0.00 0.50 - - 0" in lines
    assert "mean ablation 3.0e-04 - 3.0e-04 - - 0" in lines


def test_what_choosing_gained_is_told_by_layer() -> None:
    nothing = {"n_neurons": 2, "n_undefined": 0, "mean_low": None, "mean_high": None}
    rows = [
        {"layer_index": 3, "author": author, "sample": sample, "mean": mean, **nothing}
        | {"gain": gain, "gain_low": low, "gain_high": high}
        for author, sample, mean, gain, low, high in (
            ("rules", "top_and_random", 0.5, None, None, None),
            ("rules", "random_only", 0.25, None, None, None),
            ("chosen", "top_and_random", 0.75, 0.25, 0.125, 0.375),
            ("chosen", "random_only", 0.25, 0.0, None, None),
        )
    ]
    floats = dict.fromkeys(("mean", "mean_low", "mean_high", "gain", "gain_low", "gain_high"), pl.Float64)
    console = Console(width=80, record=True)
    console.print(score_tables(pl.DataFrame(rows, schema_overrides=floats), "title", "rules", None))
    lines = console.export_text()

    assert "L3  0.75 (+0.250 [+0.125 +0.375]) top-and-random\n    0.25 (+0.000 [-]) random-only" in lines


def test_how_many_meanings_helped_is_told_by_layer_and_list() -> None:
    rows = [
        {"layer_index": 3, "n_meanings": n_meanings, "sample": sample, "n_chosen": n_chosen, "n_neurons": 32}
        | {"gain": gain, "gain_low": low, "gain_high": high}
        for n_meanings, sample, n_chosen, gain, low, high in (
            (2, "top_and_random", 5, 0.125, -0.25, 0.5),
            (2, "random_only", 5, 0.25, None, None),
            (3, "top_and_random", 0, None, None, None),
            (3, "random_only", 0, None, None, None),
        )
    ]
    told = helped_text(rows).plain.splitlines()

    assert told[1:] == [
        "L3  2 for 5 of 32",
        "    +0.125 [-0.250 +0.500] top-and-random",
        "    +0.250 [-] random-only",
        "L3  3 for 0 of 32",
    ]
    assert all(len(line) <= 80 for line in told)
