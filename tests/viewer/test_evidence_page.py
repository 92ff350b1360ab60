"""How a neuron's candidates came about, as a reader sees it."""

import html
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest
from starlette.testclient import TestClient

from neuron_assets.project import Project
from neuron_assets.tables.parquet import TableFacts, read_facts, read_table, write_table
from neuron_assets.tables.rows import frame
from neuron_assets.tables.store import TableStore
from neuron_assets.viewer.app import create_app
from neuron_assets.viewer.excerpts import exact
from tests.viewer import hostile

Change = Callable[[pl.DataFrame], pl.DataFrame]


def seen(client: TestClient, explained: tuple[int, int]) -> str:
    """The text of the page, without markup."""
    layer, neuron = explained
    got = client.get(f"/tiny/{layer}/{neuron}/evidence")
    assert got.status_code == 200
    assert not [live for live in hostile.LIVE if live in got.text]
    return " ".join(html.unescape(re.sub("<[^>]*>", "", got.text)).split())


@pytest.fixture
def own(made: Project, tmp_path: Path) -> Project:
    """A copy of the project that a test may harm."""
    root = tmp_path / "own"
    shutil.copytree(made.dagster_home.parent, root, ignore=shutil.ignore_patterns("history", "storage", "logs"))
    return Project.from_environment({}, root)


def asking(project: Project) -> TestClient:
    return TestClient(create_app(project), base_url="http://127.0.0.1:8787")


def rewrite(project: Project, table: str, change: Change, **facts: object) -> None:
    path = TableStore.at(project.tables).path("tiny", table, None if table == "excerpts" else "L02")
    there = read_facts(path)
    write_table(path, change(read_table(path, table)), TableFacts(table, there.lineage, there.inputs, there.notes))


def add(project: Project, table: str, rows: pl.DataFrame) -> None:
    store = TableStore.at(project.tables)
    inputs = {f"tiny/{name}.parquet": read_facts(store.path("tiny", name)).content for name in ("excerpts",)}
    candidates = store.path("tiny", "candidates", "L02")
    inputs["tiny/candidates/L02.parquet"] = read_facts(candidates).content
    write_table(store.path("tiny", table, "L02"), rows, TableFacts(table, "0" * 16, inputs))


def rows_of(project: Project, table: str, neuron: int) -> pl.DataFrame:
    path = TableStore.at(project.tables).path("tiny", table, "L02")
    return read_table(path, table, pl.col("neuron_index") == neuron)


def test_each_revision_stands_below_what_it_was_made_from_and_what_spoke_against_that(
    client: TestClient, made: Project, explained: tuple[int, int]
) -> None:
    page = seen(client, explained)
    candidates = rows_of(made, "candidates", explained[1])["explanation"].to_list()
    against = rows_of(made, "counterexamples", explained[1]).row(0, named=True)

    first, revised = (page.index(text) for text in candidates[:2])
    test = page.index(f"Excerpt {against['excerpt_index']} of the corpus")
    assert first < page.index("Round 1: candidate 0 is put to the test") < test < revised
    told = "more" if against["fault"] == "fires" else "less"
    assert f"at the marked token the text expects {told} than the neuron does" in page
    assert f"peak {exact(max(against['activations']))} · costs {exact(against['cost'])} of the correlation" in page


def test_what_a_sentence_showed_is_told_and_the_text_that_cannot_be_measured_too(
    own: Project, explained: tuple[int, int]
) -> None:
    told = [
        {"sentence": "<b>fires</b>", "should_fire": True, "fault": None, "peak": 3.0},
        {"sentence": "silent {{ 7 * 7 }}", "should_fire": False, "fault": "silent", "peak": 2.5},
        {"sentence": "too \u202elong", "should_fire": False, "failure": "it is too long"},
    ]
    rows = [
        {
            **dict.fromkeys(("excerpt_index", "sentence", "should_fire", "token", "fault", "peak", "cost", "failure")),
            "layer_index": explained[0],
            "neuron_index": explained[1],
            "round": 1,
            "number": number,
            "source": "explainer",
            "tokens": None,
            "activations": None,
            **({} if "failure" in each else {"tokens": ["a ", each["sentence"]], "activations": [0.0, each["peak"]]}),
            **each,
        }
        for number, each in enumerate(told)
    ]
    made = frame("counterexamples", {name: [row[name] for row in rows] for name in rows[0]})
    rewrite(own, "counterexamples", lambda _rows: made)
    page = seen(asking(own), explained)

    assert "A sentence by the explainer, written to make it fire · as the text says · peak 3" in page
    assert "written to leave it silent · it fires where the text says that it is silent · peak 2.5" in page
    assert "written to leave it silent · not measured: it is too long too <0x202E>long" in page
    assert "<b>fires</b>" in page


def four_of(project: Project, pool: str) -> list[int]:
    path = TableStore.at(project.tables).path("tiny", "excerpts")
    return read_table(path, "excerpts", pl.col("split") == pool, ["excerpt_index"])["excerpt_index"].to_list()[:4]


