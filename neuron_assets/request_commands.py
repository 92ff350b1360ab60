"""The commands about asking language models: what a study will cost, what it has cost, and what is kept.

Here: `estimate`, `ledger`, `requests`, and the options that they share with others. Not here: the other commands
(`cli.py`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from neuron_assets.errors import LayerNotInStudy
from neuron_assets.project import current_project
from neuron_assets.sections import parse_layers
from neuron_assets.study import Study

if TYPE_CHECKING:
    from neuron_assets.assets.estimating import Estimate
    from neuron_assets.language_models.ledger import Spending

_UNKNOWN = "unknown"


def layers_option(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    try:
        return None if value is None else parse_layers(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def neurons_option(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> int | Literal["all"] | None:
    if value is None or value == "all":
        return "all" if value else None
    if value.isdecimal() and int(value) > 0:
        return int(value)
    raise click.BadParameter(f"{value!r} is neither a number from 1 nor `all`")


def check_layers(study: Study, layers: Sequence[int]) -> None:
    """Raises LayerOutOfRange or LayerNotInStudy."""
    for layer in layers:
        study.check_layer(layer)
        if layer not in study.layer_indices:
            raise LayerNotInStudy(layer, study.name)


@click.command()
@click.argument("study")
@click.option("--layers", callback=layers_option, help="0-5, 3, or 0,2,7-9; all of the study's layers if not given.")
@click.option("--neurons", callback=neurons_option, help="A number a layer, or all; as the study says if not given.")
def estimate(study: str, layers: tuple[int, ...] | None, neurons: int | Literal["all"] | None) -> None:
    """Tell what STUDY will ask: requests, tokens, money, time. Nothing is asked, nothing is spent."""
    from neuron_assets.assets.estimating import estimate as estimated
    from neuron_assets.assets.spending import asks_a_server
    from neuron_assets.tables.store import TableStore

    project = current_project()
    found = project.study(study)
    wanted = layers or found.layer_indices
    check_layers(found, wanted)
    if not asks_a_server(found):
        click.echo(f"{study} asks no server: explainer {found.explainer.label}, simulator {found.simulator.label}.")
        return
    chosen = {layer: found.neuron_indices(layer, neurons) for layer in wanted}
    estimates = estimated(found, chosen, project.requests, TableStore.at(project.tables))
    _print_estimates(estimates)
    for one in estimates:
        if one.money is None and found.budget.money is not None:
            click.echo(f"The budget is in dollars: nothing is asked of {one.model} until it stands in `prices`.")


def _print_estimates(estimates: Sequence["Estimate"]) -> None:
    from neuron_assets.language_models.prices import known_prices

    table = _table("role", "requests", "tokens in", "tokens out", "+-", "dollars", "time")
    for one in estimates:
        table.add_row(
            one.role,
            f"{'' if one.is_exact else '<= '}{one.requests:,}",
            _short(one.tokens_in),
            _short(one.tokens_out),
            f"{one.error:.0%}",
            _dollars(one.money),
            "<= 1 day" if one.seconds is None else _time(one.seconds),
        )
    console = Console()
    console.print(table)
    for one in estimates:
        console.print(Text(f"{one.role}: {one.model}; from {one.basis}"))
        reads = "" if one.readable is None else f"; it reads {one.readable:,} at once"
        too_long = " TOO LONG" if one.readable is not None and one.longest > one.readable else ""
        console.print(Text(f"  longest question, with its answer: about {one.longest:,} tokens{reads}{too_long}"))
    if not all(one.is_exact for one in estimates):
        console.print(Text("<=: at most; of all but revisions exact once the activations are materialized", "dim"))
    console.print(
        Text(
            "What is kept in the request store costs nothing. Prices come from a list of "
            f"{known_prices().written_down} that may be old; `prices` in the study goes before it. Time: with the "
            "study's `most_at_once`.",
            "dim",
        )
    )


@click.command()
@click.argument("study")
def ledger(study: str) -> None:
    """Show what STUDY has asked and spent, by asset, layer and model."""
    from neuron_assets.assets.spending import spending_of

    project = current_project()
    rows = spending_of(project.study(study), project.requests)
    if not rows:
        click.echo(f"{study} has asked no server so far.")
        return
    console = Console()
    for model in dict.fromkeys(row.model for row in rows):
        console.print(Text(f"\n{model}", "bold"))
        console.print(_ledger_table([row for row in rows if row.model == model]))
    console.print(Text(f"\n{_together(rows)}"))
    console.print(Text("Failed: no answer came, or none that could be read. Seconds: median / 95 % quantile.", "dim"))
    if any(row.n_estimated for row in rows):
        console.print(Text("~: the server does not tell all of it; estimated, rather too much.", "dim"))


def _together(rows: Sequence["Spending"]) -> str:
    n_requests, n_without_price = (sum(getattr(row, name) for row in rows) for name in ("requests", "n_without_price"))
    moneys = [row.money for row in rows if row.money is not None]
    told = f"In all: {n_requests:,} requests, {_dollars(sum(moneys) if moneys else None, n_without_price)} dollars"
    return f"{told}; {n_without_price:,} of them without a known price" if n_without_price else told


def _ledger_table(rows: Sequence["Spending"]) -> Table:
    table = _table("asset", "layer", "requests", "failed", "in", "out", "cached", "dollars", "seconds")
    for row in rows:
        table.add_row(
            row.asset,
            "-" if row.layer_index is None else f"L{row.layer_index}",
            f"{row.requests:,}",
            f"{row.requests - row.answered:,}",
            _short(row.tokens_in, row.n_estimated),
            _short(row.tokens_out, row.n_estimated),
            "-" if row.cached_share is None else f"{row.cached_share:.0%}",
            _dollars(row.money, row.n_without_price),
            "-" if row.median_seconds is None else f"{row.median_seconds:.1f}/{row.p95_seconds:.1f}",
        )
    return table


@click.group()
def requests() -> None:
    """The store of answered requests: how much is kept, export, import, prune."""


@requests.command("status")
def status() -> None:
    """Tell how many answers are kept, of whom, where, and how large the store is."""
    from neuron_assets.language_models.request_store import RequestStore

    with RequestStore.open(current_project().requests) as store:
        click.echo(f"{len(store):,} answers in {store.database.name}, {store.size_bytes() / 1e6:,.1f} MB")
        for name, n_answers in store.identities().items():
            click.echo(f"  {n_answers:,} of {name}")


@requests.command("export")
@click.argument("file", type=click.Path(path_type=Path))
def export(file: Path) -> None:
    """Write all answers to FILE, a JSON object a line. They hold the prompts, so your corpus's text."""
    from neuron_assets.language_models.request_store import RequestStore

    with RequestStore.open(current_project().requests) as store:
        click.echo(f"{store.export(file):,} answers written to {file}")


