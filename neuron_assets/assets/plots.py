"""The plots of the Dagster UI: scores by depth and how they are spread, what asking has taken.

Put here: plots in metadata. Keep out: the numbers behind them; neurons in colour (`pictures.py`).
"""

import io
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from neuron_assets.assets.pictures import image_link
from neuron_assets.method.controls import CONTROLS
from neuron_assets.method.samples import SAMPLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_REFERENCES = (*CONTROLS, "unigram_lookup", "bigram_lookup")
_FEWEST_IN_A_BOX = 8
"""Fewer scores than these are drawn as points: their quartiles would say nothing."""
_MOST_TICKS = 12


def summary_plot(summary: pl.DataFrame, title: str) -> str:
    """Mean score and 95 % interval by layer, a line an author and sample, as an image link."""
    figure, panels = _panels(title, "mean score (95 % interval)", summary["sample"])
    apart = 0.1 if summary["layer_index"].n_unique() == 1 else 0.0  # points of one layer would hide one another
    for sample, panel in panels.items():
        by_author = summary.filter(pl.col("sample") == sample).partition_by("author", as_dict=True)
        for place, (author,) in enumerate(sorted(by_author, key=lambda key: key[0] in _REFERENCES)):
            rows = by_author[(author,)].drop_nulls("mean").sort("layer_index")
            layers, mean = rows["layer_index"].to_numpy() + apart * place, rows["mean"].to_numpy()
            low, high = (rows[end].fill_null(rows["mean"]).to_numpy() for end in ("mean_low", "mean_high"))
            style = {"linestyle": "--", "linewidth": 1.0} if author in _REFERENCES else {"linewidth": 2.2}
            (line,) = panel.plot(layers, mean, marker="o", markersize=4, label=str(author), **style)
            panel.fill_between(layers, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
            panel.vlines(layers, low, high, color=line.get_color(), alpha=0.5, linewidth=1.0)
        _name_layers(panel, summary["layer_index"])
        panel.axhline(0, color="grey", linewidth=0.8)
    handles, names = next(iter(panels.values())).get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=8)
    return _png(figure)


def distribution_plot(scores: pl.DataFrame, title: str) -> str:
    """How scores are spread over the neurons of each layer, as an image link."""
    figure, panels = _panels(title, "score", scores["sample"])
    for sample, panel in panels.items():
        rows = scores.filter(pl.col("sample") == sample).drop_nulls("ev_correlation")
        by_layer = rows.partition_by("layer_index", as_dict=True)
        values = {layer: part["ev_correlation"].to_numpy() for (layer,), part in by_layer.items()}
        boxes = {layer: scores for layer, scores in values.items() if len(scores) >= _FEWEST_IN_A_BOX}
        if boxes:
            panel.boxplot(
                list(boxes.values()), positions=list(boxes), whis=(5, 95), flierprops={"markersize": 3}, widths=0.5
            )
        for layer in values.keys() - boxes.keys():
            panel.plot([layer] * len(values[layer]), values[layer], "o", color="C0", markersize=5, alpha=0.6)
        _name_layers(panel, scores["layer_index"])
        panel.axhline(0, color="grey", linewidth=0.8)
    return _png(figure)


def spending_plot(spending: pl.DataFrame, title: str) -> str:
    """Tokens, dollars and seconds by layer, a line a step and model, as an image link."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(9, 4.4), dpi=110, layout="constrained")
    tokens, dollars, seconds = figure.subplots(1, 3)
    nowhere = min(spending["layer_index"].drop_nulls().to_list(), default=0) - 1
    placed = spending.with_columns(pl.col("layer_index").fill_null(nowhere))
    lines = placed.partition_by("asset", "model", as_dict=True)
    for place, ((asset, model), rows) in enumerate(lines.items()):
        layers, style = rows["layer_index"].to_numpy(), {"color": f"C{place}", "markersize": 4}
        name = f"{asset}: {model[:60]}"
        tokens.plot(layers, rows["tokens_in"], marker="o", label=f"{name}, in", **style)
        tokens.plot(layers, rows["tokens_out"], marker="^", linestyle=":", label=f"{name}, out", **style)
        dollars.plot(layers, rows["money"].to_numpy(), marker="o", **style)
        median, high = (rows[column].to_numpy() for column in ("median_seconds", "p95_seconds"))
        seconds.errorbar(layers, median, yerr=[np.zeros_like(median), high - median], marker="o", capsize=3, **style)
    tokens.yaxis.set_major_formatter(EngFormatter(sep=""))
    tokens.set_title("tokens")
    dollars.set_title("US dollars" + (", where known" if spending["n_without_price"].sum() else ""))
    seconds.set_title("seconds: median to 95 %")
    for panel in (tokens, dollars, seconds):
        panel.set_xlabel("layer")
        _name_layers(panel, placed["layer_index"], nowhere)
    if placed["money"].count() == 0:
        dollars.text(0.5, 0.5, "no price is known", transform=dollars.transAxes, ha="center", color="grey")
        panel.set_ylim(bottom=0)
    figure.legend(*tokens.get_legend_handles_labels(), loc="outside lower center", ncols=1, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return _png(figure)


def _panels(title: str, what: str, samples: pl.Series) -> tuple["Figure", dict[str, "Axes"]]:
    """A figure with one panel for each of these samples."""
    from matplotlib.figure import Figure

    there = [sample for sample in SAMPLES if sample in set(samples)] or [SAMPLES[0]]
    figure = Figure(figsize=(max(9, 4 * len(there)), 4), dpi=110, layout="constrained")
    panels = dict(zip(there, figure.subplots(1, len(there), sharey=True, squeeze=False)[0], strict=True))
    for sample, panel in panels.items():
        panel.set(title=sample.replace("_", "-"), xlabel="layer")
    panels[there[0]].set_ylabel(what)
    figure.suptitle(title, fontsize=10)
    return figure, panels


def _name_layers(panel: "Axes", layers: pl.Series, nowhere: int | None = None) -> None:
    """A tick a layer, or fewer where there are many; what is of no layer stands at `nowhere`."""
    every = layers.unique().sort().to_list()
    shown = every[:: -(-len(every) // _MOST_TICKS)] if every else []
    panel.set_xticks(shown, ["none" if layer == nowhere else str(layer) for layer in shown])


def _png(figure: "Figure") -> str:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return image_link("image/png", file.getvalue())
