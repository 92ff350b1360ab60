"""The tables `scores` and `neuron_statistics` of some layers as the table `trends`.

Here: which neurons make a point together, and rows. Not here: bins and numbers (`method/trends.py`).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from neuron_assets.method.trends import LIMITS, TRENDS, Line, Trend, bins_of_equal_counts, lines_of, shares_above
from neuron_assets.tables.explained import of_chosen, of_first
from neuron_assets.tables.rows import frame
from neuron_assets.tables.schemas import KEYS, empty
from neuron_assets.tables.summarized import CHOSEN, first_of_each_author, sums_of

FIRST, GAIN = "first", "gain"
"""As authors: the explainer's first candidates, and how much better the chosen ones are."""

BINNED_BY: Mapping[Trend, str] = {"density": "share_active", "kurtosis": "kurtosis"}
"""The column of `neuron_statistics` that neurons are put into bins by."""

SHARES = ("share_above_half", "share_above_70", "share_above_80")
"""By `LIMITS`."""

PLACE = ("layer_index", "bin", "bin_low", "bin_high")
"""The columns that tell where a point stands in its plot."""

_NEURON = ["layer_index", "neuron_index"]
_PLACE = {"trend": pl.String, "place": pl.Int32, "bin": pl.Int32, "bin_low": pl.Float64, "bin_high": pl.Float64}
"""Where in its plot a neuron stands; `place` is the layer, null for all layers together."""


def trends_frame(
    scores: pl.DataFrame, statistics: pl.DataFrame, *, chooses: bool, seed: int, n_draws: int
) -> pl.DataFrame:
    """One row a point, whatever the order of the rows given; of several candidates of one author, the first.

    Where candidates were chosen between, the chosen ones are an author of their own, and there is the trend `revision`.
    """
    told = first_of_each_author(scores)
    places = _places(told, statistics)
    if chooses:
        told = pl.concat([told, *_before_and_after(scores)])
    rows = [
        row
        for _, of_sample in told.sort(*_NEURON).group_by("sample", maintain_order=True)
        for author, neurons, line in _lines(of_sample, seed, n_draws)
        for row in _rows(author, neurons, line, places)
    ]
    if not rows:
        return empty("trends")
    table = frame("trends", {name: [row[name] for row in rows] for name in rows[0]})
    return table.sort(KEYS["trends"], nulls_last=True)


def _before_and_after(scores: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The first candidate of each neuron that one was chosen for, and the chosen one."""
    chosen, keys = of_chosen(scores).with_columns(author=pl.lit(CHOSEN)), [*_NEURON, "sample"]
    first = chosen.select(keys).join(of_first(scores), on=keys, how="left").with_columns(author=pl.lit(FIRST))
    return first.select(chosen.columns), chosen


def _lines(of_sample: pl.DataFrame, seed: int, n_draws: int) -> Iterator[tuple[str, pl.DataFrame, Line]]:
    """Each author with the rows of its neurons and their scores; then, of the chosen ones, the gains."""
    authors = {str(author): rows for (author,), rows in of_sample.group_by("author", maintain_order=True)}
    lines = lines_of([sums_of(rows) for rows in authors.values()], seed=seed, n_draws=n_draws)
    by_author = dict(zip(authors, lines, strict=True))
    for author, line in by_author.items():
        yield author, authors[author], line
    if CHOSEN in by_author:
        yield GAIN, authors[CHOSEN], by_author[CHOSEN].less(by_author[FIRST])


def _rows(author: str, neurons: pl.DataFrame, line: Line, places: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """The points of one author on one sample."""
    trends = ("revision",) if author in {FIRST, GAIN} else TRENDS if author == CHOSEN else TRENDS[:-1]
    placed = neurons.with_row_index("row").join(
        places.filter(pl.col("trend").is_in(trends)), on=_NEURON, maintain_order="left"
    )
    for key, group in placed.group_by(list(_PLACE), maintain_order=True):
        where, members = dict(zip(_PLACE, key, strict=True)), group["row"].cast(pl.Int64).to_numpy()
        found = line.point(members)
        shares = [None] * len(LIMITS) if author == GAIN else shares_above(line.values[members])
        yield {
            "trend": where["trend"],
            "sample": group["sample"][0],
            "author": author,
            "layer_index": where["place"],
            **{name: where[name] for name in ("bin", "bin_low", "bin_high")},
            **{role: " + ".join(group[role].drop_nulls().unique().sort()) for role in ("explainer", "simulator")},
            "n_neurons": found.n_neurons,
            "n_undefined": found.n_undefined,
            "mean": found.mean,
            "mean_low": found.low,
            "mean_high": found.high,
            "failure": None if found.mean is not None else f"none of {found.n_neurons} neurons has a score",
            "interval_failure": found.failure,
            **dict(zip(SHARES, shares, strict=True)),
        }


def _places(lines: pl.DataFrame, statistics: pl.DataFrame) -> pl.DataFrame:
    """Where each neuron stands in each plot: by its layer, by bins, and all together."""
    neurons = lines.select(_NEURON).unique().sort(_NEURON)
    known = neurons.join(statistics.select(*_NEURON, *BINNED_BY.values()), on=_NEURON, how="left")
    parts = [
        neurons.with_columns(trend=pl.lit("depth"), place="layer_index"),
        neurons.with_columns(trend=pl.lit("explainer")),
        neurons.with_columns(trend=pl.lit("revision"), place="layer_index"),
        neurons.with_columns(trend=pl.lit("revision")),
        *(_in_bins(known.select(*_NEURON, value=column), trend) for trend, column in BINNED_BY.items()),
    ]
    return pl.concat([_with_all_of_a_place(part) for part in parts])


def _in_bins(neurons: pl.DataFrame, trend: Trend) -> pl.DataFrame:
    """A neuron without a value is in no bin."""
    there, value = neurons.drop_nulls("value"), pl.col("value")
    there = there.with_columns(pl.Series("bin", bins_of_equal_counts(there["value"].to_numpy()), pl.Int32))
    binned = there.with_columns(bin_low=value.min().over("bin"), bin_high=value.max().over("bin"))
    return neurons.select(_NEURON).join(binned, on=_NEURON, how="left").with_columns(trend=pl.lit(trend))


def _with_all_of_a_place(neurons: pl.DataFrame) -> pl.DataFrame:
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in _PLACE.items() if name not in neurons.columns]
    return neurons.with_columns(missing).select(*_NEURON, *_PLACE)
