"""The commands about asking language models: what a study will cost, what it has cost, and what is kept.

Here: `estimate`, `ledger`, `requests`. Not here: the other commands (`cli.py`).
"""

from datetime import UTC, datetime
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.table import Table

from neuron_assets.project import current_project
from neuron_assets.study import parse_layers


def layers_option(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    try:
        return None if value is None else parse_layers(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("study")
@click.option("--layers", callback=layers_option, help="0-5, 3, or 0,2,7-9; all of the study's layers if not given.")
@click.option("--neurons", type=click.IntRange(1), help="A number a layer; as the study says if not given.")
def estimate(study: str, layers: tuple[int, ...] | None, neurons: int | None) -> None:
    """Tell what STUDY will ask: requests, tokens, money, time. Nothing is asked, nothing is spent."""
    from neuron_assets.assets.asked import prices_of
    from neuron_assets.assets.estimating import estimate as estimated
    from neuron_assets.language_models.database import Database
    from neuron_assets.language_models.ledger import Ledger

    project = current_project()
    found = project.study(study)
    wanted = layers or found.layer_indices
    for layer in wanted:
        found.check_layer(layer)
    database = Database.open(project.requests)
    n_neurons = [len(found.neuron_indices(layer, neurons)) for layer in wanted]
    estimates = estimated(found, n_neurons, Ledger(database, prices_of(found)))
    database.close()
    if not estimates:
        click.echo(f"{study} asks no server: explainer {found.explainer.label}, simulator {found.simulator.label}.")
        return
    table = _table("role", "model", "requests", "tokens in", "tokens out", "+-", "dollars", "hours")
    for one in estimates:
        table.add_row(
            one.role,
            one.model,
            f"{one.requests:,}",
            f"{one.tokens_in:,.0f}",
            f"{one.tokens_out:,.0f}",
            f"{one.error:.0%}",
            "unknown" if one.money is None else f"{one.money:,.2f}",
            f"{one.seconds / 3600:,.2f}",
        )
    console = Console()
    console.print(table)
    for one in estimates:
        console.print(f"{one.role}: from {one.basis}", style="dim", highlight=False)
    console.print(
        "Answers that are kept already cost nothing. Prices are a list that may be old; `prices` in the study "
        "overrules it. Hours: at the study's `most_at_once`.",
        style="dim",
    )


@click.command()
@click.argument("study")
def ledger(study: str) -> None:
    """Show what STUDY has asked and spent, by asset, layer and model."""
    from neuron_assets.assets.asked import prices_of
    from neuron_assets.language_models.database import Database
    from neuron_assets.language_models.ledger import Ledger

    project = current_project()
    found = project.study(study)
    database = Database.open(project.requests)
    rows = Ledger(database, prices_of(found)).summary(study)
    database.close()
    table = _table(
        "asset", "layer", "model", "requests", "answered", "in", "out", "cached", "dollars", "median s", "p95 s"
    )
    for row in rows:
        table.add_row(
            row.asset,
            "-" if row.layer_index is None else f"L{row.layer_index}",
            row.model,
            f"{row.requests:,}",
            f"{row.answered:,}",
            f"{row.tokens_in:,}",
            f"{row.tokens_out:,}",
            f"{row.tokens_cached:,}",
            "unknown" if row.money is None else f"{row.money:,.4f}",
            "-" if row.median_seconds is None else f"{row.median_seconds:.2f}",
            "-" if row.p95_seconds is None else f"{row.p95_seconds:.2f}",
        )
    Console().print(table)


@click.group()
def requests() -> None:
    """The store of answered requests: how much is kept, export, import, prune."""


@requests.command("status")
def status() -> None:
    """Tell how many answers are kept, where, and how large the store is."""
    from neuron_assets.language_models.request_store import RequestStore

    with RequestStore.open(current_project().requests) as store:
        click.echo(f"{len(store):,} answers in {store.database.name}, {store.size_bytes() / 1e6:,.1f} MB")


@requests.command("export")
@click.argument("file", type=click.Path(path_type=Path))
def export(file: Path) -> None:
    """Write all answers to FILE, a JSON object a line. They hold the prompts, so your corpus's text."""
    from neuron_assets.language_models.request_store import RequestStore

    with RequestStore.open(current_project().requests) as store:
        click.echo(f"{store.export(file):,} answers written to {file}")


@requests.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def import_(file: Path) -> None:
    """Take over the answers of FILE that are not there yet."""
    from neuron_assets.language_models.request_store import RequestStore

    with RequestStore.open(current_project().requests) as store:
        click.echo(f"{store.import_(file):,} answers taken over")


@requests.command("prune")
@click.option("--before", type=click.DateTime(["%Y-%m-%d"]), help="Answers asked for before this day (UTC).")
@click.option("--model", help="Answers of this model, by the name under which it was observed.")
def prune(before: datetime | None, model: str | None) -> None:
    """Forget answers: they would be asked for, and paid for, again."""
    from neuron_assets.language_models.request_store import RequestStore

    if before is None and model is None:
        raise click.UsageError("Say which: --before DAY, --model NAME, or both.")
    with RequestStore.open(current_project().requests) as store:
        n_gone = store.prune(before=before and before.replace(tzinfo=UTC), identity=model)
        click.echo(f"{n_gone:,} answers forgotten")


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(name, justify="left" if name in {"role", "model", "asset", "layer"} else "right", no_wrap=True)
    return table
