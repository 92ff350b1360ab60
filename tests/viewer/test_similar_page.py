"""Which neurons are like one, as a reader sees it."""

import html
import re
import shutil
from pathlib import Path

import yaml
from starlette.testclient import TestClient

from neuron_assets.method.records import NeuronId
from neuron_assets.project import Project
from neuron_assets.tables.store import TableStore
from neuron_assets.viewer.app import create_app
from neuron_assets.viewer.search import alike_in_firing, alike_in_words
from neuron_assets.viewer.shelf import Shelf
from tests.viewer import hostile


def seen(client: TestClient, neuron: NeuronId) -> str:
    """The page, with the lists told apart by `Firing on the same excerpts`."""
    got = client.get(f"/tiny/{neuron.layer_index}/{neuron.neuron_index}/similar")
    assert got.status_code == 200
    assert not [live for live in hostile.LIVE if live in got.text]
    return html.unescape(re.sub("<[^>]*>", "", got.text))


def test_both_kinds_of_likeness_are_listed_the_likest_first(
    client: TestClient, made: Project, explained: tuple[int, int]
) -> None:
    study, neuron = Shelf(made).study("tiny"), NeuronId(*explained)
    words, firing = seen(client, neuron).split("Firing on the same excerpts")

    for text, found in ((words, alike_in_words(study, neuron)), (firing, alike_in_firing(study, neuron))):
        hits = [str(hit.neuron) for hit in found.hits[:25]]
        assert hits
        assert re.findall(r"^L\d+N\d+$", text, re.MULTILINE)[: len(hits)] == hits


def test_a_neuron_that_is_not_explained_is_like_others_in_firing_only(client: TestClient) -> None:
    words, firing = seen(client, NeuronId(2, 0)).split("Firing on the same excerpts")

    assert "Explain its whole layer: neuron-assets materialize tiny --layers 2 --neurons all" in words
    assert re.search(r"^L\d+N\d+$", firing, re.MULTILINE)


def test_what_was_not_harvested_says_how_it_would_be(client: TestClient) -> None:
    assert "Layer 1 was not harvested yet: neuron-assets materialize tiny --layers 1" in seen(client, NeuronId(1, 3))


def test_a_damaged_table_is_told_by_name_and_the_other_list_stands(
    made: Project, explained: tuple[int, int], tmp_path: Path
) -> None:
    root = tmp_path / "own"
    shutil.copytree(made.dagster_home.parent, root, ignore=shutil.ignore_patterns("history", "storage", "logs"))
    own = Project.from_environment({}, root)
    path = Path(str(TableStore.at(own.tables).path("tiny", "candidates", "L02")))
    path.write_bytes(b"PAR1 no more")
    page = seen(TestClient(create_app(own), base_url="http://127.0.0.1:8787"), NeuronId(*explained))
    words, firing = page.split("Firing on the same excerpts")

    assert not re.search(r"^L\d+N\d+$", words, re.MULTILINE)
    assert re.search(r"^L\d+N\d+$", firing, re.MULTILINE)
    assert "candidates/L02.parquet" in words


def test_a_layer_that_the_study_lists_no_more_is_told(
    made: Project, explained: tuple[int, int], tmp_path: Path
) -> None:
    root = tmp_path / "own"
    shutil.copytree(made.dagster_home.parent, root, ignore=shutil.ignore_patterns("history", "storage", "logs"))
    path = root / "studies" / "tiny" / "study.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"layers": [0]}))
    own = Project.from_environment({}, root)
    page = seen(TestClient(create_app(own), base_url="http://127.0.0.1:8787"), NeuronId(*explained))
    words, firing = page.split("Firing on the same excerpts")

    assert all("Layer 2 is not one of the study tiny" in text for text in (words, firing))
