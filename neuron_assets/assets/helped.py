"""How many meanings helped, for the UI.

Put here: that as metadata of `scores` and `layer_summary`. Keep out: the numbers (`tables/meant.py`), and the same for
the command line (`terminal.py`).
"""

from typing import Any

import dagster as dg
import polars as pl

from neuron_assets.study import Study
from neuron_assets.tables.meant import helped

_COLUMNS = ("layer", "meanings", "sample", "chosen for", "gain", "from", "to")


def helped_in_layer(study: Study, scores: pl.DataFrame) -> dict[str, Any]:
    """By number of meanings, for how many neurons the list was chosen, and what it gained them; plotted by layer."""
    facts: dict[str, Any] = {}
    for row in _helped(study, scores):
        facts[f"chosen_{row['n_meanings']}_meanings"] = row["n_chosen"]
        if row["gain"] is not None:
            facts[f"gain_of_{row['n_meanings']}_meanings_{row['sample']}"] = round(row["gain"], 4)
    return facts


def helped_by_layer(study: Study, scores: pl.DataFrame) -> dict[str, Any]:
    """The same of several layers, as a table with intervals."""
    rows = [
        (
            f"L{row['layer_index']}",
            str(row["n_meanings"]),
            row["sample"],
            f"{row['n_chosen']} of {row['n_neurons']}",
            *(f"{row[name]:+.3f}" if row[name] is not None else "-" for name in ("gain", "gain_low", "gain_high")),
        )
        for row in _helped(study, scores)
    ]
    lines = [f"| {' | '.join(cells)} |" for cells in (_COLUMNS, ["---"] * len(_COLUMNS), *rows)]
    return {"meanings": dg.MetadataValue.md("\n".join(lines))} if rows else {}


def _helped(study: Study, scores: pl.DataFrame) -> list[dict[str, Any]]:
    """Nothing where the study asks for no lists."""
    if not study.lists_meanings:
        return []
    return helped(scores, seed=study.scoring.seed, n_draws=study.scoring.draws)
