"""What the command line shows: the table of scores, neurons in colour, the way of the runs.

Here: rich's tables and texts. Not here: reading (`tables/reading.py`) and commands (`cli.py`). Text from the corpus is
untrusted: it is never read as markup, and control characters are shown, not sent.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

import polars as pl
from rich import box
from rich.console import Console, Group
from rich.progress import BarColumn, Progress, Task, TextColumn, TimeElapsedColumn
from rich.style import Style
from rich.table import Table
from rich.text import Text

from neuron_assets.corpora.reading import Reading
from neuron_assets.method.controls import OVER_BROAD_CONTROL, SHUFFLED_CONTROL
from neuron_assets.method.display import visible
from neuron_assets.method.records import LARGEST, NeuronId
from neuron_assets.tables.measured import SHOWN_AS
from neuron_assets.tables.reading import SeenExcerpt, SeenNeuron
from neuron_assets.tables.summarized import CHOSEN

if TYPE_CHECKING:
    from neuron_assets.assets.forward_pass import OnePass

_SAMPLES = {"top_and_random": "top-and-random", "random_only": "random-only", "natural_rate": "natural rate"}
_MEASURED = {**_SAMPLES, "detection": "detection", "fuzzing": "fuzzing", "embedding": "embedding"}
_LONGEST_NAME = 12
_REFERENCES = {SHUFFLED_CONTROL: "shuffled", OVER_BROAD_CONTROL: "too broad", "unigram_lookup": "unigram"}
"""Authors that stand beside, as the tables of metrics call them."""
_WITHOUT_LOWER_BOUND = ("ablation",)
"""Metrics of which one neuron can pull the mean of all anywhere: the median stands below it."""
_FORMS = {"mean_ablation": ".1e"}
"""Of metrics that are small numbers of nats."""
FAINTEST = 0.1
"""Weaker tokens, as shares of the strongest, stand without colour."""


def score_tables(summary: pl.DataFrame, title: str, author: str, twin: pl.DataFrame | None) -> Group:
    """A table a sample, a line a layer: the author's mean with its interval, and the controls beside it.

    `twin` is the summary of a study of the same text and neurons with an untrained subject.
    """
    there = set(summary["sample"])
    tables = (_table_of(summary, author, twin, sample) for sample in _SAMPLES if sample in there)
    told = "\n".join([*_gains(summary), _references(summary)])
    return Group(Text(title), "", *(part for table in tables for part in (table, "")), Text(told))


def _table_of(summary: pl.DataFrame, author: str, twin: pl.DataFrame | None, sample: str) -> Table:
    table = Table(title=_SAMPLES[sample], title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("layer", no_wrap=True)
    for name in ("n", f"{_short(author)}: mean", "shuffled control", "untrained twin", "undefined"):
        table.add_column(Text(name), justify="right", no_wrap=True)
    for layer in summary["layer_index"].unique(maintain_order=True):
        own, shuffled = (_row(summary, layer, each, sample) for each in (author, SHUFFLED_CONTROL))
        columns = (own, shuffled, None if twin is None else _row(twin, layer, author, sample))
        table.add_row(
            f"L{layer}",
            "-" if own is None else str(own["n_neurons"]),
            *(_with_interval(each) for each in columns),
            "/".join("-" if each is None else str(each["n_undefined"]) for each in columns),
        )
    return table


def metrics_tables(metrics: pl.DataFrame, author: str) -> Group:
    """A table a sample, a line a metric: means over neurons, beside chance, controls and lookups.

    Of each neuron the candidate that stands for it, whoever wrote it, is told as the author's.
    """
    own = pl.when("chosen").then(pl.lit(author)).otherwise("author")
    told = metrics.filter(pl.col("chosen") | pl.col("author").is_in(list(_REFERENCES))).with_columns(
        SHOWN_AS, author=own
    )
    samples = told.partition_by("sample", as_dict=True, maintain_order=True)
    tables = {sample: _metrics_of(rows, author, sample) for (sample,), rows in samples.items()}
    return Group(*(part for sample in _MEASURED if sample in tables for part in (tables[sample], "")))


def _metrics_of(metrics: pl.DataFrame, author: str, sample: str) -> Table:
    title = f"{_MEASURED[sample]}: means over neurons"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("metric", no_wrap=True)
    for name in (_short(author), "chance", *_REFERENCES.values(), "undefined"):
        table.add_column(Text(name), justify="right", no_wrap=True)
    average = {"mean": pl.col("value").mean(), "median": pl.col("value").median()}
    for (metric,), rows in metrics.partition_by("metric", as_dict=True, maintain_order=True).items():
        own = rows.filter(pl.col("author") == author)
        chance, form = own.select(pl.col("chance").mean()).item(), _FORMS.get(str(metric), ".2f")
        for name in ("mean", "median") if metric in _WITHOUT_LOWER_BOUND else ("mean",):
            by_author = {"chance": chance, **dict(rows.group_by("author").agg(average[name]).iter_rows())}
            table.add_row(
                str(metric).replace("_", " ") + (", median" if name == "median" else ""),
                *(_number(by_author.get(each), form) for each in (author, "chance", *_REFERENCES)),
                str(own["failure"].count()),
            )
    return table


def helped_text(rows: Sequence[Mapping[str, Any]]) -> Text:
    """For how many neurons a list of meanings was chosen, and what it gained them; rows of `tables.meant.helped`."""
    lines = ["Lists of meanings: for how many neurons chosen, and the mean gain of these:"]
    for (layer, n_meanings), group in groupby(rows, key=lambda row: (row["layer_index"], row["n_meanings"])):
        of_samples = list(group)
        lines.append(f"L{layer}  {n_meanings} for {of_samples[0]['n_chosen']} of {of_samples[0]['n_neurons']}")
        lines += [f"    {_gain(row)} {_SAMPLES[row['sample']]}" for row in of_samples if row["n_chosen"]]
    return Text("\n".join([*lines, ""]))


def _short(name: str) -> str:
    """A line of the table fits 80 columns; the title above it has the whole name."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 2]}.."


