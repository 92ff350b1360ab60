"""What the tests of the viewer share: a project whose one study is made once, and its application to ask."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from starlette.testclient import TestClient

from neuron_assets.project import Project
from neuron_assets.viewer.app import create_app
from tests.scenario import make_project
from tests.viewer import hostile


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the study `tiny`: layers 0 and 2 of the bundled subject, three neurons of each explained.

    A part of its corpus is hostile (`hostile.py`).

    All tests of all workers share it: nothing may be written there. Copy it first (shutil.copytree of
    `dagster_home.parent`).
    """
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    of_all = tmp_path_factory.getbasetemp().parent if is_worker else tmp_path_factory.getbasetemp()
    root, is_there = of_all / "made", of_all / "made.there"
    with FileLock(of_all / "made.lock"):
        if not is_there.exists():
            _make(root)
            is_there.touch()
    return Project.from_environment({}, root)


def _make(root: Path) -> None:
    from neuron_assets.assets.study_component import table_resources
    from neuron_assets.dagster_home import named_home
    from neuron_assets.dagster_instance import opened_instance
    from neuron_assets.running import Wanted, materialize

    scoring = {"top": 3, "random": 3, "draws": 100, "scorers": ["simulation", "unigram_lookup", "natural_rate"]}
    project, study = make_project(root, layers=[0, 2], scoring=scoring, revision={"rounds": 1})
    for document, text in hostile.DOCUMENTS.items():
        (study.folder / "texts" / document).write_text(text, encoding="utf-8")
    resources = table_resources(project.tables, project.requests)
    with named_home(project.dagster_home), opened_instance(project) as instance:
        materialize(Wanted(study, study.layer_indices, None), instance, resources, lambda _run: None)


@pytest.fixture(scope="session")
def explained(made: Project) -> tuple[int, int]:
    """Layer and neuron of one that is explained."""
    study = made.study("tiny")
    return 2, study.neuron_indices(2)[0]


@pytest.fixture(scope="session")
def client(made: Project) -> Iterator[TestClient]:
    """Asks the application over `made`; redirections are not followed."""
    with TestClient(create_app(made), base_url="http://127.0.0.1:8787", follow_redirects=False) as asking:
        yield asking
