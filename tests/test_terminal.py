"""What the command line shows is whole, on narrow terminals too."""

import polars as pl
import pytest
from rich.console import Console

from neuron_assets.method.controls import SHUFFLED_CONTROL
from neuron_assets.terminal import score_tables


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