def neuron_text(seen: SeenNeuron, n_excerpts: int = 4, name: Callable[[NeuronId], str] = str) -> Text:
    """Explanation, scores, and excerpts: each once by what the neuron did, once by what was simulated."""
    text = Text.assemble((name(seen.neuron), "bold"), ("  explainer: ", "dim"), seen.explainer.split("?")[0], "\n")
    text.append(
        f"  {visible(seen.explanation)}\n" if seen.explanation else f"  no explanation: {visible(str(seen.failure))}\n"
    )
    for way, tokens in (("pushes up  ", seen.pushes_up), ("pushes down", seen.pushes_down)):
        if tokens:
            text.append(f"  {way} ", "dim")
            text.append(" ".join(f"'{visible(token)}'" for token in tokens) + "\n")
    own = [row for row in seen.scores if row["candidate"] == seen.candidate]
    for row in own:
        reason = f" ({row['failure']})" if row["failure"] else ""
        text.append(f"  {_SAMPLES[row['sample']]}: {_with_interval(_as_mean(row))}{visible(reason)}")
        text.append(f"  ({row['n_documents']} documents, {row['n_tokens']} tokens)\n", "dim")
    tops = [excerpt for excerpt in seen.excerpts if excerpt.kind == "top"][:n_excerpts]
    randoms = [excerpt for excerpt in seen.excerpts if excerpt.kind == "random"][: max(1, n_excerpts // 2)]
    largest = max((max(excerpt.activations) for excerpt in seen.excerpts), default=1.0)
    for excerpt in (*tops, *randoms):
        text.append(f"\n  {excerpt.kind} · {excerpt.split} · {visible(excerpt.document)}\n", "dim")
        text.append_text(_coloured("  true      ", excerpt, excerpt.activations, largest, (45, 164, 78)))
        if excerpt.simulated is not None:
            text.append_text(_coloured("  simulated ", excerpt, excerpt.simulated, LARGEST, (80, 120, 220)))
    return text


@contextmanager
def progress_bars(console: Console) -> Iterator[tuple[Any, Any, Any]]:
    """How far pass, asking and reading have come; gives what the runs take as `progress`, `tell` and `reading`.

    How much there is to ask is not known before its end, so its bar only moves, and the numbers stand beside it.
    """
    columns = (TextColumn("  {task.description}"), BarColumn(8), TextColumn("{task.fields[count]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:

        def of_pass(_log: object, what: "OnePass") -> Any:
            name = "excerpts" if what.n_passes == 1 else f"pass {what.number} of {what.n_passes}"
            task = bar.add_task(name, total=None, count="")

            def on_progress(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total, visible=done < total)
                [shown] = [each for each in bar.tasks if each.id == task]
                bar.update(task, count=f"{done}/{total}{_pace(shown)}")

            return on_progress

        def of_asking(_log: object, what: str) -> Any:
            for earlier in bar.task_ids:
                bar.remove_task(earlier)
            task = bar.add_task(what, total=None, count="")
            return lambda so_far: bar.update(task, count=str(so_far))

        def of_reading(_log: object) -> Any:
            task = bar.add_task("documents", total=None, count="")

            def hear(documents: Reading) -> None:
                bar.update(task, count=f"{documents.n_kept:,} of {documents.n_read:,} rows")
                if documents.has_ended:
                    bar.remove_task(task)
                    bad = [Text(f"    {visible(str(row))}", "dim") for row in documents.first_bad]
                    console.print(Text(f"  corpus {documents.source}: {documents}"), *bad, sep="\n")

            return hear

        yield of_pass, of_asking, of_reading


def _pace(task: Task) -> str:
    """How fast it goes and when it will be done, once that is known."""
    if task.speed is None or task.time_remaining is None:
        return ""
    return f", {task.speed:.0f} a second, {timedelta(seconds=int(task.time_remaining))} left"


def _row(summary: pl.DataFrame, layer: int, author: str, sample: str) -> dict[str, Any] | None:
    of_layer = (pl.col("layer_index") == layer) & (pl.col("author") == author) & (pl.col("sample") == sample)
    rows = summary.filter(of_layer)
    return rows.row(0, named=True) if rows.height else None


def _number(value: float | None, form: str = ".2f") -> str:
    return "-" if value is None else f"{value:{form}}"


def _as_mean(row: Mapping[str, Any]) -> Mapping[str, Any]:
    ends = {"mean_low": row["ev_correlation_low"], "mean_high": row["ev_correlation_high"]}
    return {"mean": row["ev_correlation"], **ends}


def _with_interval(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    if row["mean"] is None:
        return "undefined"
    if row["mean_low"] is None:
        return f"{row['mean']:.2f} [-]"
    low, high = (f"{row[end]:.2f}".replace("0.", ".", 1) for end in ("mean_low", "mean_high"))
    return f"{row['mean']:.2f} [{low} {high}]"


def _gains(summary: pl.DataFrame) -> Iterator[str]:
    """Of each layer, where candidates were chosen between: the mean of the chosen ones, and its gain over the first."""
    if CHOSEN not in summary["author"]:
        return
    yield "Chosen on calibration, mean score, and in parentheses its gain over the first candidate:"
    for layer in summary["layer_index"].unique(maintain_order=True):
        rows = [(_row(summary, layer, CHOSEN, sample), name) for sample, name in _SAMPLES.items()]
        told = [f"{_number(row['mean'])} ({_gain(row)}) {name}" for row, name in rows if row is not None]
        yield "\n".join([f"L{layer}  {told[0]}", *(f"{'':4}{each}" for each in told[1:])])


def _gain(row: Mapping[str, Any]) -> str:
    if row["gain"] is None:
        return "no gain is known"
    if row["gain_low"] is None:
        return f"{row['gain']:+.3f} [-]"
    return f"{row['gain']:+.3f} [{row['gain_low']:+.3f} {row['gain_high']:+.3f}]"


def _references(summary: pl.DataFrame) -> str:
    """The lookups, whose tables no person reads: the bar for an explanation in words."""
    lines = ["n: neurons asked for. Brackets: 95 % intervals. Undefined: scores that are in no mean, by column."]
    for lookup in ("unigram_lookup", "bigram_lookup", OVER_BROAD_CONTROL):
        rows = summary.filter(pl.col("author") == lookup)
        if rows.is_empty():
            continue
        by_sample = dict(rows.group_by("sample").agg(pl.col("mean").mean()).iter_rows())
        means = [f"{_number(by_sample[sample])} {_SAMPLES[sample]}" for sample in _SAMPLES if sample in by_sample]
        lines.append(f"{lookup.replace('_', ' ')}, mean of layers: {', '.join(means) or '-'}")
    return "\n".join(lines)


def _coloured(
    lead: str, excerpt: SeenExcerpt, values: Sequence[float], largest: float, colour: tuple[int, int, int]
) -> Text:
    text = Text(lead, "dim", end="")
    for token, value in zip(excerpt.tokens, values, strict=True):
        share = min(1.0, max(0.0, value / largest)) if largest > 0 else 0.0
        red, green, blue = (round(255 + (part - 255) * share) for part in colour)
        style = Style(color="black", bgcolor=f"rgb({red},{green},{blue})") if share >= FAINTEST else Style()
        text.append(visible(token), style)
    return text.append("\n")
