"""What the command `compare` prints: numbers, what is not known, and text that can do no more than be seen."""

from typing import Any

from rich.console import Console

from neuron_assets.comparison_text import comparison_tables
from neuron_assets.tables.rows import frame

HOSTILE = "other: [red]\x1b[31m refused"
NUMBERS = ("baseline_mean", "mean", "difference", "difference_low", "difference_high", "win_rate")


def row(layer: int | None, metric: str, *numbers: float | None, **changes: Any) -> dict[str, Any]:
    failure = "no neuron has a value in both" if numbers[0] is None else None
    same = {
        "baseline": "base",
        "study": "other",
        "baseline_explainer": "rules/1",
        "explainer": "parrot@here?layout=pairs",
        "baseline_simulator": "rules/1",
        "simulator": "rules/1",
        "scorer": "simulation",
        "sample": "random_only" if metric == "ev_correlation" else "natural_rate",
        "n_neurons": 0 if failure else 12,
        "n_left_out": 0,
        "left_out": None,
        "baseline_cost": 0.0,
        "cost": None,
        "baseline_cost_failure": None,
        "cost_failure": "3 requests have no known price",
        "interval_failure": None,
    }
    told = dict(zip(NUMBERS, numbers, strict=True))
    return same | told | {"layer_index": layer, "metric": metric, "failure": failure} | changes


def printed(*rows: dict[str, Any]) -> str:
    console = Console(width=100, record=True)
    console.print(comparison_tables(frame("comparison", {name: [each[name] for each in rows] for name in rows[0]})))
    return console.export_text()


def test_every_row_tells_its_difference_or_that_there_is_none() -> None:
    text = printed(
        row(1, "ev_correlation", 0.5, 0.6, 0.1, 0.05, 0.15, 0.75),
        row(2, "ev_correlation", None, None, None, None, None, None),
        row(None, "ev_correlation", 0.5, 0.6, 0.1, None, None, 0.75),
        row(None, "auprc", 0.25, 0.2, -0.05, -0.125, 0.025, 0.4),
    )
    lines = [" ".join(line.split()) for line in text.splitlines()]

    assert "other less base" in lines
    assert "explainer: parrot@here?layout=pairs, in base rules/1" in lines
    assert "simulator: rules/1" in lines
    assert "random only L1 12 0.50 0.60 +0.100 [+0.050 +0.150] 75%" in lines
    assert "random only L2 0 - - undefined -" in lines
    assert "random only all layers 12 0.50 0.60 +0.100 [-] 75%" in lines
    assert "natural rate auprc 12 0.25 0.20 -0.050 [-0.125 +0.025] 40%" in lines
    assert "Dollars a neuron: base 0, other unknown (3 requests have no known price)." in text


def test_text_of_models_is_shown_and_not_obeyed() -> None:
    left_out = {"n_left_out": 1, "left_out": f"1 x {HOSTILE}"}
    text = printed(row(None, "ev_correlation", 0.5, 0.6, 0.1, 0.05, 0.15, 0.75, **left_out))

    assert "left out, ev correlation, random only: 1 x other: [red]" in text
    assert "\x1b" not in text
