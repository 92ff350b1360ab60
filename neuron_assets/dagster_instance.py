"""The Dagster instance of a project.

Here: opening it. Not here: where it lies (`project.py`), what it remembers (`old_runs.py`).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster import DagsterInstance
from filelock import FileLock

from neuron_assets.project import BUNDLED_STUDIES, Project


@contextmanager
def opened_instance(project: Project) -> Iterator[DagsterInstance]:
    """A home that is not there yet is made."""
    home = project.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    settings = home / "dagster.yaml"
    if not settings.exists():
        template = BUNDLED_STUDIES.parent / "templates" / "dagster.yaml"
        settings.write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
    os.environ["DAGSTER_HOME"] = str(home)
    with FileLock(home / ".first_use.lock"):  # two first uses at once would make the same databases
        instance = dg.DagsterInstance.get()
    with instance:
        yield instance
