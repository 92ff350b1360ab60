"""The final report on the command line: neuron-assets report STUDY --final.

Here: what is printed of it. Not here: when `test` may be opened, and the runs (`final_report.py`).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console
from rich.text import Text

from neuron_assets.project import Project
from neuron_assets.study import Study

if TYPE_CHECKING:
    from neuron_assets.final_report import FinalReport


def print_final(console: Console, project: Project, name: str, *, again: bool) -> None:
    """Opens `test` of the study where that is still to be done; prints the scores there, and when it was opened."""
    from neuron_assets.assets.study_component import table_resources
    from neuron_assets.dagster_home import named_home
    from neuron_assets.dagster_instance import opened_instance
    from neuron_assets.final_report import report_finally
    from neuron_assets.running import Wanted
    from neuron_assets.tables.summarized import final_summary
    from neuron_assets.terminal import progress_bars, score_tables

    study = project.study(name)
    console.print(Text(f"Study {study.name}", "bold"))
    with (
        named_home(project.dagster_home),
        opened_instance(project) as instance,
        progress_bars(console) as (of_pass, of_asking, of_reading),
    ):
        resources = table_resources(project.tables, project.requests, of_pass, of_asking, reading=of_reading)
        wanted = Wanted(study, study.layer_indices)
        found = report_finally(
            wanted, instance, resources, lambda run: console.print(Text(f"  {run.title}")), again=again
        )
    label = study.explainer.label
    summary = final_summary(found.scores, label, seed=study.scoring.seed, n_draws=study.scoring.draws)
    title = f"{study.name} · final report, on `test` · explainer: {label} · simulator: {study.simulator.label}"
    console.print()
    console.print(score_tables(summary, title, label, None))
    for line in (*_beside_valid(project, study, found), *_looks(found)):
        console.print(Text(line))


def _beside_valid(project: Project, study: Study, found: "FinalReport") -> Iterator[str]:
    """The means over all neurons, beside those on `valid`, where people have looked."""
    from neuron_assets.assets.partitions import layer_key
    from neuron_assets.tables.explained import of_chosen
    from neuron_assets.tables.parquet import read_table
    from neuron_assets.tables.store import TableStore

    store = TableStore.at(project.tables)
    keys = [layer_key(layer, study.subject.n_layers) for layer in study.layer_indices]
    on_valid = pl.concat(of_chosen(read_table(store.path(study.name, "scores", key), "scores")) for key in keys)
    on_test = of_chosen(found.scores)
    for sample in on_test["sample"].unique(maintain_order=True):
        test, valid = (_mean(each.filter(pl.col("sample") == sample)) for each in (on_test, on_valid))
        yield f"{sample.replace('_', '-')}: {test} on `test`, {valid} on `valid` (means over neurons)."


def _mean(scores: pl.DataFrame) -> str:
    defined = scores["ev_correlation"].drop_nulls().to_list()
    return f"{sum(defined) / len(defined):.3f}" if defined else "-"


def _looks(found: "FinalReport") -> Iterator[str]:
    """When the pool was opened, each time."""
    times = found.looks.select("opening", "opened_at").unique().sort("opening")
    for opening, opened_at in times.iter_rows():
        yield f"`test` was opened on {opened_at:%Y-%m-%d %H:%M} UTC (look {opening} of {times.height})."
    if times.height > 1:
        yield "Only the first look was at text that nobody had chosen by."
