"""What is built of a study's files is built once, and anew when one of them changes."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from neuron_assets.tables.parquet import TableFacts, write_table
from neuron_assets.tables.store import TableStore
from neuron_assets.viewer.kept import STUDIES, KeptIndex
from neuron_assets.viewer.shelf import OpenStudy
from tests.scenario import make_project


class Builder:
    """Tells which studies it was asked to build something of."""

    def __init__(self) -> None:
        self.built: list[str] = []

    def __call__(self, study: OpenStudy) -> int:
        self.built.append(study.name)
        return len(self.built)


@pytest.fixture(params=["disk", "memory"])
def study(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStudy:
    project, said = make_project(tmp_path, layers=[0, 2])
    root = project.tables if request.param == "disk" else f"memory://{tmp_path.name}"
    return OpenStudy(said, TableStore.at(root), project.requests)


def write(study: OpenStudy, layer: int, number: int) -> None:
    path = study.store.path(study.name, "scores", study.key(layer))
    write_table(path, pl.DataFrame({"a": [number]}), TableFacts("scores", "abc"))


def test_while_nothing_changes_it_is_built_once(study: OpenStudy) -> None:
    build = Builder()
    kept = KeptIndex(("scores",), build)
    write(study, 0, 1)

    assert [kept.of(study) for _ in range(3)] == [1, 1, 1]
    assert build.built == ["tiny"]


def test_a_file_that_comes_changes_or_goes_has_it_built_anew(study: OpenStudy) -> None:
    kept = KeptIndex(("scores",), Builder())
    seen = [kept.of(study)]
    for number in (1, 2):
        write(study, 2, number)
        seen.append(kept.of(study))
    study.store.path(study.name, "scores", study.key(2)).unlink()

    assert [*seen, kept.of(study)] == [1, 2, 3, 4]


def test_files_of_other_tables_change_nothing(study: OpenStudy) -> None:
    kept = KeptIndex(("candidates",), Builder())
    kept.of(study)
    write(study, 0, 1)

    assert kept.of(study) == 1


def test_what_the_tables_were_made_from_counts_as_well(study: OpenStudy) -> None:
    kept = KeptIndex(("activations",), Builder())
    seen = [kept.of(study)]
    write_table(study.store.path(study.name, "excerpts"), pl.DataFrame({"a": [1]}), TableFacts("excerpts", "abc"))

    assert [*seen, kept.of(study)] == [1, 2]


def test_a_study_of_other_layers_has_it_built_anew(study: OpenStudy) -> None:
    kept = KeptIndex(("scores",), Builder())
    fewer = replace(study, study=study.study.model_copy(update={"layers": (0,)}))

    assert [kept.of(each) for each in (study, fewer)] == [1, 2]


def test_a_file_that_cannot_be_looked_at_is_no_error_here(tmp_path: Path) -> None:
    project, said = make_project(tmp_path, layers=[0, 2])
    study = OpenStudy(said, TableStore.at(project.tables), project.requests)
    folder = Path(str(study.store.path(study.name, "scores")))
    folder.parent.mkdir(parents=True)
    folder.with_suffix("").symlink_to(folder.with_suffix(""))  # a ring, which is no missing file

    assert KeptIndex(("scores",), Builder()).of(study) == 1


def test_only_of_the_studies_asked_for_last_something_is_kept(study: OpenStudy) -> None:
    build = Builder()
    kept = KeptIndex(("scores",), build)
    others = [replace(study, study=study.study.model_copy(update={"name": f"other{n}"})) for n in range(STUDIES)]
    for each in (study, *others[:-1], study, others[-1], study):
        kept.of(each)
    kept.of(others[0])

    assert build.built == ["tiny", *(other.name for other in others), "other0"]