@requests.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def import_(file: Path) -> None:
    """Take over the answers of FILE that are not there yet."""
    from neuron_assets.language_models.request_store import RequestStore

    with RequestStore.open(current_project().requests) as store:
        click.echo(f"{store.import_(file):,} answers taken over")


@requests.command("prune")
@click.option("--before", type=click.DateTime(["%Y-%m-%d"]), help="Answers asked for before this day (UTC).")
@click.option("--model", help="Answers of this model, by its name in `requests status`, in full or up to an @ or #.")
def prune(before: datetime | None, model: str | None) -> None:
    """Forget answers: they would be asked for, and paid for, again."""
    from neuron_assets.language_models.request_store import RequestStore

    if before is None and model is None:
        raise click.UsageError("Say which: --before DAY, --model NAME, or both.")
    with RequestStore.open(current_project().requests) as store:
        n_gone = store.prune(before=before and before.replace(tzinfo=UTC), identity=model)
        click.echo(f"{n_gone:,} answers forgotten")
        if not n_gone and model is not None:
            click.echo(f"Kept are answers of {', '.join(store.identities()) or 'nobody'}.")


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for name in names:
        table.add_column(name, justify="left" if name in {"role", "asset", "layer"} else "right", no_wrap=True)
    return table


def _short(number: float, n_estimated: int = 0) -> str:
    """1,234 or 56.7k or 8.9M; ~1,234 where something of it is estimated."""
    about = "~" if n_estimated else ""
    if number < 10_000:
        return f"{about}{number:,.0f}"
    return f"{about}{number / 1e3:.1f}k" if number < 1_000_000 else f"{about}{number / 1e6:,.1f}M"


def _dollars(money: float | None, n_without_price: int = 0) -> str:
    """1.20 or, of what is only a part, >= 1.20."""
    if money is None:
        return _UNKNOWN
    at_least = ">= " if n_without_price else ""
    return f"{at_least}{money:,.2f}" if money == 0 or money >= 1 else f"{at_least}{money:.4f}"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
