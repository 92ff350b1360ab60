"""The command line: neuron-assets demo, report, new, materialize, show, summary, studies.

Here: commands, their words and exit codes. Not here: the commands about asking models (`request_commands.py`), about
what is kept (`keeping_commands.py`), about trends (`trend_commands.py`), to compare (`comparing_command.py`) and to
view (`view_command.py`), the final report (`final_command.py`), what they do (`running.py`), how it looks
(`terminal.py`).
"""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.console import Console
from rich.text import Text

from neuron_assets.comparing_command import compare
from neuron_assets.errors import NeuronAssetsError, StudyError, StudyExists, TokenNeeded, TokenTooShort
from neuron_assets.final_command import print_final
from neuron_assets.keeping_commands import gc
from neuron_assets.lineage import tables_of
from neuron_assets.method.records import NeuronId
from neuron_assets.project import BUNDLED_STUDIES, Project, current_project
from neuron_assets.request_commands import check_layers, estimate, layers_option, ledger, neurons_option, requests
from neuron_assets.sections import NAME
from neuron_assets.study import Study
from neuron_assets.trend_commands import trends
from neuron_assets.view_command import view

if TYPE_CHECKING:
    from neuron_assets.running import Wanted

EXAMPLES = """
\b
Examples:
  neuron-assets demo                                  the bundled study, from text to scores
  neuron-assets new mine                              write studies/mine/study.yaml, with comments
  neuron-assets materialize mine --layers 0-5         one forward pass, then each layer by itself
  neuron-assets materialize mine --layers 3 --neurons all
  neuron-assets estimate mine                         requests, tokens, money and time, before anything is spent
  neuron-assets show bundled L3N307                   one neuron in colour
  neuron-assets view                                  every neuron in a browser, searched, compared, labelled
  neuron-assets report mine --final                   its scores where nobody has looked yet, once
  neuron-assets compare mine other                    the same neurons under two explainers, simulators or prompts
"""


