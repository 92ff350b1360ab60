"""The page on which a visitor tries a text: the same numbers as in the harvest, and whatever is typed."""

import html
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from neuron_assets.method.records import NeuronId
from neuron_assets.project import Project
from neuron_assets.study import read_study
from neuron_assets.subject_opening import open_pieces
from neuron_assets.tables.parquet import read_facts, read_table, write_table
from neuron_assets.tables.store import TableStore
from neuron_assets.viewer.app import create_app
from neuron_assets.viewer.heard_text import Wanted, hear
from neuron_assets.viewer.shelf import OpenStudy, Shelf
from neuron_assets.viewer.subject_room import SubjectRoom
from neuron_assets.viewer.text_page import LONGEST
from neuron_assets.viewer.words import MINUS
from tests.scenario import write_study
from tests.test_units import DIRECTIONS, write_directions
from tests.viewer import hostile

HOME = "http://127.0.0.1:8787"
TEXT = "The parser raises an error at line 3."


@pytest.fixture(scope="module")
def room() -> SubjectRoom:
    return SubjectRoom()


@pytest.fixture
def copied(made: Project, tmp_path: Path) -> Project:
    """As `made`, to be changed."""
    shutil.copytree(made.dagster_home.parent / "data", tmp_path / "data")
    shutil.copytree(made.dagster_home.parent / "studies", tmp_path / "studies")
    (tmp_path / "dagster_home").mkdir()
    return Project.from_environment({}, tmp_path)


@pytest.fixture
def tries(client: TestClient) -> Callable[..., Response]:
    return lambda **fields: send(client, **fields)


def send(client: TestClient, **fields: str) -> Response:
    return client.post("/-/text?study=tiny", data=fields, headers={"Origin": HOME})


def read(page: Response) -> str:
    """What stands on the page, without its tags."""
    return html.unescape(re.sub(r"<[^>]+>", "", page.text))


def test_the_page_says_before_that_the_subject_is_loaded_on_first_use(made: Project) -> None:
    with TestClient(create_app(made), base_url=HOME) as fresh:
        before = read(fresh.get("/-/text?study=tiny"))
        send(fresh, text=TEXT)
        after = read(fresh.get("/-/text?study=tiny"))

    assert "The subject is loaded on first use: 7 MB" in before
    assert "The first 16 tokens are read" in before
    assert "The subject is in memory." in after


def test_an_excerpt_of_the_study_does_what_it_did_in_the_harvest(made: Project, room: SubjectRoom) -> None:
    study = Shelf(made).study("tiny")
    pieces = open_pieces(study.study)
    excerpts = study.excerpts(range(1000), ["excerpt_index", "split", "text", "token_ids"])
    same = [row for row in excerpts.to_dicts() if pieces.tokenize(row["text"]) == row["token_ids"]]
    texts = {row["excerpt_index"]: row["text"] for row in same if row["split"] == "train"}
    rows = pl.concat([layer for index in (0, 2) if (layer := study.layer("activations", index)) is not None])
    held = [row for row in rows.filter(pl.col("excerpt_index").is_in(list(texts))).to_dicts() if row["peak"] > 0.5][
        ::997
    ]

    assert len({row["layer_index"] for row in held}) == 2
    for row in held:
        neuron = NeuronId(row["layer_index"], row["neuron_index"])
        found = hear(study, room, texts[row["excerpt_index"]], Wanted((0, 2), neuron)).followed
        assert found is not None
        assert np.allclose(found.activations, row["activations"], atol=1e-2)
        assert found.maximum is not None
        assert found.peak <= found.maximum + 1e-3  # it is a text of `train`


def test_units_of_both_signs_and_directions_are_heard_as_such(tmp_path: Path) -> None:
    def open_study(name: str, units: object) -> OpenStudy:
        study = read_study(write_study(tmp_path, name, units=units))
        return OpenStudy(study, TableStore.at(str(tmp_path / "data")), "")

    write_study(tmp_path)
    write_directions(tmp_path)
    rooms = SubjectRoom()
    plain, signed, along = (
        hear(open_study(name, units), rooms, TEXT, Wanted((2,), NeuronId(2, index))).followed
        for name, units, index in (("a", None, 7), ("b", {"signed": True}, 775), ("tiny", DIRECTIONS, 3))
    )

    assert plain is not None
    assert signed is not None
    assert along is not None
    assert np.allclose(signed.activations, -np.array(plain.activations), atol=1e-5)
    assert len(along.activations) == len(plain.activations)
    assert (plain.maximum, signed.maximum) == (None, None)  # there are no tables


