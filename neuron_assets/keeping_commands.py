"""The command about what a project keeps: gc.

Here: what it says and asks. Not here: what there is to remove (`collecting.py`), and the other commands (`cli.py`).
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from neuron_assets.errors import NotDeleted, StudyFolderMissing
from neuron_assets.project import Project, current_project

if TYPE_CHECKING:
    from neuron_assets.collecting import Garbage
    from neuron_assets.old_runs import OldRun
    from neuron_assets.tables.leftovers import File


@click.command()
@click.option(
    "--days",
    default=30,
    show_default=True,
    type=click.IntRange(0),
    help="Runs that ended longer ago are forgotten, but for those that the latest result of a layer is from.",
)
@click.option("--dry-run", is_flag=True, help="Only tell.")
@click.option("--yes", is_flag=True, help="Do not ask; of studies, only those named by --study go then.")
@click.option("--study", "named", multiple=True, help="Of the deleted studies only this one; may be given repeatedly.")
def gc(days: int, *, dry_run: bool, yes: bool, named: tuple[str, ...]) -> None:
    """Remove what is no longer needed: data of deleted studies, broken-off writes, old runs. It tells, then asks."""
    from upath import UPath

    from neuron_assets.collecting import find_garbage, remove_garbage
    from neuron_assets.dagster_home import named_home
    from neuron_assets.dagster_instance import opened_instance

    project = current_project()
    if not project.dagster_home.exists():
        click.echo(f"There is no project here: {project.dagster_home} does not exist.")
        return
    for folder in project.study_folders[1:]:
        if not folder.is_dir():
            raise StudyFolderMissing(folder)
    root, studies = UPath(project.tables), project.study_files()
    with named_home(project.dagster_home), opened_instance(project) as instance:
        garbage = find_garbage(root, studies, instance, days, only=named if named or yes else None)
        if unknown := set(named) - {study.name for study in garbage.studies}:
            raise NotDeleted(min(unknown), studies)
        if garbage or garbage.spared:
            click.echo("\n".join(_told(garbage, project, days)))
        if not garbage:
            click.echo("There is nothing to remove.")
            return
        if dry_run or not (yes or click.confirm("Remove all this?")):
            click.echo("Nothing was removed.")
            return
        remove_garbage(garbage, root, instance)
        click.echo("Removed.")


def _told(garbage: "Garbage", project: Project, days: int) -> Iterator[str]:
    if garbage.studies or garbage.spared:
        yield "Studies that are no more. Looked for among the bundled ones, and in:"
        yield from (f"  {folder}" for folder in project.study_folders)
        if len(project.study_folders) == 1:
            yield "  (NEURON_ASSETS_STUDIES names no other folder; what lies elsewhere looks deleted from here)"
        yield f"They left, below {project.tables}:"
        for study in garbage.studies:
            tables, n_assets = study.folder.tables, len(study.assets)
            yield f"  {study.name}: {len(tables):,} tables{_size(tables)}, the history of {n_assets} assets"
            yield from (f"    not of this package, stays: {path}" for path in study.folder.foreign)
        for study in garbage.spared:
            yield f"  {study.name}: stays; remove it with --study {study.name}"
    if garbage.broken_off:
        yield f"Writes that were broken off: {len(garbage.broken_off):,}{_size(garbage.broken_off)}"
    if garbage.set_aside:
        told = f"{len(garbage.set_aside):,}{_size(garbage.set_aside)}"
        yield f"Set aside by forward passes, for runs or backfills that are over: {told}"
    if garbage.old_runs:
        told = f"{len(garbage.old_runs):,}{_size(garbage.old_runs)}"
        yield f"Runs that ended more than {days} days ago, and that no latest result is from: {told}"
    if garbage.abandoned:
        yield f"Runs whose process is gone, to be reported as failed: {len(garbage.abandoned):,}"
    yield "Answers of models and the ledger stay; for answers, see: neuron-assets requests prune"


def _size(parts: "Iterable[File | OldRun]") -> str:
    size = sum(part.size for part in parts)
    return f" ({size / 1e6:,.1f} MB)" if size else ""
