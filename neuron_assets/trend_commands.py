"""The command about the trends of a study: trends.

Here: its words and the files it writes. Not here: how trends are made (`tables/trends.py`), drawn
(`assets/trend_plots.py`) and printed (`trend_tables.py`), and the other commands (`cli.py`).
"""

from pathlib import Path

import click

from neuron_assets.project import current_project


@click.command()
@click.argument("study")
@click.option(
    "--plots", type=click.Path(file_okay=False, path_type=Path), help="Write the plots as SVG into this folder."
)
@click.option("--csv", type=click.Path(dir_okay=False, path_type=Path), help="Write all rows to this file.")
def trends(study: str, plots: Path | None, csv: Path | None) -> None:
    """Show how the scores of STUDY go with depth, density, kurtosis, explainer and revision."""
    from rich.console import Console
    from rich.text import Text

    from neuron_assets.assets.trend_plots import layers_without_scores, trend_plots, trends_title
    from neuron_assets.tables.parquet import read_table
    from neuron_assets.tables.store import TableStore
    from neuron_assets.trend_tables import trend_tables

    project = current_project()
    found = project.study(study)
    table = read_table(TableStore.at(project.tables).path(study, "trends"), "trends")
    title = trends_title(found, layers_without_scores(found, table))
    console = Console()
    console.print(trend_tables(table, title))
    if csv is not None:
        csv.parent.mkdir(parents=True, exist_ok=True)
        table.write_csv(csv)
        console.print(Text(f"{table.height:,} rows written to {csv}"))
    if plots is not None:
        plots.mkdir(parents=True, exist_ok=True)
        for name, svg in trend_plots(table, title).items():
            (plots / f"{name}.svg").write_bytes(svg)
        console.print(Text(f"Plots written to {plots}"))
