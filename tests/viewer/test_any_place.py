"""Tables elsewhere than on a disk, and tables that are written while they are looked at."""

import shutil
import threading
from pathlib import Path

import fsspec
import polars as pl
import pytest
from starlette.testclient import TestClient

from neuron_assets.project import Project
from neuron_assets.tables.parquet import read_facts, read_table, write_table
from neuron_assets.tables.store import TableStore
from neuron_assets.viewer.app import create_app
from neuron_assets.viewer.shelf import OpenStudy

_PAGES = ("/tiny", "/tiny/2", "/tiny/{}/{}", "/tiny/{}/{}.json?pool=valid", "/tiny/{}/{}/label", "/tiny/{}/{}/similar")


@pytest.mark.parametrize("page", [*_PAGES, "/-/search?study=tiny&q=activates", "/tiny/{}/{}/evidence"])
def test_tables_in_a_bucket_are_read_like_those_on_a_disk(made: Project, explained: tuple[int, int], page: str) -> None:
    bucket = fsspec.filesystem("memory")
    bucket.put(f"{made.tables}/tiny", "/viewed/tiny", recursive=True)
    elsewhere = Project.from_environment({"NEURON_ASSETS_DATA": "memory://viewed"}, made.dagster_home.parent)
    texts = []
    for project in (made, elsewhere):
        with TestClient(create_app(project), base_url="http://127.0.0.1:8787") as asking:
            answer = asking.get(page.format(*explained))
            assert answer.status_code == 200
            texts.append(answer.text)

    assert texts[1].count("Activates") == texts[0].count("Activates") > 0 or "/label" in page


@pytest.mark.slow
def test_a_table_that_is_written_meanwhile_gives_its_old_rows_or_its_new_ones(
    made: Project, explained: tuple[int, int], tmp_path: Path
) -> None:
    shutil.copytree(made.dagster_home.parent, tmp_path / "own")
    own = Project.from_environment({}, tmp_path / "own")
    tables = ("activations", "scores", "candidates", "simulations", "neuron_statistics", "token_index")
    paths = [TableStore.at(own.tables).path("tiny", table, "L02") for table in tables]
    held = [(path, read_table(path, path.parent.name), read_facts(path)) for path in paths]
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            for path, rows, facts in held:
                write_table(path, rows, facts)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with TestClient(create_app(own), base_url="http://127.0.0.1:8787") as asking:
            for page in (*_PAGES, "/-/search?study=tiny&q=activates") * 8:
                answer = asking.get(page.format(*explained))
                assert answer.status_code == 200
                assert "is damaged" not in answer.text
    finally:
        ended.set()
        writer.join()


@pytest.mark.parametrize("place", ["", ".json", "/label"])
def test_texts_that_are_cut_anew_meanwhile_are_not_put_under_old_activations(
    made: Project, explained: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    shutil.copytree(made.dagster_home.parent, tmp_path / "own")
    own = Project.from_environment({}, tmp_path / "own")
    path = TableStore.at(own.tables).path("tiny", "excerpts")
    rows, facts, read = read_table(path, "excerpts"), read_facts(path), OpenStudy.excerpts

    def read_late(*asked: object) -> pl.DataFrame:
        write_table(path, rows.with_columns(pl.col("tokens").list.head(3)), facts)
        return read(*asked)  # type: ignore[arg-type]

    monkeypatch.setattr(OpenStudy, "excerpts", read_late)
    with TestClient(create_app(own), base_url="http://127.0.0.1:8787") as asking:
        answer = asking.get(f"/tiny/{explained[0]}/{explained[1]}{place}")

    assert answer.status_code == 200
    assert "made from other content than" in answer.text
