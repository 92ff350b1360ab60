"""The page of the search, by what stands on it."""

import re
from html import unescape

import polars as pl
import pytest
from starlette.testclient import TestClient

from neuron_assets.project import Project
from neuron_assets.viewer import search_page
from neuron_assets.viewer.search import Found


def _asked(client: TestClient, **query: str | int) -> str:
    params: dict[str, str | int] = {"study": "tiny", **query}
    page = client.get("/-/search", params=params)
    assert page.status_code == 200
    return unescape(page.text)


def test_the_page_asks_for_words_before_it_lists_anything(client: TestClient) -> None:
    page = _asked(client)

    assert "All words must occur" in page
    assert "Explanations that say so" not in page


def test_a_neuron_is_found_by_a_word_of_its_explanation(client: TestClient, explained: tuple[int, int]) -> None:
    layer, neuron = explained

    assert f'href="/tiny/{layer}/{neuron}"' in _asked(client, q="activates", **{"in": "words"})


def test_neurons_are_found_by_a_token_that_they_fire_on(client: TestClient, made: Project) -> None:
    rows = pl.read_parquet(f"{made.tables}/tiny/token_index/L02.parquet").sort("share", descending=True)
    token, neuron = rows.select("token", "neuron_index").row(0)

    assert f'href="/tiny/2/{neuron}"' in _asked(client, q=token, **{"in": "token"})


def test_more_hits_than_fit_are_told_on_further_pages(client: TestClient, made: Project) -> None:
    rows = pl.concat([pl.read_parquet(f"{made.tables}/tiny/token_index/{key}.parquet") for key in ("L00", "L02")])
    token, n_neurons = rows.group_by("token").len().sort("len", "token").row(-1)
    second = _asked(client, q=token, page=2, **{"in": "token"})

    assert n_neurons > 50
    assert f"{n_neurons:,} in all, 51 to" in second
    assert "Earlier ones" in second


@pytest.mark.parametrize("typed", ["L2N5", " 2/5", "blocks.2.mlp.hook_post:5"])
def test_a_neuron_that_is_typed_there_is_gone_to(client: TestClient, typed: str) -> None:
    answer = client.get("/-/search", params={"study": "tiny", "q": typed})

    assert (answer.status_code, answer.headers["location"]) == (303, "/tiny/2/5")


def test_a_neuron_that_the_study_has_not_is_told_and_searched_for_as_words(client: TestClient) -> None:
    page = _asked(client, q="L99N1")

    assert "Layer 99 does not exist" in page
    assert "Explanations that say so" in page


def test_what_is_asked_for_as_a_token_is_no_neuron(client: TestClient) -> None:
    assert "Neurons that fire on" in _asked(client, q="2.5", **{"in": "token"})


def test_what_needs_no_reason_is_told_without_one(client: TestClient) -> None:
    assert "every word" not in _asked(client, q="activates", **{"in": "words"})


@pytest.mark.parametrize(("n_told", "folded"), [(3, []), (48, ["46 more tables are left out"])])
def test_of_many_tables_that_are_left_out_only_some_are_told_at_once(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, n_told: int, folded: list[str]
) -> None:
    found = Found((), 0, tuple(f"L{number:02} is old" for number in range(n_told)))
    monkeypatch.setattr(search_page, "search_words", lambda *_asked, **_how: found)
    page = _asked(client, q="activates", **{"in": "words"})

    assert re.findall("<summary>(.*)</summary>", page) == folded
    assert (page.count("is old"), page.count("</details>")) == (n_told, len(folded))


def test_what_nobody_says_is_said_to_be_nowhere(client: TestClient) -> None:
    assert "None." in _asked(client, q="zyzzyva")


@pytest.mark.parametrize("number", ["0", "-1", "x", "9" * 5000, "9999"])
def test_a_page_that_there_is_not_is_no_error(client: TestClient, number: str) -> None:
    _asked(client, q="the", page=number, **{"in": "words"})


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "\u202e", '" onfocus="alert(1)', "x" * 10_000, "%00\x07"]
)
def test_what_is_typed_is_escaped(client: TestClient, text: str) -> None:
    page = client.get("/-/search", params={"study": "tiny", "q": text})

    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert '" onfocus="' not in page.text