def test_what_fires_is_listed_with_its_explanation(tries: Callable[..., Response], explained: tuple[int, int]) -> None:
    layer_index, neuron_index = explained
    page = tries(text=TEXT, explained="on")

    assert page.status_code == 200
    assert "What fires most in it" in read(page)
    assert f'href="/tiny/{layer_index}/{neuron_index}"' in page.text
    assert 'class="explanation' in page.text
    assert not [live for live in hostile.LIVE if live in page.text]


def test_neurons_that_are_not_explained_are_listed_too(tries: Callable[..., Response]) -> None:
    listed = set(re.findall(r'<th scope="row"><a href="/tiny/(\d+)/\d+"', tries(text=TEXT).text))
    only = set(re.findall(r'<th scope="row"><a href="/tiny/(\d+)/\d+"', tries(text=TEXT, **{"layer-2": "on"}).text))

    assert "not explained" in read(tries(text=TEXT))
    assert (listed, only) == ({"0", "2"}, {"2"})


@pytest.mark.parametrize("field", ["neuron", "follow"])
def test_one_neuron_is_drawn_over_the_text(tries: Callable[..., Response], field: str) -> None:
    page = tries(text=TEXT, **{field: "l2n7"})

    assert "L2N7 over your text" in read(page)
    drawn = re.findall(r'<span class="t[^>]*title="([^"]+)">([^<]*)</span>', page.text)
    assert "".join(token for _, token in drawn) == TEXT
    assert all(abs(float(told.replace(MINUS, "-"))) < 100 for told, _ in drawn)


def test_a_long_text_is_read_as_far_as_an_excerpt_reaches(tries: Callable[..., Response]) -> None:
    page = read(tries(text=TEXT * 100))

    assert re.search(r"16 of \d+ tokens were read\.", page)


def test_line_breaks_are_read_as_a_corpus_has_them(tries: Callable[..., Response]) -> None:
    assert tries(text="a\r\nb", neuron="L0N1").text == tries(text="a\nb", neuron="L0N1").text


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"neuron": "L2N7"}, "There is no text yet"),
        ({"text": ""}, "There is no text yet"),
        ({"text": TEXT, "neuron": "nobody"}, "'nobody' is no neuron"),
        ({"text": TEXT, "neuron": "L2N99999"}, "L2N99999 does not exist"),
        ({"text": TEXT, "neuron": "L77N1"}, "Layer 77 does not exist"),
        ({"text": TEXT, "neuron": "L2N7-"}, "negative side"),
    ],
)
def test_a_form_that_cannot_be_read_keeps_what_was_typed(
    tries: Callable[..., Response], fields: dict[str, str], told: str
) -> None:
    page = tries(**fields)

    assert page.status_code == 422
    assert told in read(page)
    assert fields.get("text", "") in read(page)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '" onmouseover="alert(1)',
        "</textarea><img src=x onerror=alert(1)>",
        "\N{RIGHT-TO-LEFT OVERRIDE}evil",
        "שלום עולם مرحبا",
        "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}" * 500,
        "\n\n\t  \n",
        "\x1b[31m\x07\x7f",
        "{{ 7 * 7 }}{% raw %}",
        "x" * LONGEST,
    ],
)
def test_whatever_is_typed_is_shown_as_text(tries: Callable[..., Response], text: str) -> None:
    page = tries(text=text, neuron="L0N1")

    assert page.status_code == 200
    typed = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page.text, re.DOTALL)
    assert typed is not None
    assert html.unescape(typed[1]) == text
    assert "<script>alert" not in page.text
    assert "<img" not in page.text
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in page.text.replace(typed[0], "")


