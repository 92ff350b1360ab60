"""A study of one's own documents goes from a file to scores, and says on the way what became of each row."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from neuron_assets.assets.specs import asset_key
from neuron_assets.assets.study_component import build_study, table_resources
from neuron_assets.cli import main
from neuron_assets.corpora.documents import Fields, Row
from neuron_assets.corpora.files import CorpusFile
from neuron_assets.corpora.json_lines import json_line_rows
from neuron_assets.project import Project
from tests.scenario import DOCUMENTS, make_project
from tests.served_tables import read

CORPUS = {"file": "./docs.jsonl", "text_field": "body", "name_field": "title", "most_bad_rows": 0.1}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a study of JSON lines: all documents, one of them twice, one too short, and two bad rows."""
    _, study = make_project(tmp_path, corpus=CORPUS | {"excerpt_length": 16, "shortest": 20}, layers=[1, 2])
    rows = [json.dumps({"title": name, "body": text}) for name, text in DOCUMENTS.items()]
    more = [rows[3], json.dumps({"title": "short", "body": "too short"}), "{", json.dumps({"title": "bodiless"})]
    (study.folder / "docs.jsonl").write_text("\n".join([*rows, *more]), encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster_home"))
    monkeypatch.delenv("NEURON_ASSETS_DATA", raising=False)
    monkeypatch.delenv("NEURON_ASSETS_STUDIES", raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.slow
def test_json_lines_go_from_a_file_to_scores_and_are_read_again_only_when_they_change(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run("materialize", "tiny")

    assert first.exit_code == 0, first.output
    said = "corpus ./docs.jsonl: 24 documents of 28 rows read, 2 bad, 1 too short, 1 the same as an earlier one"
    assert said in " ".join(first.output.split())
    assert "docs.jsonl:27: no JSON" in first.output
    assert "docs.jsonl:28: no field 'body'; its fields: title" in first.output
    assert set(read(Project.from_environment({}, home), "excerpts")["document"]) == set(DOCUMENTS)
    assert read(Project.from_environment({}, home), "scores").height > 0

    with monkeypatch.context() as patched:
        patched.setattr("neuron_assets.assets.opening.json_line_rows", lambda *_: pytest.fail("they are read again"))
        again = run("materialize", "tiny")
    assert "everything asked for is there" in again.output

    read_again = []

    def counted(files: list[CorpusFile], fields: Fields) -> Iterator[Row]:
        read_again.append(files)
        return json_line_rows(files, fields)

    monkeypatch.setattr("neuron_assets.assets.opening.json_line_rows", counted)
    docs = home / "studies" / "tiny" / "docs.jsonl"
    docs.write_bytes(docs.read_bytes())  # other times, the same text
    assert "everything asked for is there" in run("materialize", "tiny").output
    assert len(read_again) == 1
    docs.write_text(docs.read_text().replace(DOCUMENTS["00.txt"][:20], "Something else again"), encoding="utf-8")
    assert "one forward pass" in run("materialize", "tiny").output


def test_what_became_of_the_rows_stands_in_the_metadata(home: Path) -> None:
    project = Project.from_environment({}, home)
    study = project.study("tiny")
    assets: Any = build_study(study).assets
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        result = dg.materialize(
            assets,
            selection=dg.AssetSelection.assets(asset_key(study, "excerpts")),
            instance=instance,
            resources=table_resources(project.tables, project.requests),
        )
    facts = result.asset_materializations_for_node("tiny__excerpts")[0].metadata

    seen = {name: facts[name].value for name in ("rows_read", "documents_kept", "bad_rows", "too_short", "repeated")}
    assert seen == {"rows_read": 28, "documents_kept": 24, "bad_rows": 2, "too_short": 1, "repeated": 1}
    assert str(facts["first_bad_rows"].value).startswith("docs.jsonl:27: no JSON")


def test_too_many_bad_rows_end_the_run_with_their_places_and_the_mend(home: Path) -> None:
    docs = home / "studies" / "tiny" / "docs.jsonl"
    docs.write_text(docs.read_text().replace('"body"', '"text"'), encoding="utf-8")

    result = run("materialize", "tiny")

    assert result.exit_code == 1
    assert "docs.jsonl:1: no field 'body'; its fields: title, text" in result.output
    assert "`text_field`" in result.output
    assert not (home / "data" / "tiny" / "excerpts.parquet").exists()
