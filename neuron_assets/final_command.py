"""The final report on the command line: neuron-assets report STUDY --final.

Here: what is printed of it. Not here: when `test` may be opened, and the runs (`final_report.py`).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console
from rich.text import Text

from neuron_assets.errors import NeuronAssetsError
from neuron_assets.project import Project
from neuron_assets.study import Study

if TYPE_CHECKING:
    from neuron_assets.final_report import FinalReport


def print_final(console: Console, project: Project, name: str, *, again: bool) -> None:
    """Opens `test` of the study where that is still to be done; prints the scores there, and when it was opened.

    Of its untrained twin, too, where that is over the same text and neurons.
    """
    from neuron_assets.tables.reading import comparable_summary
    from neuron_assets.tables.store import TableStore
    from neuron_assets.terminal import score_tables

    study, label = project.study(name), project.study(name).explainer.label
    found = _reported(console, project, study, again=again)
    twin = None
    if comparable_summary(TableStore.at(project.tables), name, study.controls.untrained) is not None:
        try:
            untrained = project.study(str(study.controls.untrained))
            twin = _summary(untrained, _reported(console, project, untrained, again=again))
        except NeuronAssetsError as error:
            console.print(Text(f"Without the untrained twin: {error}"))
    title = f"{name} · final report, on `test` · explainer: {label} · simulator: {study.simulator.label}"
    console.print()
    console.print(score_tables(_summary(study, found), title, label, twin))
    for line in (*_beside_valid(project, study, found), *_looks(found)):
        console.print(Text(line))


def _reported(console: Console, project: Project, study: Study, *, again: bool) -> "FinalReport":
    from neuron_assets.assets.study_component import table_resources
    from neuron_assets.dagster_home import named_home
    from neuron_assets.dagster_instance import opened_instance
    from neuron_assets.final_report import report_finally
    from neuron_assets.running import Run, Wanted
    from neuron_assets.terminal import progress_bars

    console.print(Text(f"Study {study.name}", "bold"))

    def on_run(run: Run) -> None:
        console.print(Text(f"  {run.title}"))

    with (
        named_home(project.dagster_home),
        opened_instance(project) as instance,
        progress_bars(console) as (of_pass, of_asking, of_reading),
    ):
        resources = table_resources(project.tables, project.requests, of_pass, of_asking, reading=of_reading)
        return report_finally(Wanted(study, study.layer_indices), instance, resources, on_run, again=again)


def _summary(study: Study, found: "FinalReport") -> pl.DataFrame:
    from neuron_assets.tables.summarized import final_summary

    seed, n_draws = study.scoring.seed, study.scoring.draws
    return final_summary(found.scores, study.explainer.label, seed=seed, n_draws=n_draws)


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
    """When the pool was opened, each time, whatever for."""
    times = found.looks.select("opening", "opened_at").unique().sort("opening")
    for opening, opened_at in times.iter_rows():
        yield f"`test` was opened on {opened_at:%Y-%m-%d %H:%M} UTC (look {opening} of {times.height})."
    if times.height > 1:
        yield "Only the first look was at text that nobody had chosen by."
