"""What people look at in the Dagster UI: neurons in colour, what they did and what was expected of them.

Put here: pictures of neurons in metadata. Keep out: the numbers behind them; plots (`plots.py`). The UI shows pictures
only as data in an image link; token text is untrusted, so it is escaped.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, TypeAlias

import dagster as dg
import numpy as np
from jaxtyping import Float

from neuron_assets.method.display import visible
from neuron_assets.method.records import LARGEST, NeuronId, NeuronRecord
from neuron_assets.method.scale import largest_activation

_CHARACTER, _LINE, _WIDTH, _INDENT = 7.3, 20, 130, 11
"""Width of a character and height of a line in pixels; characters a line, and before its first token."""
_GREEN, _BLUE = "#2da44e", "#5078dc"
"""What a neuron did, and what was expected; as in the terminal."""
_LONGEST = 100
"""Characters of an explanation in a table."""
_N_ALONE, _N_OF_EACH = 4, 2
"""Excerpts of a picture: of one kind, and of both."""

Name: TypeAlias = Callable[[NeuronId], str]
"""What people are to read for a neuron."""


def exemplars_picture(
    record: NeuronRecord, explanation: str, explainer: str, name: Name = str
) -> dg.MarkdownMetadataValue:
    """The explanation, and below it the first excerpts, each token the greener the stronger the neuron is on it."""
    exemplars = record.exemplars
    values = exemplars.activations[:_N_ALONE]
    shares = values / _largest(values)
    image = _picture(
        [_tokens(record, row) for row in range(len(values))], [[("true", share, _GREEN)] for share in shares]
    )
    told = "Train excerpts that excite it most. The darkest green is the largest activation shown, 10 on the scale."
    return dg.MetadataValue.md(f"{_head(name(record.neuron), explanation, explainer)}\n\n{told}\n\n{image}")


def simulation_picture(
    record: NeuronRecord,
    simulated: Float[np.ndarray, "excerpt token"],
    explanation: str,
    explainer: str,
    name: Name = str,
) -> str:
    """Some top and some random excerpts, each once by what the neuron did, and below it once by what was expected.

    A row of NaN says that the excerpt was not simulated.
    """
    exemplars = record.exemplars
    rows = [
        *np.flatnonzero(exemplars.is_top)[:_N_OF_EACH].tolist(),
        *np.flatnonzero(~exemplars.is_top)[:_N_OF_EACH].tolist(),
    ]
    true = exemplars.activations / _largest(exemplars.activations)
    expected = np.nan_to_num(simulated) / LARGEST
    colours = [[("true", true[row], _GREEN), ("simulated", expected[row], _BLUE)] for row in rows]
    told = (
        f"Held-out excerpts, its top {int(exemplars.is_top[rows].sum())} first. Green: what the neuron did, darkest at "
        "its largest activation. Blue: what was expected, darkest at 10."
    )
    image = _picture([_tokens(record, row) for row in rows], colours)
    return f"{_head(name(record.neuron), explanation, explainer)}\n\n{told}\n\n{image}"


def neurons_table(title: str, rows: Sequence[Mapping[str, Any]], name: Name = str) -> str:
    """Neurons with their score and explanation, as a table."""
    lines = [
        f"| {name(NeuronId(row['layer_index'], row['neuron_index']))} | {row['ev_correlation']:.3f} "
        f"| {_cut(row['explanation'])} |"
        for row in rows
    ]
    return "\n".join([f"| {title} | score | explanation |", "|---|---|---|", *lines])


def image_link(kind: str, content: bytes) -> str:
    return f"![](data:{kind};base64,{base64.b64encode(content).decode()})"


def _head(neuron: str, explanation: str, explainer: str) -> str:
    return f"**{neuron}** · explainer: {_plain(explainer)}\n\n{_plain(explanation)}"


def _largest(activations: Float[np.ndarray, "excerpt token"]) -> float:
    """Of what is shown together, so that it can be divided by."""
    return max(largest_activation(activations), 1e-9) if activations.size else 1.0


def _tokens(record: NeuronRecord, row: int) -> list[str]:
    tokens = record.exemplars.tokens
    return [tokens.strings[code] for code in tokens.codes[row]]


def _cut(text: str) -> str:
    return _plain(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}...")


def _picture(
    excerpts: Sequence[Sequence[str]], colours: Sequence[Sequence[tuple[str, Float[np.ndarray, " token"], str]]]
) -> str:
    """Each excerpt, once in each of its colours: what that shows, how strong each token is, and the colour."""
    lines: list[str] = []
    for tokens, of_excerpt in zip(excerpts, colours, strict=True):
        coloured = [_lines(tokens, *each) for each in of_excerpt]
        for together in zip(*coloured, strict=True):  # one below the other, also where an excerpt takes several lines
            lines += together
        lines.append("")
    return image_link("image/svg+xml", _svg(lines).encode())


def _lines(tokens: Sequence[str], what: str, shares: Float[np.ndarray, " token"], colour: str) -> list[str]:
    """Rows of svg elements for one excerpt; x runs on, y is left to the caller as {y}."""
    lines: list[str] = []
    parts = [f'<text x="0" y="{{y}}" fill="#888888">{what}</text>']
    column = _INDENT
    for token, share in zip(tokens, shares, strict=True):
        text = visible(token)
        if column + len(text) > _WIDTH and column > _INDENT:
            lines.append("".join(parts))
            parts, column = [], _INDENT
        x, width = column * _CHARACTER, len(text) * _CHARACTER
        opacity = round(float(np.clip(share, 0, 1)), 2)
        shown = escape(text).replace(" ", "&#160;").replace("{", "&#123;").replace("}", "&#125;")
        parts.append(
            f'<rect x="{x:.1f}" y="{{top}}" width="{width:.1f}" height="17" fill="{colour}" fill-opacity="{opacity}"/>'
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


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return "".join(
        f"\\{character}" if character in "\\`*_{}[]<>()#+-!|~&:" else character
        for character in visible(" ".join(text.split()))
    )
