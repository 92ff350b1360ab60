"""What people look at in the Dagster UI: a neuron's excerpts in colour, the scores by depth, what asking has taken.

Put here: pictures in metadata. Keep out: the numbers behind them. The UI shows pictures only as data in an image link;
token text is untrusted, so it is escaped.
"""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl
from jaxtyping import Float

from neuron_assets.method.display import visible
from neuron_assets.method.records import NeuronRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_REFERENCES = ("shuffled_control", "unigram_lookup", "bigram_lookup")
_CHARACTER, _LINE, _WIDTH = 7.3, 20, 130
"""Width of a character and height of a line in pixels; characters a line."""


def neuron_picture(
    record: NeuronRecord, explanation: str, explainer: str, n_excerpts: int = 4
) -> dg.MarkdownMetadataValue:
    """The explanation, and below it the first excerpts, each token the greener the stronger the neuron is on it."""
    exemplars = record.exemplars
    largest = max(float(exemplars.activations[:n_excerpts].max(initial=0.0)), 1e-9)
    lines: list[str] = []
    for codes, values in zip(exemplars.tokens.codes[:n_excerpts], exemplars.activations[:n_excerpts], strict=True):
        lines += _lines([exemplars.tokens.strings[code] for code in codes], values / largest)
        lines.append("")
    image = _image("image/svg+xml", _svg(lines).encode())
    told = f"Train excerpts that excite it most; the darkest token has {largest:.3g}."
    text = f"**{record.neuron}** · explainer: {explainer}\n\n{_plain(explanation)}\n\n{told}\n\n{image}"
    return dg.MetadataValue.md(text)


def summary_plot(summary: pl.DataFrame, title: str) -> str:
    """Mean score and 95 % interval by layer, a line an author and sample, as an image link."""
    figure, panels = _panels(title, "mean score (95 % interval)")
    for sample, panel in panels.items():
        by_author = summary.filter(pl.col("sample") == sample).partition_by("author", as_dict=True)
        for place, (author,) in enumerate(sorted(by_author, key=lambda key: key[0] in _REFERENCES)):
            rows = by_author[(author,)]
            ordered = rows.drop_nulls("mean").sort("layer_index")
            mean = ordered["mean"].to_numpy()
            low, high = (ordered[end].fill_null(ordered["mean"]).to_numpy() for end in ("mean_low", "mean_high"))
            spread = np.maximum(0.0, np.stack([mean - low, high - mean]))
            style = {"linestyle": "--", "linewidth": 1.0} if author in _REFERENCES else {"linewidth": 2.2}
            layers = ordered["layer_index"].to_numpy() + 0.06 * place
            panel.errorbar(layers, mean, yerr=spread, marker="o", markersize=4, capsize=3, label=str(author), **style)
        panel.axhline(0, color="grey", linewidth=0.8)
    handles, names = panels["top_and_random"].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=8)
    return _png(figure)


def distribution_plot(scores: pl.DataFrame, title: str) -> str:
    """How the scores of the explainer's candidates are spread over each layer's neurons, as an image link."""
    figure, panels = _panels(title, "score")
    for sample, panel in panels.items():
        rows = scores.filter(pl.col("sample") == sample).drop_nulls("ev_correlation")
        layers = rows["layer_index"].unique(maintain_order=True).sort().to_list()
        values = [rows.filter(pl.col("layer_index") == layer)["ev_correlation"].to_numpy() for layer in layers]
        if values:  # else no candidate has a score
            panel.boxplot(values, positions=layers, whis=(5, 95), showfliers=True, flierprops={"markersize": 3})
        panel.axhline(0, color="grey", linewidth=0.8)
    return _png(figure)


def spending_plot(spending: pl.DataFrame, title: str) -> str:
    """Tokens, dollars and seconds by layer, a line a step and model, as an image link."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(9, 4.4), dpi=110, layout="constrained")
    tokens, dollars, seconds = figure.subplots(1, 3)
    lines = spending.drop_nulls("layer_index").partition_by("asset", "model", as_dict=True)
    for place, ((asset, model), rows) in enumerate(lines.items()):
        layers, style = rows["layer_index"].to_numpy() + 0.06 * place, {"color": f"C{place}", "markersize": 4}
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
        panel.set_xticks(spending["layer_index"].drop_nulls().unique().sort())
        panel.set_ylim(bottom=0)
    figure.legend(*tokens.get_legend_handles_labels(), loc="outside lower center", ncols=1, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return _png(figure)


def _panels(title: str, what: str) -> tuple["Figure", dict[str, "Axes"]]:
    """A figure with one panel a sample."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    left.set_ylabel(what)
    left.set(title="top-and-random", xlabel="layer")
    right.set(title="random-only", xlabel="layer")
    for panel in (left, right):
        panel.xaxis.get_major_locator().set_params(integer=True)
    figure.suptitle(title, fontsize=10)
    return figure, {"top_and_random": left, "random_only": right}


def _png(figure: "Figure") -> str:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return _image("image/png", file.getvalue())


def _lines(tokens: Sequence[str], shares: Float[np.ndarray, " token"]) -> list[str]:
    """Rows of svg elements for one excerpt; x runs on, y is left to the caller as {y}."""
    lines: list[str] = []
    parts: list[str] = []
    column = 0
    for token, share in zip(tokens, shares, strict=True):
        text = visible(token)
        if column + len(text) > _WIDTH and parts:
            lines.append("".join(parts))
            parts, column = [], 0
        x, width = column * _CHARACTER, len(text) * _CHARACTER
        opacity = round(float(np.clip(share, 0, 1)), 2)
        shown = escape(text).replace(" ", "&#160;").replace("{", "&#123;").replace("}", "&#125;")
        parts.append(
            f'<rect x="{x:.1f}" y="{{top}}" width="{width:.1f}" height="17" fill="#2da44e" fill-opacity="{opacity}"/>'
            f'<text x="{x:.1f}" y="{{y}}" textLength="{width:.1f}">{shown}</text>'
        )
        column += len(text)
    return [*lines, "".join(parts)]


def _svg(lines: Sequence[str]) -> str:
    placed = "".join(line.format(y=14 + _LINE * row, top=_LINE * row) for row, line in enumerate(lines))
    width, height = round(_WIDTH * _CHARACTER), _LINE * len(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="monospace" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>{placed}</svg>'
    )


def _image(kind: str, content: bytes) -> str:
    return f"![](data:{kind};base64,{base64.b64encode(content).decode()})"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return "".join(
        f"\\{character}" if character in "\\`*_{}[]<>()#+-!|~&:" else character
        for character in visible(" ".join(text.split()))
    )
