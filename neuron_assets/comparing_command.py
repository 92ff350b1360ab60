"""The command that compares studies: compare.

Here: its words and options, and the files that it writes. Not here: the numbers (`assets/comparing.py`), how they are
printed (`comparison_text.py`), the other commands (`cli.py`).
"""

from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from neuron_assets.errors import FailedWrite
from neuron_assets.project import current_project
from neuron_assets.request_commands import check_layers, layers_option

_FILE = click.Path(path_type=Path, dir_okay=False)


def _picture(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and value.suffix not in {".svg", ".png"}:
        raise click.BadParameter(f"{value} is none of .svg and .png, which a plot can be written as")
    return value


@click.command()
@click.argument("studies", nargs=-1, required=True)
@click.option("--layers", callback=layers_option, help="0-5, 3, or 0,2,7-9; all that are scored if not given.")
@click.option("--csv", type=_FILE, help="Write the whole table to this file.")
@click.option("--json", type=_FILE, help="The same as JSON, a list of rows.")
@click.option("--plot", type=_FILE, callback=_picture, help="Write a plot by layer, as .svg or .png.")
def compare(
    studies: tuple[str, ...], layers: tuple[int, ...] | None, csv: Path | None, json: Path | None, plot: Path | None
) -> None:
    """Compare STUDIES of the same neurons and excerpts: by how much each scores better than the first."""
    if len(set(studies)) < max(2, len(studies)):
        raise click.UsageError("Name two or more studies, each once; the first is what the others are compared with.")
    from neuron_assets.assets.comparing import compared
    from neuron_assets.assets.comparison_plot import comparison_plot, plotted
    from neuron_assets.comparison_text import comparison_tables
    from neuron_assets.tables.store import TableStore

    project = current_project()
    found = [project.study(name) for name in studies]
    check_layers(found[0], layers or ())
    frame = compared(found, TableStore.at(project.tables), project.requests, layers)
    console = Console()
    console.print(comparison_tables(frame))
    if csv is not None:
        _write(console, csv, lambda: csv.write_text(frame.write_csv(), encoding="utf-8"))
    if json is not None:
        _write(console, json, lambda: json.write_text(frame.write_json(), encoding="utf-8"))
    if plot is not None:
        figure = comparison_plot(frame, f"{', '.join(studies[1:])} compared with {studies[0]}")
        _write(console, plot, lambda: plot.write_bytes(plotted(figure, "svg" if plot.suffix == ".svg" else "png")))


def _write(console: Console, path: Path, write: Callable[[], int]) -> None:
    """Raises FailedWrite."""
    try:
        write()
    except OSError as error:
        raise FailedWrite(path, error.strerror or str(error)) from error
    console.print(Text(f"Wrote {path}"))