class _Errors(click.Group):
    """Says what went wrong in one message: 2 for what was asked, 1 for what failed, 130 when interrupted."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (StudyError, TokenNeeded, TokenTooShort) as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(2)
        except NeuronAssetsError as error:
            click.echo("\n".join([f"Error: {error}", *getattr(error, "__notes__", ())]), err=True)
            sys.exit(1)
        except KeyboardInterrupt:
            click.echo("Interrupted. What was made stays; the same command goes on from there.", err=True)
            sys.exit(130)


@click.group(cls=_Errors, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="neuron-assets")
def main() -> None:
    """Explains the neurons of a language model, as a Dagster pipeline."""


for _command in (compare, estimate, gc, ledger, requests, trends, view):
    main.add_command(_command)


@main.command()
def demo() -> None:
    """The bundled study, from text to scored explanations, with its controls. No key, no network."""
    _report(None)


@main.command()
@click.argument("study", default="bundled")
@click.option("--final", is_flag=True, help="Score what stands for each neuron on the pool `test`: to be done once.")
@click.option("--again", is_flag=True, help="With --final: open `test` once more, for other explanations.")
def report(study: str, *, final: bool, again: bool) -> None:
    """As demo, but for every neuron: some minutes. Makes the figures of the README.

    With --final, of any STUDY: what its explanations are worth where nobody has looked yet. Each look is written down.
    """
    if final:
        print_final(Console(), current_project(), study, again=again)
    elif study != "bundled" or again:
        raise click.UsageError("Without --final this is of the bundled study; of others: materialize, then summary.")
    else:
        _report("all")


@main.command()
@click.argument("study")
@click.option("--layers", callback=layers_option, help="0-5, 3, or 0,2,7-9; all of the study's layers if not given.")
@click.option("--neurons", callback=neurons_option, help="A number a layer, or all; as the study says if not given.")
@click.option("--offline", is_flag=True, help="Ask no server: answers come from the request store alone.")
def materialize(
    study: str, layers: tuple[int, ...] | None, neurons: int | Literal["all"] | None, *, offline: bool
) -> None:
    """Materialize what is missing or outdated of STUDY: the forward pass in one run, then a run a layer."""
    from neuron_assets.running import Wanted

    project = current_project()
    found = project.study(study)
    console = Console()
    wanted = Wanted(found, layers or found.layer_indices, neurons)
    _materialize(console, project, wanted, offline=offline)
    _print_scores(console, project, found)
    _print_lost(console, project, wanted)


@main.command()
@click.argument("study")
@click.argument("neuron")
@click.option("--excerpts", default=4, show_default=True, type=click.IntRange(1, 50), help="Top excerpts to show.")
def show(study: str, neuron: str, excerpts: int) -> None:
    """Show one NEURON of STUDY, such as L3N307: its explanation, score, and excerpts, true and simulated."""
    from neuron_assets.assets.partitions import layer_key
    from neuron_assets.tables.reading import see_neuron
    from neuron_assets.tables.store import TableStore
    from neuron_assets.terminal import neuron_text

    project = current_project()
    found = project.study(study)
    try:
        asked = found.read_neuron(neuron)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NEURON") from error
    key = layer_key(asked.layer_index, found.subject.n_layers)
    Console().print(
        neuron_text(see_neuron(TableStore.at(project.tables), study, key, asked), excerpts, found.unit_name)
    )


@main.command()
@click.argument("study")
def summary(study: str) -> None:
    """Show the scores of STUDY by layer, as they stand in its tables."""
    project = current_project()
    _print_scores(Console(), project, project.study(study))


@main.command()
def studies() -> None:
    """List the studies that this project sees."""
    for name, path in current_project().study_files().items():
        click.echo(f"{name}\t{path}")


@main.command()
@click.argument("name")
def new(name: str) -> None:
    """Write a study called NAME, with comments, into the project's folder studies/."""
    if not NAME.fullmatch(name):
        raise click.BadParameter(
            f"{name!r}: a name is small letters, digits and _, from a letter on", param_hint="NAME"
        )
    project = current_project()
    folder = project.study_folders[0] / name
    if folder.exists() or name in project.study_files():
        raise StudyExists(project.study_files().get(name, folder))
    folder.mkdir(parents=True)
    for file in ("study.yaml", "defs.yaml"):
        template = BUNDLED_STUDIES.parent / "templates" / file
        (folder / file).write_text(template.read_text(encoding="utf-8").replace("{name}", name), encoding="utf-8")
    click.echo(f"Wrote {folder / 'study.yaml'}. Change it as you like, then: neuron-assets materialize {name}")


@main.command("train-bundled-subject", hidden=True)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--minutes", default=60.0, show_default=True)
def train_bundled_subject(folder: Path, minutes: float) -> None:
    """Train the bundled subject anew on the installed Python's sources."""
    from neuron_assets.corpora.reading import Reading
    from neuron_assets.corpora.standard_library import is_held_out, standard_library_documents
    from neuron_assets.subjects.bundled.training import Recipe, train

    documents = list(Reading("standard_library", standard_library_documents()))
    texts = [
        [document.text for document in documents if is_held_out(document) is held_out] for held_out in (False, True)
    ]
    click.echo(train(texts[0], texts[1], folder, Recipe(minutes=minutes), click.echo))


def _report(neurons: Literal["all"] | None) -> None:
    from neuron_assets.running import Wanted

    project, console = current_project(), Console()
    began = time.monotonic()
    study = project.study("bundled")
    twin = project.study(str(study.controls.untrained))
    wanted = [Wanted(each, each.layer_indices, neurons) for each in (study, twin)]
    n_runs = sum(_materialize(console, project, each) for each in wanted)
    _print_scores(console, project, study)
    best = _print_best(console, project, study, 5)
    if n_runs == 0:
        console.print("Everything is materialized already; nothing was computed.", style="bold")
    console.print(Text(f"{time.monotonic() - began:.0f} s. What next:", "dim"))
    for command, what in (
        (f"neuron-assets show bundled {best}", "this neuron, with more excerpts"),
        ("make view", "every neuron in a browser, on http://127.0.0.1:8787"),
        ("make dev", "the same in the Dagster UI, on http://127.0.0.1:3000"),
        ("neuron-assets new mine", "a study of your own text"),
    ):
        console.print(Text.assemble("  ", (command.ljust(36), "bold"), what))