@pytest.mark.parametrize("character", ["x", "\n", "\u4e2d"])
def test_a_text_that_is_too_long_is_told_and_stays(tries: Callable[..., Response], character: str) -> None:
    text = character * (LONGEST + 1)
    page = tries(text=text.replace("\n", "\r\n"))

    assert page.status_code == 422
    assert "The text has 6,001 characters; 6,000 is the most" in read(page)
    assert text in html.unescape(page.text)
    assert f'maxlength="{LONGEST}"' in page.text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("text=%ED%A0%80", 422),  # half of a character
        ("text=%FF%FE", 422),
        ("text=a%00b", 422),
        ("text=" + "%F0%9F%98%80" * 15000, 413),  # 60 kB of emoji
        ("text=%", 200),
    ],
)
def test_what_is_no_text_is_refused_friendly(client: TestClient, body: str, status: int) -> None:
    headers = {"Origin": HOME, "Content-Type": "application/x-www-form-urlencoded"}
    page = client.post("/-/text?study=tiny", content=body, headers=headers)

    assert page.status_code == status
    assert "<h1>" in page.text


def test_other_sites_cannot_let_the_subject_run(client: TestClient) -> None:
    headers = {"Origin": "http://elsewhere.example"}

    assert client.post("/-/text?study=tiny", data={"text": TEXT}, headers=headers).status_code == 403


def test_a_study_that_is_not_there_is_a_friendly_404(client: TestClient) -> None:
    page = client.post("/-/text?study=nowhere", data={"text": TEXT}, headers={"Origin": HOME})

    assert page.status_code == 404


def test_a_neuron_in_the_address_is_filled_in(client: TestClient) -> None:
    assert 'value="L2N7"' in client.get("/-/text?study=tiny&neuron=L2N7").text


def test_layers_that_were_not_harvested_are_told_and_no_excerpt_is_read(copied: Project) -> None:
    (Path(copied.tables) / "tiny" / "neuron_statistics" / "L00.parquet").unlink()
    (Path(copied.tables) / "tiny" / "excerpts.parquet").unlink()
    with TestClient(create_app(copied), base_url=HOME) as asking:
        page = send(asking, text=TEXT, neuron="L0N5")

    assert "layers 0. Run: neuron-assets materialize tiny --layers 0" in read(page)
    assert "L0N5 over your text" in read(page)
    assert "What fires most in it" in read(page)


def test_a_damaged_table_is_told_by_name_and_the_rest_stands(copied: Project) -> None:
    (Path(copied.tables) / "tiny" / "neuron_statistics" / "L00.parquet").write_bytes(b"PAR1")
    (Path(copied.tables) / "tiny" / "candidates" / "L02.parquet").write_bytes(b"PAR1")
    with TestClient(create_app(copied), base_url=HOME) as asking:
        page = send(asking, text=TEXT)

    assert "Layer 0 is left out" in read(page)
    assert "Explanations of layer 2 are left out" in read(page)
    assert "What fires most in it" in read(page)


def test_explanations_of_activations_that_are_no_more_are_not_shown(copied: Project) -> None:
    path = TableStore.at(copied.tables).path("tiny", "activations", "L02")
    write_table(path, read_table(path, "activations").slice(1), read_facts(path))
    with TestClient(create_app(copied), base_url=HOME) as asking:
        page = send(asking, text=TEXT, **{"layer-2": "on"})

    assert "Explanations of layer 2 are left out" in read(page)
    assert 'class="explanation' not in page.text


def test_maxima_of_another_version_of_the_study_are_not_held_against(copied: Project) -> None:
    file = copied.study_folders[0] / "tiny" / "study.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "activations: {seed: 3}\n", encoding="utf-8")
    with TestClient(create_app(copied), base_url=HOME) as asking:
        page = send(asking, text=TEXT, neuron="L0N5")

    assert "Layer 0 is left out" in read(page)
    assert "What fires most in it" not in read(page)
    assert "There is no maximum over train" in read(page)


def test_a_subject_that_cannot_be_used_is_told(copied: Project) -> None:
    file = copied.study_folders[0] / "tiny" / "study.yaml"
    told = file.read_text(encoding="utf-8").replace(
        "provider: bundled\n", "model: ./nowhere\n  provider: hugging_face\n"
    )
    file.write_text(told, encoding="utf-8")
    with TestClient(create_app(copied), base_url=HOME) as asking:
        page = send(asking, text=TEXT)

    assert page.status_code == 503
    assert "cannot be used" in read(page)
    assert TEXT in read(page)
