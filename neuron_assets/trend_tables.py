"""The trends of a study as the command line prints them.

Here: rich's tables. Not here: the command (`trend_commands.py`), other tables (`terminal.py`), plots
(`assets/trend_plots.py`).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from neuron_assets.assets.trend_plots import own_author, place_in_words
from neuron_assets.tables.trends import GAIN, PLACE, SHARES

_LONGEST_NAME = 20
_ALL_AUTHORS = ("explainer", "revision")
"""Trends of which all authors are printed; of the others only that which is looked at first."""
_PLACES = {"density": "active tokens, %", "kurtosis": "excess kurtosis"}
_LEGEND = (
    "n: neurons asked for. Brackets: 95 % intervals over documents and neurons. >.5, >.7, >.8: share of scores above. "
    "Undefined: neurons without a score; they are in no mean and no share. With --csv: all authors at each place, who "
    "explained and simulated, and why what is missing is missing."
)


def trend_tables(trends: pl.DataFrame, title: str) -> Group:
    """A table a trend and sample, a line a point."""
    return Group(Text(title), "", *_tables(trends), Text(_LEGEND, "dim"))


def _tables(trends: pl.DataFrame) -> Iterator[Table | str]:
    shown = pl.col("trend").is_in(_ALL_AUTHORS) | (pl.col("author") == own_author(trends))
    for (trend, sample), rows in trends.filter(shown).group_by("trend", "sample", maintain_order=True):
        yield _table(rows.sort(*PLACE, maintain_order=True, nulls_last=True), str(trend), str(sample))
        yield ""


def _table(rows: pl.DataFrame, trend: str, sample: str) -> Table:
    title = f"{trend}, {sample.replace('_', '-')}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for name in (_PLACES.get(trend, "layer"), "author"):
        table.add_column(name, no_wrap=True)
    for name in ("n", "mean", ">.5", ">.7", ">.8", "undefined"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows.to_dicts():
        author = row["author"]
        shares = ("-" if row[name] is None else f"{row[name]:.0%}" for name in SHARES)
        name = author if len(author) <= _LONGEST_NAME else f"{author[: _LONGEST_NAME - 2]}.."
        numbers = (str(row["n_neurons"]), _mean(row), *shares, str(row["n_undefined"]))
        table.add_row(place_in_words(row), Text(name), *numbers)
    return table


def _mean(row: Mapping[str, Any]) -> str:
    form = "+.3f" if row["author"] == GAIN else ".2f"
    if row["mean"] is None:
        return "undefined"
    ends = "-" if row["mean_low"] is None else f"{row['mean_low']:{form}} {row['mean_high']:{form}}"
    return f"{row['mean']:{form}} [{ends}]"
