"""A study is a Dagster component too, from the source tree and from an installed wheel."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from neuron_assets.project import BUNDLED_STUDIES
from neuron_assets.study import read_study
from tests.scenario import assets_of, write_study

ROOT = BUNDLED_STUDIES.parents[1]
N_ASSETS = len(assets_of(read_study(BUNDLED_STUDIES / "planted" / "study.yaml")))

PROJECT = """
    [tool.dg]
    directory_type = "project"
    [tool.dg.project]
    root_module = "theirs"
    code_location_target_module = "theirs.definitions"
"""
LOAD = """
    from pathlib import Path
    import dagster as dg
    import neuron_assets
    defs = dg.load_from_defs_folder(project_root=Path.cwd())
    keys = sorted(key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys())
    print(Path(neuron_assets.__file__).parent, "tiny/scores" in keys, len(keys))
"""


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Somebody's own Dagster project, with one study in its folder of definitions."""
    folder = write_study(tmp_path / "source", layers=[0, 2]).parent
    defs = tmp_path / "theirs" / "theirs" / "defs"
    defs.mkdir(parents=True)
    (defs / "__init__.py").touch()
    (defs.parent / "__init__.py").touch()
    folder.rename(defs / "tiny")
    (defs / "tiny" / "defs.yaml").write_text((BUNDLED_STUDIES.parent / "templates" / "defs.yaml").read_text())
    (tmp_path / "theirs" / "pyproject.toml").write_text(textwrap.dedent(PROJECT))
    return tmp_path / "theirs"


def load(project: Path, *path: Path) -> list[str]:
    """Where the package was imported from, whether the study is there, and how many assets."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*path, project, ROOT)))}
    script = textwrap.dedent(LOAD)
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


@pytest.mark.slow
def test_a_study_loads_in_somebodys_own_dagster_project(theirs: Path) -> None:
    assert load(theirs)[1:] == ["True", str(N_ASSETS)]


@pytest.mark.slow
def test_a_study_loads_from_an_installed_wheel(theirs: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels, target = tmp_path / "wheels", tmp_path / "installed"
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT)], check=True)
    wheel = next(wheels.glob("neuron_assets-*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True)

    found = load(theirs, target)

    assert [str(target / "neuron_assets"), "True", str(N_ASSETS)] == found
    assert (target / "neuron_assets" / "subjects" / "bundled" / "model.safetensors").stat().st_size > 6_000_000
    assert (target / "neuron_assets" / "studies" / "bundled" / "study.yaml").exists()


@pytest.mark.slow
def test_two_studies_load_in_one_dagster_project(theirs: Path) -> None:
    defs = theirs / "theirs" / "defs"
    shutil.copytree(defs / "tiny", defs / "other")

    assert load(theirs)[1:] == ["True", str(2 * N_ASSETS)]


def test_every_bundled_study_has_its_component_file() -> None:
    for folder in BUNDLED_STUDIES.iterdir():
        assert (folder / "defs.yaml").read_text() == (BUNDLED_STUDIES.parent / "templates" / "defs.yaml").read_text()