def _materialize(console: Console, project: Project, wanted: "Wanted", *, offline: bool = False) -> int:
    from neuron_assets.assets.study_component import table_resources
    from neuron_assets.dagster_home import named_home
    from neuron_assets.dagster_instance import opened_instance
    from neuron_assets.running import Run, materialize
    from neuron_assets.terminal import progress_bars

    check_layers(wanted.study, wanted.layers)
    console.print(Text(f"Study {wanted.study.name}", "bold"))

    def on_run(run: Run) -> None:
        console.print(Text(f"  {run.title}"))

    # The runs' output goes to Dagster's log, so what people read goes another way.
    with (
        named_home(project.dagster_home),
        opened_instance(project) as instance,
        progress_bars(console) as (of_pass, of_asking, of_reading),
    ):
        resources = table_resources(
            project.tables, project.requests, of_pass, of_asking, reading=of_reading, offline=offline
        )
        n_runs = materialize(wanted, instance, resources, on_run)
    if n_runs == 0:
        console.print("  everything asked for is there")
    return n_runs


def _print_scores(console: Console, project: Project, study: Study) -> None:
    from neuron_assets.assets.partitions import layer_key
    from neuron_assets.tables.meant import helped
    from neuron_assets.tables.parquet import read_table
    from neuron_assets.tables.reading import comparable_summary, corpus_facts, of_layers
    from neuron_assets.tables.store import TableStore
    from neuron_assets.terminal import helped_text, metrics_tables, score_tables

    store = TableStore.at(project.tables)
    own = read_table(store.path(study.name, "layer_summary"), "layer_summary")
    twin = comparable_summary(store, study.name, study.controls.untrained)
    facts = corpus_facts(store, study.name)
    title = f"{study.name} · explainer: {study.explainer.label} · simulator: {study.simulator.label}"
    corpus = f"corpus {facts['corpus']} {facts['content']}" + (
        f", Python {facts['python']}" if "python" in facts else ""
    )
    console.print()
    console.print(score_tables(own, f"{title}\n{corpus}", study.explainer.label, twin))
    layers = [layer_key(layer, study.subject.n_layers) for layer in own["layer_index"].unique().sort()]
    metrics = of_layers(store, study.name, "metrics", layers) if "metrics" in tables_of(study) else None
    if metrics is not None and metrics.height:
        console.print(metrics_tables(metrics, study.explainer.label))
    scores = of_layers(store, study.name, "scores", layers) if study.lists_meanings else None
    if scores is not None:
        console.print(helped_text(helped(scores, seed=study.scoring.seed, n_draws=study.scoring.draws)))


def _print_lost(console: Console, project: Project, wanted: "Wanted") -> None:
    """Says what the next call would ask again, if there is something."""
    from neuron_assets.running import count_lost
    from neuron_assets.tables.store import TableStore

    n_lost = count_lost(wanted, TableStore.at(project.tables))
    if n_lost:
        text = f"{n_lost:,} {'question' if n_lost == 1 else 'questions'} got no answer: call again to ask anew."
        console.print(Text(text, "bold"))


def _print_best(console: Console, project: Project, study: Study, n: int) -> NeuronId:
    """Prints the neurons of highest score; gives the first of them."""
    from neuron_assets.assets.partitions import layer_key
    from neuron_assets.tables.reading import best_neurons, see_neuron
    from neuron_assets.tables.store import TableStore
    from neuron_assets.terminal import neuron_text

    store = TableStore.at(project.tables)
    keys = {layer: layer_key(layer, study.subject.n_layers) for layer in study.layer_indices}
    console.print(Text(f"\nThe {n} best explained neurons (chosen by their score, so better than average):\n", "bold"))
    best = best_neurons(store, study.name, list(keys.values()), n)
    for neuron in best:
        console.print(neuron_text(see_neuron(store, study.name, keys[neuron.layer_index], neuron), 1, study.unit_name))
    return best[0] if best else NeuronId(0, 0)
