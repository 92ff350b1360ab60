"""What the command line shows: the table of scores, neurons in colour, the way of the runs.

Here: rich's tables and texts. Not here: reading (`tables/reading.py`) and commands (`cli.py`). Text from the corpus is
untrusted: it is never read as markup, and control characters are shown, not sent.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.style import Style
from rich.table import Table
from rich.text import Text

from neuron_assets.method.controls import SHUFFLED_CONTROL
from neuron_assets.method.records import LARGEST
from neuron_assets.tables.reading import SeenExcerpt, SeenNeuron

_SAMPLES = {"top_and_random": "top-and-random", "random_only": "random-only"}
FAINTEST = 0.1
"""Weaker tokens, as shares of the strongest, stand without colour."""

_CONTROL_CHARACTERS = {code: f"<0x{code:02X}>" for code in (*range(32), *range(127, 160))} | {10: "⏎", 9: "⇥"}


def score_table(summary: pl.DataFrame, title: str, author: str, control: pl.DataFrame | None) -> Table:
    """A line a layer: the author's means with their intervals, and the controls beside them."""
    table = Table(title=title, title_justify="left", caption=_references(summary), caption_justify="left")
    table.box, table.padding = box.SIMPLE_HEAD, (0, 1)
    for name in ("layer", "n", "top-and-random\nmean, 95 %", "random-only\nmean, 95 %", "un-\ndefined"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("shuffled\ncontrol", "untrained\ntwin"):
        table.add_column(name, justify="right", no_wrap=True)
    for layer in summary["layer_index"].unique(maintain_order=True):
        own = {row["sample"]: row for row in _rows(summary, layer, author)}
        table.add_row(
            f"L{layer}",
            str(max((row["n_neurons"] for row in own.values()), default=0)),
            *(_with_interval(own.get(sample)) for sample in _SAMPLES),
            " / ".join(str(own[sample]["n_undefined"]) if sample in own else "-" for sample in _SAMPLES),
            _means(_rows(summary, layer, SHUFFLED_CONTROL)),
            "-" if control is None else _means(_rows(control, layer, author)),
        )
    return table


def neuron_text(seen: SeenNeuron, n_excerpts: int = 4) -> Text:
    """Explanation, scores, and excerpts: each once by what the neuron did, once by what was simulated."""
    text = Text.assemble((str(seen.neuron), "bold"), ("  explainer: ", "dim"), seen.explainer.split("?")[0], "\n")
    text.append(f"  {_shown(seen.explanation)}\n" if seen.explanation else f"  no explanation: {seen.failure}\n")
    own = [row for row in seen.scores if row["candidate"] == 0]
    for row in own:
        text.append(f"  {_SAMPLES[row['sample']]}: {_with_interval(_as_mean(row))}")
        text.append(f"  ({row['n_documents']} documents, {row['n_tokens']} tokens)\n", "dim")
    tops = [excerpt for excerpt in seen.excerpts if excerpt.kind == "top"][:n_excerpts]
    randoms = [excerpt for excerpt in seen.excerpts if excerpt.kind == "random"][: max(1, n_excerpts // 2)]
    largest = max((max(excerpt.activations) for excerpt in seen.excerpts), default=1.0)
    for excerpt in (*tops, *randoms):
        text.append(f"\n  {excerpt.kind} · {excerpt.split} · {_shown(excerpt.document)}\n", "dim")
        text.append_text(_coloured("  true      ", excerpt, excerpt.activations, largest, (45, 164, 78)))
        if excerpt.simulated is not None:
            text.append_text(_coloured("  simulated ", excerpt, excerpt.simulated, LARGEST, (80, 120, 220)))
    return text


@contextmanager
def pass_bar(console: Console) -> Iterator[Any]:
    """A progress bar for the forward pass; gives what the runs take as their `progress`."""
    columns = (TextColumn("    {task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:

        def progress(_log: object) -> Any:
            task = bar.add_task("excerpts", total=None)
            return lambda done, total: bar.update(task, completed=done, total=total, visible=done < total)

        yield progress


def _rows(summary: pl.DataFrame, layer: int, author: str) -> list[dict[str, Any]]:
    return summary.filter((pl.col("layer_index") == layer) & (pl.col("author") == author)).to_dicts()


def _means(rows: Sequence[Mapping[str, Any]]) -> str:
    by_sample = {row["sample"]: row["mean"] for row in rows}
    return " / ".join(_number(by_sample.get(sample)) for sample in _SAMPLES)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _as_mean(row: Mapping[str, Any]) -> Mapping[str, Any]:
    ends = {"mean_low": row["ev_correlation_low"], "mean_high": row["ev_correlation_high"]}
    return {"mean": row["ev_correlation"], "failure": row["failure"], **ends}


def _with_interval(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    if row["mean"] is None:
        return f"undefined: {row.get('failure') or row.get('interval_failure')}"
    if row["mean_low"] is None:
        return f"{row['mean']:.2f} (no interval)"
    low, high = (f"{row[end]:.2f}".replace("0.", ".", 1) for end in ("mean_low", "mean_high"))
    return f"{row['mean']:.2f} [{low}, {high}]"


def _references(summary: pl.DataFrame) -> str:
    """The lookups, whose tables no person reads: the bar for an explanation in words."""
    lines = ["n: neurons. Pairs are top-and-random / random-only; undefined scores are in no mean."]
    for lookup in ("unigram_lookup", "bigram_lookup"):
        rows = summary.filter(pl.col("author") == lookup)
        means = [
            _number(part["mean"].mean() if part.height else None)  # type: ignore[arg-type]  # polars' mean of floats
            for part in (rows.filter(pl.col("sample") == sample) for sample in _SAMPLES)
        ]
        lines.append(f"{lookup.replace('_', ' ')}, mean of layers: {means[0]} top-and-random, {means[1]} random-only")
    return "\n".join(lines)


def _coloured(
    lead: str, excerpt: SeenExcerpt, values: Sequence[float], largest: float, colour: tuple[int, int, int]
) -> Text:
    text = Text(lead, "dim", end="")
    for token, value in zip(excerpt.tokens, values, strict=True):
        share = min(1.0, max(0.0, value / largest)) if largest > 0 else 0.0
        red, green, blue = (round(255 + (part - 255) * share) for part in colour)
        style = Style(color="black", bgcolor=f"rgb({red},{green},{blue})") if share >= FAINTEST else Style()
        text.append(_shown(token), style)
    return text.append("\n")


def _shown(text: str) -> str:
    return text.translate(_CONTROL_CHARACTERS)
