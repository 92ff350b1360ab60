"""The page of a neuron: what a reader sees of it, and what nobody may see."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import polars as pl
import pytest
from starlette.testclient import TestClient

from neuron_assets.project import Project
from neuron_assets.tables.explained import of_chosen
from neuron_assets.tables.openings import Look, Stand, opening_rows
from neuron_assets.tables.parquet import TableFacts, read_facts, read_table, write_table
from neuron_assets.tables.schemas import empty
from neuron_assets.tables.store import TableStore
from neuron_assets.viewer.app import create_app
from neuron_assets.viewer.words import number

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(1)">\0\u202e'


@pytest.fixture
def own(made: Project, tmp_path: Path) -> Project:
    """A copy of `made` that a test may write to."""
    root = tmp_path / "own"
    shutil.copytree(made.dagster_home.parent, root)
    return Project.from_environment({}, root)


def asking(project: Project) -> TestClient:
    return TestClient(create_app(project), base_url="http://127.0.0.1:8787")


def table(project: Project, name: str, layer: int | None = 2) -> pl.DataFrame:
    return read_table(TableStore.at(project.tables).path("tiny", name, None if layer is None else f"L0{layer}"), name)


def rewrite(project: Project, name: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """The table of layer 2, changed; it says that it was made from the same as before."""
    path = TableStore.at(project.tables).path("tiny", name, "L02")
    write_table(path, change(read_table(path, name)), read_facts(path))


def seen(client: TestClient, address: str) -> str:
    """What a reader sees: the page without its tags and blanks."""
    page = client.get(address)
    assert page.status_code == 200, page.text
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", "", page.text.split("<main")[1])))


def documents(project: Project, pool: str) -> set[str]:
    """As they stand above an excerpt."""
    excerpts = table(project, "excerpts", None)
    return {f"peak · {document}" for document in excerpts.filter(pl.col("split") == pool)["document"]}


def test_the_explanation_and_its_scores_come_first(
    client: TestClient, made: Project, explained: tuple[int, int]
) -> None:
    layer, neuron = explained
    scores = of_chosen(table(made, "scores")).filter(pl.col("neuron_index") == neuron)
    candidates = table(made, "candidates").filter(
        (pl.col("neuron_index") == neuron) & (pl.col("candidate") == scores["candidate"][0])
    )

    text = seen(client, f"/tiny/{layer}/{neuron}")

    assert candidates["explanation"][0] in text
    assert text.index(candidates["explanation"][0]) < text.index("Excerpts")
    for row in scores.to_dicts():
        told = number(row["ev_correlation"]) if row["failure"] is None else f"undefined {row['failure']}"
        assert told in text
    assert "control: another neuron's explanation" in text
    assert "lookup of single tokens" in text


def test_at_first_a_page_has_train_excerpts_only(client: TestClient, made: Project, explained: tuple[int, int]) -> None:
    layer, neuron = explained
    text = seen(client, f"/tiny/{layer}/{neuron}?all=1")
    found = client.get(f"/tiny/{layer}/{neuron}.json").json()

    assert any(document in text for document in documents(made, "train"))
    for pool in ("calibration", "valid", "test"):
        assert not any(document in text for document in documents(made, pool))
    assert {f"peak · {excerpt['document']}" for excerpt in found["excerpts"]} <= documents(made, "train")


def test_held_out_excerpts_are_shown_on_request_beside_what_was_simulated(
    client: TestClient, explained: tuple[int, int]
) -> None:
    address = "/tiny/{}/{}?pool=valid".format(*explained)

    assert "can no longer explain or simulate" in seen(client, address)
    assert re.search(r'title="[^"]*, simulated', client.get(address).text)
    assert client.get(f"{address}&as=side").text.count('class="heat guessed"') > 0


@pytest.mark.parametrize("form", ["", ".json"])
def test_the_pool_test_is_shown_nowhere_before_it_was_opened(
    client: TestClient, explained: tuple[int, int], form: str
) -> None:
    answer = client.get("/tiny/{}/{}{}?pool=test".format(*explained, form))

    assert answer.status_code == 404
    assert "neuron-assets report tiny --final" in answer.text
    assert "test" not in client.get("/tiny/{}/{}.json".format(*explained)).json()["pools"]


def test_once_opened_the_pool_test_is_one_of_the_tabs(own: Project, explained: tuple[int, int]) -> None:
    store = TableStore.at(own.tables)
    look = Look(read_facts(store.path("tiny", "excerpts")).content, "x", "x", "x", {2: Stand(3, "x")})
    rows = opening_rows(empty("openings"), look, datetime(2026, 1, 1, tzinfo=UTC))
    write_table(store.path("tiny", "openings"), rows, TableFacts("openings", "x"))
    scores = table(own, "scores").filter(pl.col("sample") != "natural_rate")
    write_table(store.path("tiny", "final_scores", "L02"), scores, TableFacts("final_scores", "x"))
    simulations = TableFacts("final_simulations", "x")
    write_table(store.path("tiny", "final_simulations", "L02"), table(own, "simulations"), simulations)

    text = seen(asking(own), "/tiny/{}/{}?pool=test&all=1".format(*explained))

    assert "this explanation on test, the final report" in text
    assert any(document in text for document in documents(own, "test"))


def test_what_an_earlier_text_scored_on_test_is_not_told_of_another(own: Project, explained: tuple[int, int]) -> None:
    test_once_opened_the_pool_test_is_one_of_the_tabs(own, explained)
    rewrite(own, "final_simulations", lambda rows: rows.with_columns(explanation=pl.lit("an earlier text")))

    text = seen(asking(own), "/tiny/{}/{}?pool=test".format(*explained))

    assert "this explanation on test" not in text


def test_the_numbers_as_json_are_those_of_the_tables(
    client: TestClient, made: Project, explained: tuple[int, int]
) -> None:
    layer, neuron = explained
    rows = table(made, "activations").filter(
        (pl.col("neuron_index") == neuron) & (pl.col("split") == "valid") & (pl.col("kind") != "natural")
    )

    found = client.get(f"/tiny/{layer}/{neuron}.json?pool=valid").json()

    assert found["neuron"] == f"L{layer}N{neuron}"
    assert {tuple(excerpt["activations"]) for excerpt in found["excerpts"]} == set(map(tuple, rows["activations"]))
    assert sum(count for _, _, count in found["histogram"]) == 6 * 16


def test_a_neuron_that_is_not_explained_has_excerpts_and_says_how_to_explain_it(
    client: TestClient, made: Project
) -> None:
    explained = made.study("tiny").neuron_indices(2)
    neuron = next(index for index in range(768) if index not in explained)

    text = seen(client, f"/tiny/2/{neuron}")

    assert "neuron-assets materialize tiny --layers 2 --neurons all" in text
    assert "Highest peaks" in text


def test_a_layer_that_was_not_harvested_says_what_to_run(client: TestClient) -> None:
    assert "neuron-assets materialize tiny --layers 1" in seen(client, "/tiny/1/5")


@pytest.mark.parametrize("address", ["/tiny/2/768", "/tiny/6/0", "/tiny/2/-1", "/tiny/2/1e3", "/tiny/2/x.json"])
def test_what_is_no_neuron_is_a_friendly_404(client: TestClient, address: str) -> None:
    assert client.get(address).status_code == 404


def test_a_damaged_table_is_named_and_the_rest_of_the_page_stands(own: Project, explained: tuple[int, int]) -> None:
    path = TableStore.at(own.tables).path("tiny", "scores", "L02")
    path.write_bytes(path.read_bytes()[:100])

    text = seen(asking(own), "/tiny/{}/{}".format(*explained))

    assert str(path) in text
    assert "Not scored yet" not in text
    assert "Highest peaks" in text


def test_excerpts_that_were_cut_again_are_not_shown_under_old_activations(
    own: Project, explained: tuple[int, int]
) -> None:
    path = TableStore.at(own.tables).path("tiny", "excerpts")
    excerpts, facts = read_table(path, "excerpts"), read_facts(path)
    write_table(path, excerpts.with_columns(tokens=pl.col("tokens").list.reverse()), facts)

    text = seen(asking(own), "/tiny/{}/{}".format(*explained))

    assert "activations/L02.parquet was made from other content than" in text
    assert "Highest peaks" not in text


def test_what_was_simulated_from_an_earlier_text_is_left_out(own: Project, explained: tuple[int, int]) -> None:
    rewrite(own, "candidates", lambda rows: rows.with_columns(explanation=pl.lit("another text")))

    text = seen(asking(own), "/tiny/{}/{}?pool=valid".format(*explained))

    assert "belongs to an earlier explanation" in text
    assert "scores of earlier texts are left out" in text
    assert ", simulated" not in asking(own).get("/tiny/{}/{}?pool=valid".format(*explained)).text


def test_hostile_texts_are_shown_as_they_are(own: Project, explained: tuple[int, int]) -> None:
    rewrite(own, "candidates", lambda rows: rows.with_columns(explanation=pl.lit(HOSTILE), author=pl.lit(HOSTILE)))
    path = TableStore.at(own.tables).path("tiny", "excerpts")
    excerpts, facts = read_table(path, "excerpts"), read_facts(path)
    changed = excerpts.with_columns(
        document=pl.lit(HOSTILE), tokens=pl.col("tokens").list.eval(pl.lit(HOSTILE) + pl.element())
    )
    content = write_table(path, changed, facts).content
    activations = TableStore.at(own.tables).path("tiny", "activations", "L02")
    old = read_facts(activations)
    write_table(
        activations, read_table(activations, "activations"), replace(old, inputs={"tiny/excerpts.parquet": content})
    )

    page = asking(own).get("/tiny/{}/{}".format(*explained)).text

    assert "<script>alert" not in page
    assert "<img" not in page
    assert "\0" not in page
    assert "\u202e" not in page
    assert "<script>alert(1)</script>" in unescape(page)
    tokens = re.findall(r'<span class="t [^>]*>[^<]*&lt;0x202E&gt;', page)
    assert tokens
    assert all('dir="ltr">' in token for token in tokens)  # or text from right to left turns the code around


def test_an_undefined_score_says_why(own: Project, explained: tuple[int, int]) -> None:
    reason = pl.lit("constant: nothing to correlate")
    nothing = pl.lit(None, pl.Float64)
    rewrite(own, "scores", lambda rows: rows.with_columns(ev_correlation=nothing, failure=reason))

    assert "undefined constant: nothing to correlate" in seen(asking(own), "/tiny/{}/{}".format(*explained))


def test_there_is_a_way_to_the_next_neuron_and_to_the_next_explained_one(client: TestClient, made: Project) -> None:
    first, second, _ = made.study("tiny").neuron_indices(2)

    page = client.get(f"/tiny/2/{first}").text

    assert f'href="/tiny/2/{first + 1}"' in page
    assert f'href="/tiny/2/{second}"' in page


def test_the_page_links_to_dagster_where_that_is_told(made: Project, explained: tuple[int, int]) -> None:
    told = {"NEURON_ASSETS_DAGSTER": "http://127.0.0.1:3000/"}
    project = Project.from_environment(told, made.dagster_home.parent)
    link = "http://127.0.0.1:3000/assets/tiny/scores?view=partitions&partition=L02"

    assert link in unescape(asking(project).get("/tiny/{}/{}".format(*explained)).text)
    assert "In Dagster" not in asking(made).get("/tiny/{}/{}".format(*explained)).text


def test_the_explanation_can_be_rated_on_the_page(own: Project, explained: tuple[int, int]) -> None:
    address = "/tiny/{}/{}".format(*explained)
    client = asking(own)
    (form,) = re.findall(r'name="explanation" value="(\w+)"', client.get(address).text)
    fields = {"explanation": form, "person": "ada", "rating": "partly", "back": ""}

    answer = client.post(f"{address}/rate", data=fields, headers={"Origin": "http://127.0.0.1:8787"})

    assert answer.status_code == 200, answer.text
    assert "You said: partly." in seen(client, address)
