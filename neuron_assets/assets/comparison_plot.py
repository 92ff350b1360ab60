"""The plot of a comparison: by how much other studies score better, by layer.

Put here: that plot, and its bytes. Keep out: the numbers behind it (`comparing.py`), other plots (`plots.py`).
"""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import polars as pl

from neuron_assets.method.samples import SAMPLES
from neuron_assets.tables.compared import CORRELATION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_APART = 0.12
"""Between the points of two studies in one layer."""
_MOST_TICKS = 12


def comparison_plot(comparison: pl.DataFrame, title: str) -> "Figure":
    """Mean difference in correlation with its 95 % interval: a panel a sample, a point a study and layer, or all."""
    from matplotlib.figure import Figure

    rows = comparison.filter(pl.col("metric") == CORRELATION)
    layers = rows["layer_index"].drop_nulls().unique().sort().to_list()
    samples = [sample for sample in SAMPLES if sample in set(rows["sample"])] or [SAMPLES[0]]
    figure = Figure(figsize=(max(9, 4 * len(samples)), 4), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(samples), sharey=True, squeeze=False)[0]
    studies = rows["study"].unique().sort().to_list()
    for sample, panel in zip(samples, panels, strict=True):
        for place, study in enumerate(studies):
            of_study = rows.filter(pl.col("sample") == sample, pl.col("study") == study)
            beside = (place - (len(studies) - 1) / 2) * _APART
            places = {layer: at + beside for at, layer in enumerate([*layers, None])}
            _draw(panel, of_study, places, color=f"C{place}", label=study)
        shown = list(range(len(layers)))[:: -(-len(layers) // _MOST_TICKS) or 1]
        panel.set_xticks([*shown, len(layers)], [*(str(layers[place]) for place in shown), "all"])
        panel.set(title=sample.replace("_", "-"), xlabel="layer")
        panel.axhline(0, color="grey", linewidth=0.8)
    panels[0].set_ylabel("difference in score (95 % interval)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def plotted(figure: "Figure", form: Literal["svg", "png"]) -> bytes:
    """The picture; equal plots give equal bytes."""
    import matplotlib as mpl

    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "comparison"}):
        figure.savefig(file, format=form, metadata={"Date": None} if form == "svg" else None)
    return file.getvalue()


def _draw(panel: "Axes", rows: pl.DataFrame, places: Mapping[int | None, float], *, color: str, label: str) -> None:
    """`places` says where each layer stands, and the mean over all of them: None."""
    known = rows.drop_nulls("difference").sort("layer_index", nulls_last=True)
    x = [places[layer] for layer in known["layer_index"]]
    difference = known["difference"]
    low, high = (known[end].fill_null(difference).to_numpy() for end in ("difference_low", "difference_high"))
    panel.vlines(x, low, high, alpha=0.6, linewidth=1.5, color=color)
    panel.plot(x, difference.to_numpy(), "o", markersize=5, color=color, label=label)
