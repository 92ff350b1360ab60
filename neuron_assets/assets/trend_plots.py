"""The plots of the table `trends`, as SVG: for the Dagster UI, and for `neuron-assets trends --plots`.

Put here: how trends look. Keep out: the numbers (`method/trends.py`). The ground is white, whatever is around it.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from neuron_assets.assets.specs import labels
from neuron_assets.method.controls import CONTROLS
from neuron_assets.method.labels import is_of_study
from neuron_assets.method.samples import SAMPLES
from neuron_assets.method.trends import LIMITS
from neuron_assets.study import Study
from neuron_assets.tables.summarized import CHOSEN
from neuron_assets.tables.trends import BINNED_BY, GAIN, PLACE, SHARES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_REFERENCES = (*CONTROLS, "unigram_lookup", "bigram_lookup")
_WIDE = 5.2
"""Of a panel, in inches."""
_MOST_TICKS = 13
_MOST_NAMED = 6
"""Layers that a title names; more are counted."""
_SPREAD = 0.5
"""Between the first and the last author at one place; two places are 1 apart."""

WHAT: Mapping[str, str] = {
    "depth": "layer",
    "density": "active tokens of the train pool (%), in bins of equal counts",
    "kurtosis": "excess kurtosis of activations, in bins of equal counts",
    "revision": "layer",
}
"""Of each trend that is drawn as lines, what its places are."""


def trends_title(study: Study, missing: Sequence[int]) -> str:
    """Whose trends these are, and which layers of the study are not among them."""
    named = ", ".join(f"L{layer}" for layer in missing) if len(missing) <= _MOST_NAMED else f"{len(missing)} layers"
    lacking = f"\nwithout {named}, which have no scores" if missing else ""
    return f"{study.name} · {labels(study, 'trends')}{lacking}"


def layers_without_scores(study: Study, trends: pl.DataFrame) -> list[int]:
    there = set(trends["layer_index"])
    return [layer for layer in study.layer_indices if layer not in there]


def trend_plots(trends: pl.DataFrame, title: str) -> Mapping[str, bytes]:
    """An SVG file for each trend that there is, by its name, and one for `shares`, by layer; none of a single bin."""
    by_trend = {str(trend): rows for (trend,), rows in trends.group_by("trend", maintain_order=True)}
    of_one_bin = {trend for trend in BINNED_BY if trend in by_trend and by_trend[trend]["bin"].n_unique() == 1}
    in_lines = {trend: rows for trend, rows in by_trend.items() if trend in WHAT and trend not in of_one_bin}
    drawn = {trend: _lines(rows, WHAT[trend], title) for trend, rows in in_lines.items()}
    if "depth" in by_trend:
        drawn |= {"shares": _shares(by_trend["depth"], title), "explainer": _authors(by_trend["explainer"], title)}
    return {name: _svg(figure) for name, figure in sorted(drawn.items())}


def own_author(trends: pl.DataFrame) -> str:
    """Whose scores are looked at first: the chosen candidates', or where there was no choice the explainer's."""
    authors = trends.filter(pl.col("trend") == "explainer")["author"].unique().sort().to_list()
    return CHOSEN if CHOSEN in authors else next(filter(_is_own, authors), CHOSEN)


def _is_own(author: str) -> bool:
    return author not in _REFERENCES and is_of_study(author)


def place_in_words(row: Mapping[str, Any]) -> str:
    """A layer, or the ends of a bin: of density in percent. Of what is of no place: `all` layers, or `unknown`."""
    is_binned, unit = row["trend"] in BINNED_BY, 100 if row["trend"] == "density" else 1
    if row["bin"] is not None:
        return " to ".join(f"{row[end] * unit:.3g}" for end in ("bin_low", "bin_high"))
    if row["layer_index"] is not None:
        return f"L{row['layer_index']}"
    return "unknown" if is_binned else "all"


def _lines(rows: pl.DataFrame, what: str, title: str) -> "Figure":
    """A line an author: mean and interval by place. What is of no place of its own stands last, and apart."""
    gain = ", gain" if GAIN in rows["author"] else ""
    figure, panels = _panels(rows, title, f"mean score{gain} (95 % interval)")
    authors = _in_order(rows)
    offsets = np.linspace(-_SPREAD / 2, _SPREAD / 2, len(authors)) if len(authors) > 1 else np.zeros(1)
    for panel, of_panel in panels:
        places = of_panel.select("trend", *PLACE).unique().sort(PLACE, nulls_last=True).with_row_index("at")
        placed = of_panel.join(places, on=list(PLACE), nulls_equal=True).sort("at")
        is_placed = pl.any_horizontal(pl.col("layer_index", "bin").is_not_null())
        for number, author in enumerate(authors):
            line = placed.filter(pl.col("author") == author).drop_nulls("mean")
            joined = line.filter(is_placed)
            style = {"linestyle": "--", "linewidth": 0.8} if author in _REFERENCES else {"linewidth": 1.8}
            colour, offset = f"C{number}", offsets[number]
            panel.errorbar(line["at"] + offset, line["mean"], _errors(line), fmt="none", elinewidth=0.9, ecolor=colour)
            panel.plot(line["at"] + offset, line["mean"], "o", markersize=4, color=colour)
            panel.plot(joined["at"] + offset, joined["mean"], color=colour, label=_plain(author), **style)
        counts = dict(placed.group_by("at").agg(pl.col("n_neurons").max()).iter_rows())
        _name(
            panel, [f"{place_in_words(row)}\nn {counts[row['at']]}" for row in places.to_dicts()], tilted="bins" in what
        )
        panel.axhline(0, color="grey", linewidth=0.8)
        panel.set_xlabel(what)
    _legend(figure, panels)
    return figure


def _authors(rows: pl.DataFrame, title: str) -> "Figure":
    """Mean and interval of each author over all neurons."""
    figure, panels = _panels(rows, title, "")
    order = _in_order(rows)[::-1]
    for panel, of_panel in panels:
        counts = dict(of_panel.select("author", "n_neurons").iter_rows())
        for at, author in enumerate(order):
            line = of_panel.filter(pl.col("author") == author).drop_nulls("mean")
            colour = "C7" if author in _REFERENCES else "C0"
            panel.errorbar(line["mean"], [at] * line.height, xerr=_errors(line), fmt="o", capsize=3, color=colour)
        names = [f"{_plain(author)}, n {counts.get(author, 0)}" for author in order]
        panel.set_yticks(range(len(names)), names, fontsize=8)
        panel.set_ylim(-0.6, len(names) - 0.4)
        panel.axvline(0, color="grey", linewidth=0.8)
        panel.set_xlabel("mean score (95 % interval)")
    return figure


def _shares(depth: pl.DataFrame, title: str) -> "Figure":
    """Which share of the neurons of each layer has a score above each limit."""
    author = own_author(depth.with_columns(trend=pl.lit("explainer")))
    own = depth.filter(pl.col("author") == author).sort("layer_index")
    figure, panels = _panels(own, f"{title}\nauthor: {author}", "share of neurons with a score (%)")
    for panel, rows in panels:
        placed = rows.with_row_index("at")
        for name, limit, marker in zip(SHARES, LIMITS, "os^", strict=True):
            line = placed.drop_nulls(name)
            panel.plot(line["at"], line[name] * 100, marker=marker, markersize=4, label=f"above {limit}")
        _name(panel, [f"{place_in_words(row)}\nn {row['n_neurons'] - row['n_undefined']}" for row in rows.to_dicts()])
        panel.set_xlabel("layer")
        panel.set_ylim(-3, 103)
    _legend(figure, panels)
    return figure


def _panels(rows: pl.DataFrame, title: str, ylabel: str) -> tuple["Figure", list[tuple["Axes", pl.DataFrame]]]:
    """A panel for each sample that there is, with its rows."""
    from matplotlib.figure import Figure

    parts = [(sample, part) for sample in SAMPLES if (part := rows.filter(pl.col("sample") == sample)).height]
    figure = Figure(figsize=(max(8.0, _WIDE * len(parts)), 4.6), facecolor="white", layout="constrained")
    axes = figure.subplots(1, len(parts), sharey=True, squeeze=False)[0]
    for panel, (sample, part) in zip(axes, parts, strict=True):
        panel.set_title(f"{sample.replace('_', '-')}\n{_undefined(part)}", fontsize=9)
        panel.grid(axis="y", linewidth=0.3)
    axes[0].set_ylabel(ylabel)
    figure.suptitle(_plain(title), fontsize=10)
    return figure, [(panel, part) for panel, (_, part) in zip(axes, parts, strict=True)]


def _in_order(rows: pl.DataFrame) -> list[str]:
    """The authors, controls and lookups last."""
    return sorted(rows["author"].unique(), key=lambda author: (author in _REFERENCES, author))


def _name(panel: "Axes", names: Sequence[str], *, tilted: bool = False) -> None:
    """A name at each place, or fewer where there are many."""
    shown = range(0, len(names), max(1, -(-len(names) // _MOST_TICKS)))
    panel.set_xticks(shown, [names[at] for at in shown], fontsize=7, rotation=60 if tilted else 0)


def _undefined(rows: pl.DataFrame) -> str:
    """How many scores are in no mean, by author."""
    counts = rows.group_by("author").agg(pl.col("n_undefined").sum()).filter(pl.col("n_undefined") > 0).sort("author")
    return (
        f"undefined: {', '.join(f'{_plain(author)} {n}' for author, n in counts.iter_rows())}" if counts.height else ""
    )


def _errors(line: pl.DataFrame) -> list[np.ndarray[Any, Any]]:
    """How far the ends of the intervals are from the means; no length where there is no interval."""
    mean, low, high = (line[name].to_numpy() for name in ("mean", "mean_low", "mean_high"))
    return [np.nan_to_num(np.maximum(0, mean - low)), np.nan_to_num(np.maximum(0, high - mean))]


def _legend(figure: "Figure", panels: Sequence[tuple["Axes", pl.DataFrame]]) -> None:
    handles, names = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=8)


def _plain(text: str) -> str:
    """Text that is not read as mathematics."""
    return text.replace("$", r"\$")


def _svg(figure: "Figure") -> bytes:
    """The same figure gives the same bytes: no time, no random names."""
    from matplotlib import rc_context

    file = io.BytesIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "neuron_assets"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
