"""What people look at in the Dagster UI: a neuron's excerpts in colour, and the scores by depth.

Put here: pictures in metadata. Keep out: the numbers behind them. The UI shows pictures only as data in an image link;
token text is untrusted, so it is escaped.
"""

import base64
import io
from collections.abc import Sequence
from html import escape

import dagster as dg
import numpy as np
import polars as pl
from jaxtyping import Float

from neuron_assets.method.records import NeuronRecord

_CHARACTER, _LINE, _WIDTH = 7.3, 20, 110
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
    return dg.MetadataValue.md(f"**{record.neuron}** · explainer: {explainer}\n\n> {_plain(explanation)}\n\n{image}")


def summary_plot(summary: pl.DataFrame, title: str) -> str:
    """Mean score and 95 % interval by layer, a line an author and sample, as an image link."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), dpi=110, layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for panel, sample in zip(axes, ("top_and_random", "random_only"), strict=True):
        for author, rows in summary.filter(pl.col("sample") == sample).group_by("author", maintain_order=True):
            ordered = rows.drop_nulls("mean").sort("layer_index")
            mean = ordered["mean"].to_numpy()
            ends = [ordered["mean_low"].to_numpy(), ordered["mean_high"].to_numpy()]
            spread = np.abs(np.nan_to_num(np.stack([mean - ends[0], ends[1] - mean])))
            panel.errorbar(ordered["layer_index"], mean, yerr=spread, marker="o", capsize=3, label=str(author[0]))
        panel.axhline(0, color="grey", linewidth=0.8)
        panel.set(title=sample.replace("_", "-"), xlabel="layer")
    axes[0].set_ylabel("mean score (95 % interval)")
    axes[1].legend(fontsize=8)
    figure.suptitle(title, fontsize=10)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return _image("image/png", file.getvalue())


def distribution_plot(scores: pl.DataFrame, title: str) -> str:
    """How the scores of the explainer's candidates are spread, a line a layer, as an image link."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), dpi=110, layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for panel, sample in zip(axes, ("top_and_random", "random_only"), strict=True):
        for layer, rows in scores.filter(pl.col("sample") == sample).group_by("layer_index", maintain_order=True):
            values = rows["ev_correlation"].drop_nulls().to_numpy()
            panel.hist(values, bins=np.linspace(-0.25, 1, 26).tolist(), histtype="step", label=f"L{layer[0]}")
        panel.set(title=sample.replace("_", "-"), xlabel="score")
    axes[0].set_ylabel("neurons")
    axes[1].legend(fontsize=8)
    figure.suptitle(title, fontsize=10)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return _image("image/png", file.getvalue())


def _lines(tokens: Sequence[str], shares: Float[np.ndarray, " token"]) -> list[str]:
    """Rows of svg elements for one excerpt; x runs on, y is left to the caller as {y}."""
    lines: list[str] = []
    parts: list[str] = []
    column = 0
    for token, share in zip(tokens, shares, strict=True):
        text = token.replace("\n", "⏎").replace("\t", "⇥")
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
        f"\\{character}" if character in "\\`*_{}[]<>()#+-!|~" else character for character in " ".join(text.split())
    )