def judgements(explained: tuple[int, int], text: str | None, excerpts: Sequence[int]) -> pl.DataFrame:
    strata = ["active", "plain", "hard", "active"]
    return frame(
        "judgements",
        {
            "layer_index": explained[0],
            "neuron_index": explained[1],
            "candidate": 0,
            "scorer": "fuzzing",
            "excerpt_index": pl.Series(excerpts, dtype=pl.Int32),
            "stratum": strata,
            "marked": pl.Series([[1], [2], [0], [3]], dtype=pl.List(pl.Int32)),
            "judge": "somebody/1",
            "explanation": pl.Series([text] * 4, dtype=pl.String),
            "probability": pl.Series([0.9, 0.25, 0.75, None], dtype=pl.Float64),
            "failure": pl.Series([None, None, None, "nobody <i>answered</i>"], dtype=pl.String),
        },
    )


def test_every_answer_of_a_judge_is_right_or_wrong_or_failed(own: Project, explained: tuple[int, int]) -> None:
    first, second, third, fourth = excerpts = four_of(own, "valid")
    text = rows_of(own, "candidates", explained[1])["explanation"][0]
    add(own, "judgements", judgements(explained, text, excerpts))
    page = seen(asking(own), explained)

    assert "fuzzing of candidate 0 (rules): 2 of 3 right, 1 without an answer" in page
    assert f"right: yes, 0.90 · active · excerpt {first}" in page
    assert f"right: no, 0.25 · silent · excerpt {second}" in page
    assert f"wrong: yes, 0.75 · silent, with a token that excites it elsewhere · excerpt {third}" in page
    assert f"No answer: nobody <i>answered</i> · active · excerpt {fourth}" in page


def test_no_excerpt_of_test_is_shown_whoever_judged_it(own: Project, explained: tuple[int, int]) -> None:
    text = rows_of(own, "candidates", explained[1])["explanation"][0]
    add(own, "judgements", judgements(explained, text, four_of(own, "test")))
    layer, neuron = explained
    page = asking(own).get(f"/tiny/{layer}/{neuron}/evidence").text

    assert page.count("Its text cannot be shown.") == 4
    assert 'aria-label="fuzzing' not in page


def test_judgements_of_an_earlier_text_are_left_out(own: Project, explained: tuple[int, int]) -> None:
    add(own, "judgements", judgements(explained, "what was said before", four_of(own, "valid")))
    page = seen(asking(own), explained)

    assert "what was said before" not in page
    assert "Some judgements are of earlier explanations" in page


def test_tables_of_another_cut_are_left_out_by_name(own: Project, explained: tuple[int, int]) -> None:
    rewrite(own, "excerpts", lambda rows: rows.with_columns(pl.col("document_index") + 1))
    page = seen(asking(own), explained)

    assert "The table `counterexamples` of this layer was made from other excerpts" in page
    assert "of the corpus" not in page
    assert "candidate 1 by revision" not in page.partition("Revisions")[0]


def test_meanings_and_ablations_are_told_in_short(own: Project, explained: tuple[int, int]) -> None:
    keys = {"layer_index": explained[0], "neuron_index": explained[1]}
    meanings = {
        **keys,
        "n_meanings": pl.Series([2, 2, 3], dtype=pl.Int32),
        "meaning": pl.Series([0, 1, 0], dtype=pl.Int32),
        "n_excerpts": pl.Series([4, 3, 0], dtype=pl.Int32),
        "tokens": [[" self", "\n"], [], []],
        "explainer": "rules/1",
        "explanation": ["one <thing>", None, None],
        "failure": pl.Series([None, "it was silent", "too few excerpts"], dtype=pl.String),
    }
    ablations = {
        **keys,
        "candidate": 0,
        "excerpt_index": pl.Series([0, 1, 2], dtype=pl.Int32),
        "divergence_simulated": [0.25, 0.5, None],
        "divergence_mean": [0.5, 0.625, 0.1],
        "noise": [0.001, 0.002, 0.001],
        "failure": pl.Series([None, None, "not simulated"], dtype=pl.String),
    }
    add(own, "meanings", frame("meanings", meanings))
    add(own, "ablations", frame("ablations", ablations))
    page = seen(asking(own), explained)

    assert "one <thing>" in page
    assert "4 top excerpts, in which self ⏎ fire" in page
    assert "There is no text: it was silent" in page
    assert "There is no such list: too few excerpts." in page
    assert re.search(r"0 ?rules ?0\.375 ?0\.5625 ?0\.002 ?2 of 3 ?not simulated", page)


def test_a_neuron_that_is_not_explained_says_how_it_would_be(client: TestClient) -> None:
    assert "Explain its whole layer: neuron-assets materialize tiny --layers 2 --neurons all" in seen(client, (2, 0))


def test_a_damaged_table_is_told_by_name_and_the_rest_stands(own: Project, explained: tuple[int, int]) -> None:
    Path(str(TableStore.at(own.tables).path("tiny", "counterexamples", "L02"))).write_bytes(b"PAR1 no more")
    page = seen(asking(own), explained)

    assert "counterexamples" in page
    assert "Round 1" in page
    assert rows_of(own, "candidates", explained[1])["explanation"][0] in page
