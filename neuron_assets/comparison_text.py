"""What the command `compare` prints: by how much each study does better than the first.

Here: rich's tables of a comparison. Not here: its numbers (`assets/comparing.py`), other tables (`terminal.py`). Text
of models may stand in reasons: it is never read as markup, and control characters are shown, not sent.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from neuron_assets.method.display import visible
from neuron_assets.tables.compared import CORRELATION
from neuron_assets.tables.measured import SHOWN_AS

_LONGEST_NAME = 14


def comparison_tables(comparison: pl.DataFrame) -> Group:
    """Of each study: the correlation by layer, every other metric over all layers, what is left out, and the cost."""
    shown = comparison.with_columns(SHOWN_AS)
    by_study = shown.partition_by("study", maintain_order=True)
    return Group(*(part for rows in by_study for part in (*_of_study(rows), "")))


def _of_study(rows: pl.DataFrame) -> Iterator[RenderableType]:
    whose = rows.row(0, named=True)
    baseline, study = whose["baseline"], whose["study"]
    yield Text(f"{study} less {baseline}", "bold")
    for role in ("explainer", "simulator"):
        first, second = whose[f"baseline_{role}"], whose[role]
        yield Text(
            visible(f"{role}: {second}, in {baseline} {first}" if first != second else f"{role}: {first}"), "dim"
        )
    together = rows.filter(pl.col("layer_index").is_null())
    correlations = rows.filter(pl.col("metric") == CORRELATION).sort("sample", maintain_order=True)
    others = together.filter(pl.col("metric") != CORRELATION).sort("sample", maintain_order=True)
    yield _table(baseline, study, "correlation", [(_layer(row), row) for row in correlations.to_dicts()])
    if others.height:
        told = [(row["metric"].replace("_", " "), row) for row in others.to_dicts()]
        yield _table(baseline, study, "all layers", told)
    yield from _left_out(together)
    yield _cost(together.filter(pl.col("metric") == CORRELATION).row(0, named=True))


def _table(baseline: str, study: str, what: str, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for name in ("sample", what):
        table.add_column(Text(name), no_wrap=True)
    for name in ("n", _short(baseline), _short(study), "difference", "wins"):
        table.add_column(Text(name), justify="right", no_wrap=True)
    for name, row in rows:
        table.add_row(
            row["sample"].replace("_", " "),
            name,
            str(row["n_neurons"]),
            *("-" if row[mean] is None else f"{row[mean]:.2f}" for mean in ("baseline_mean", "mean")),
            _difference(row),
            "-" if row["win_rate"] is None else f"{row['win_rate']:.0%}",
        )
    return table


def _layer(row: Mapping[str, Any]) -> str:
    return "all layers" if row["layer_index"] is None else f"L{row['layer_index']}"


def _difference(row: Mapping[str, Any]) -> str:
    if row["difference"] is None:
        return "undefined"
    if row["difference_low"] is None:
        return f"{row['difference']:+.3f} [-]"
    return f"{row['difference']:+.3f} [{row['difference_low']:+.3f} {row['difference_high']:+.3f}]"


def _left_out(together: pl.DataFrame) -> Iterator[Text]:
    for row in together.filter(pl.col("n_left_out") > 0).to_dicts():
        what = f"{row['metric']}, {row['sample']}".replace("_", " ")
        yield Text(visible(f"left out, {what}: {row['left_out']}"), "dim")


def _cost(row: Mapping[str, Any]) -> Text:
    told = [
        f"{row[name]} {_dollars(row[cost], row[f'{cost}_failure'])}"
        for name, cost in (("baseline", "baseline_cost"), ("study", "cost"))
    ]
    return Text(f"Dollars a neuron: {', '.join(told)}. Brackets: 95 % intervals; wins: ties count half.")


def _dollars(cost: float | None, failure: str | None) -> str:
    return f"unknown ({failure})" if cost is None else f"{cost:.4g}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 2]}.."
