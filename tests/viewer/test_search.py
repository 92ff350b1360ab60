"""Neurons are found by words, by tokens and by likeness, in tables that are written by hand."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from neuron_assets.lineage import INPUTS
from neuron_assets.method.records import NeuronId
from neuron_assets.tables.parquet import TableFacts, read_facts, write_table
from neuron_assets.tables.rows import frame
from neuron_assets.tables.store import TableStore
from neuron_assets.viewer.search import (
    Found,
    alike_in_firing,
    alike_in_words,
    search_token,
    search_words,
    variants_of,
)
from neuron_assets.viewer.shelf import OpenStudy
from tests.scenario import make_project

LAYERS = [0, 2]
TEXTS: Mapping[int, Mapping[int, str | None]] = {
    0: {1: "functions that import modules", 4: "the word import", 7: None},
    2: {0: "Importance of FUNCTIONS", 1: "import of functions, the ÉCOLE", 9: "numbers & <b>tags</b>"},
}
SCORES = {(0, 1): 0.2, (0, 4): 0.9, (2, 0): 0.5, (2, 1): 0.7}


@pytest.fixture(params=["disk", "memory"])
def study(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStudy:
    """Two layers with candidates and scores of the texts above; nothing else."""
    project, said = make_project(tmp_path, layers=LAYERS)
    root = project.tables if request.param == "disk" else f"memory://{tmp_path.name}"
    opened = OpenStudy(said, TableStore.at(root), project.requests)
    for layer in LAYERS:
        write(opened, "candidates", layer, candidates(layer, TEXTS[layer]))
        write(opened, "scores", layer, scores(layer, [(neuron, 0) for neuron in TEXTS[layer]]))
    return opened


def write(study: OpenStudy, table: str, layer: int, columns: dict[str, Any]) -> None:
    """As if it were made from what lies there now."""
    write_frame(study, table, layer, frame(table, {"layer_index": layer, **columns}))


def write_frame(study: OpenStudy, table: str, layer: int | None, rows: pl.DataFrame) -> None:
    keys = {source: None if source == "excerpts" else study.key(layer or 0) for source in INPUTS[table]}
    sources = [study.store.path(study.name, source, key) for source, key in keys.items()]
    inputs = {study.store.name(source): read_facts(source).content for source in sources if source.exists()}
    path = study.store.path(study.name, table, None if layer is None else study.key(layer))
    write_table(path, rows, TableFacts(table, "abc", inputs))


def cut_again(study: OpenStudy, number: int) -> None:
    """The corpus is another; nothing was made from it yet."""
    columns = {"document_index": 0, "document": "a.txt", "split": "train", "text": "a"}
    lists = {"token_ids": [[number]], "tokens": [["a"]]}
    write_frame(study, "excerpts", None, frame("excerpts", {"excerpt_index": [0], **columns, **lists}))


def with_units(study: OpenStudy, n_units: int) -> OpenStudy:
    """The same tables, and a study file that says that a layer has so many units."""
    subject = study.study.subject.model_copy(update={"n_neurons": n_units})
    changed = {**study.study.__dict__, "subject": subject}
    return replace(study, study=study.study.model_construct(**changed))


def candidates(layer: int, texts: Mapping[int, str | None], candidate: int | list[int] = 0) -> dict[str, Any]:
    return {
        "layer_index": layer,
        "neuron_index": list(texts),
        "candidate": candidate,
        "parent": None,
        "author": "rules",
        "taken_from": None,
        "explainer": "rules/1",
        "explanation": list(texts.values()),
        "failure": ["silent" if text is None else None for text in texts.values()],
    }


def scores(layer: int, of: list[tuple[int, int]], chosen: tuple[int, int] | None = None) -> dict[str, Any]:
    """A row a neuron and candidate."""
    values = [SCORES.get((layer, neuron)) for neuron, _ in of]
    return {
        "neuron_index": [neuron for neuron, _ in of],
        "candidate": [candidate for _, candidate in of],
        "author": "rules",
        "scorer": "simulation",
        "sample": "top_and_random",
        "explainer": "r",
        "simulator": "r",
        "chosen": [each == chosen if chosen else True for each in of],
        "ev_correlation": values,
        **dict.fromkeys(("ev_correlation_low", "ev_correlation_high", "r2", "absolute_deviation", "interval_failure")),
        **dict.fromkeys(("n_excerpts", "n_documents", "n_tokens"), 1),
        "failure": ["constant" if value is None else None for value in values],
        "document_sums": [[[0.0]] for _ in of],
    }


def firing(rows: list[tuple[str, int, float]]) -> dict[str, Any]:
    """Rows of token, neuron and share."""
    return {
        "neuron_index": [neuron for _, neuron, _ in rows],
        "token": [token for token, _, _ in rows],
        "n_firing": 3,
        "mean": 1.0,
        "peak": 2.0,
        "share": [share for _, _, share in rows],
    }


def top(kept: Mapping[int, list[int]], split: str = "train") -> dict[str, Any]:
    """The excerpts that each neuron keeps."""
    rows = [(neuron, excerpt) for neuron, excerpts in kept.items() for excerpt in excerpts]
    return {
        "neuron_index": [neuron for neuron, _ in rows],
        "split": split,
        "kind": "top",
        "peak": 1.0,
        "rank": list(range(len(rows))),
        "excerpt_index": [excerpt for _, excerpt in rows],
        "activations": [[1.0] for _ in rows],
    }


def names(found: Found) -> list[str]:
    return [str(hit.neuron) for hit in found.hits]


def test_every_word_must_occur_whatever_its_case(study: OpenStudy) -> None:
    assert set(names(search_words(study, "FUNCTIONS import"))) == {"L0N1", "L2N1", "L2N0"}
    assert names(search_words(study, "import functions")) == ["L2N1", "L0N1"]
    assert names(search_words(study, "école")) == ["L2N1"]
    assert names(search_words(study, "nothing of the kind")) == []


def test_whole_words_come_before_begun_ones_then_the_better_scores(study: OpenStudy) -> None:
    found = search_words(study, "import")

    assert names(found) == ["L0N4", "L2N1", "L0N1", "L2N0"]
    assert [hit.score for hit in found.hits] == pytest.approx([0.9, 0.7, 0.2, 0.5])
    assert [hit.why for hit in found.hits] == [""] * 3 + ["a word that begins with import"]
    assert found.hits[3].explanation == "Importance of FUNCTIONS"


def test_hits_are_told_page_by_page_with_their_number(study: OpenStudy) -> None:
    found = search_words(study, "import", skip=1, most=2)

    assert names(found) == ["L2N1", "L0N1"]
    assert found.n_total == 4


@pytest.mark.parametrize("text", ["", "  ", "&<>", "\0", "\N{BRAIN}"])
def test_a_text_without_a_word_finds_nothing(study: OpenStudy, text: str) -> None:
    assert search_words(study, text) == Found((), 0)


def test_a_neuron_without_a_score_is_found_all_the_same(study: OpenStudy) -> None:
    [hit] = search_words(study, "tags").hits

    assert hit.score is None
    assert hit.explanation == "numbers & <b>tags</b>"


def test_the_text_that_stands_for_a_neuron_is_searched_not_the_others(study: OpenStudy) -> None:
    texts = candidates(2, {3: "first"}) | {"neuron_index": [3, 3], "candidate": [0, 1], "failure": None}
    write(study, "candidates", 2, texts | {"explanation": ["first text", "second text"]})
    write(study, "scores", 2, scores(2, [(3, 0), (3, 1)], chosen=(3, 1)))

    assert [hit.explanation for hit in search_words(study, "text").hits] == ["second text"]


def test_texts_without_scores_are_found(study: OpenStudy) -> None:
    study.store.path(study.name, "scores", study.key(2)).unlink()

    assert names(search_words(study, "école")) == ["L2N1"]


def test_a_file_that_changes_is_read_again(study: OpenStudy) -> None:
    before = search_words(study, "fresh").n_total
    write(study, "candidates", 2, candidates(2, {5: "a fresh text"}))

    assert before == 0
    assert names(search_words(study, "fresh")) == ["L2N5"]


def test_a_damaged_layer_is_left_out_and_named(study: OpenStudy) -> None:
    path = study.store.path(study.name, "candidates", study.key(2))
    path.write_bytes(path.read_bytes()[:100])
    found = search_words(study, "import")

    assert names(found) == ["L0N4", "L0N1"]
    [told] = found.left_out
    assert "candidates/L02.parquet" in told


def test_texts_whose_scores_are_damaged_stand_without_a_score_and_it_is_told(study: OpenStudy) -> None:
    path = study.store.path(study.name, "scores", study.key(2))
    path.write_bytes(path.read_bytes()[:100])
    found = search_words(study, "import")

    assert [(str(hit.neuron), hit.score is None) for hit in found.hits][-2:] == [("L2N1", True), ("L2N0", True)]
    [told] = found.left_out
    assert "scores/L02.parquet" in told


def test_a_score_never_stands_beside_a_text_that_was_not_scored(study: OpenStudy) -> None:
    write(study, "candidates", 2, candidates(2, {1: "a text written since"}))
    found = search_words(study, "since")

    assert [(hit.explanation, hit.score) for hit in found.hits] == [("a text written since", None)]
    assert "scores/L02.parquet was made from other content" in found.left_out[0]


def test_a_layer_whose_column_is_of_another_type_is_left_out_and_named(study: OpenStudy) -> None:
    for table, columns in (("candidates", candidates(2, TEXTS[2])), ("token_index", firing([(" dog", 1, 0.5)]))):
        rows = frame(table, {"layer_index": 2, **columns}).cast({"neuron_index": pl.Int64})
        write_frame(study, table, 2, rows)
    write(study, "token_index", 0, firing([(" dog", 4, 0.5)]))
    words, token = search_words(study, "import"), search_token(study, " dog").found

    assert (names(words), names(token)) == (["L0N4", "L0N1"], ["L0N4"])
    assert all("L02.parquet" in found.left_out[0] for found in (words, token))


def test_neurons_that_the_study_has_no_more_are_not_found(study: OpenStudy) -> None:
    write(study, "token_index", 2, firing([(" dog", 0, 0.5), (" dog", 9, 0.9)]))
    before = names(search_words(study, "tags"))
    smaller = with_units(study, 5)

    assert before == ["L2N9"]
    assert names(search_words(smaller, "tags")) == []
    assert names(search_token(smaller, " dog").found) == ["L2N0"]


def test_a_study_without_tables_has_no_hits(tmp_path: Path) -> None:
    project, said = make_project(tmp_path)
    empty = OpenStudy(said, TableStore.at(project.tables), project.requests)

    assert search_words(empty, "import") == Found((), 0)
    assert search_token(empty, "import").found == Found((), 0, (), said.layer_indices)
    assert alike_in_words(empty, NeuronId(0, 1)) == Found((), 0)
    assert alike_in_firing(empty, NeuronId(0, 1)) == Found((), 0)


def test_neurons_are_found_by_a_token_the_most_devoted_first(study: OpenStudy) -> None:
    write(study, "token_index", 0, firing([(" dog", 1, 0.5), (" dog", 4, 0.9), ("dog", 4, 0.1)]))
    write(study, "token_index", 2, firing([(" Dog", 0, 1.0), (" dog", 1, 0.7)]))
    answer = search_token(study, " dog")

    assert names(answer.found) == ["L0N4", "L2N1", "L0N1"]
    assert answer.found.n_total == 3
    assert answer.found.hits[0].explanation == "the word import"
    assert answer.found.hits[0].why == "90% of what it does is there, 3 times"
    assert dict(answer.variants) == {"dog": 1, " Dog": 1}


def test_where_nothing_fires_on_what_was_typed_a_variant_is_shown(study: OpenStudy) -> None:
    write(study, "token_index", 0, firing([(" Dog", 1, 0.5)]))
    answer = search_token(study, "dog")

    assert answer.token == " Dog"
    assert names(answer.found) == ["L0N1"]
    assert answer.found.missing == (2,)


def test_a_damaged_token_index_is_left_out_and_named(study: OpenStudy) -> None:
    write(study, "token_index", 0, firing([(" dog", 1, 0.5)]))
    study.store.path(study.name, "token_index", study.key(2)).parent.mkdir(exist_ok=True)
    study.store.path(study.name, "token_index", study.key(2)).write_bytes(b"no parquet")
    found = search_token(study, " dog").found

    assert names(found) == ["L0N1"]
    assert "token_index/L02.parquet" in found.left_out[0]


@pytest.mark.parametrize("token", ["", " ", "\n", "<script>", "\0", "x" * 100_000, "\N{BRAIN}", "שלום"])
def test_any_text_may_be_asked_for_as_a_token(study: OpenStudy, token: str) -> None:
    write(study, "token_index", 0, firing([(token, 1, 0.5)] if token else []))

    assert search_token(study, token).found.n_total == bool(token)
    assert "" not in variants_of(token)


def test_explanations_that_share_rare_words_are_alike(study: OpenStudy) -> None:
    found = alike_in_words(study, NeuronId(0, 1))

    assert names(found)[0] == "L2N1"
    assert found.hits[0].why in {"shares functions, import", "shares import, functions"}
    assert 0 < found.hits[-1].score < found.hits[0].score < 1  # type: ignore[operator]
    assert NeuronId(0, 1) not in [hit.neuron for hit in found.hits]
    assert found.n_total == 3


def test_a_neuron_without_a_text_is_like_none(study: OpenStudy) -> None:
    assert alike_in_words(study, NeuronId(0, 7)) == Found((), 0)
    assert alike_in_words(study, NeuronId(2, 700)) == Found((), 0)


def test_neurons_that_share_top_excerpts_fire_together(study: OpenStudy) -> None:
    write(study, "activations", 0, top({1: [5, 6, 7, 8], 4: [8, 1], 7: [2]}))
    write(study, "activations", 2, top({0: [5, 6, 7], 3: [900]}))
    found = alike_in_firing(study, NeuronId(0, 1))

    assert names(found) == ["L2N0", "L0N4"]
    assert [hit.score for hit in found.hits] == [0.75, 0.25]
    assert found.hits[0].why == "3 of 4 top excerpts are the same"
    assert found.hits[0].explanation == "Importance of FUNCTIONS"


def test_only_excerpts_of_train_tell_who_fires_together(study: OpenStudy) -> None:
    write(study, "activations", 0, top({1: [5], 4: [5]}, split="test"))

    assert alike_in_firing(study, NeuronId(0, 1)) == Found((), 0)


def test_a_neuron_of_a_layer_that_the_study_lists_no_more_is_told_so(study: OpenStudy) -> None:
    write(study, "activations", 0, top({4: [5]}))
    write(study, "activations", 3, top({1: [5, 900]}))
    firing, words = (alike(study, NeuronId(3, 1)) for alike in (alike_in_firing, alike_in_words))

    assert (names(firing), names(words)) == (["L0N4"], [])
    assert all("Layer 3 is not one of the study" in found.left_out[0] for found in (firing, words))


def test_units_that_are_no_more_are_not_taken_for_neurons_of_the_next_layer(study: OpenStudy) -> None:
    write(study, "activations", 0, top({1: [5], 6: [5]}))
    write(study, "activations", 2, top({3: [5]}))

    assert names(alike_in_firing(with_units(study, 5), NeuronId(0, 1))) == ["L2N3"]


def test_an_excerpt_that_is_kept_twice_is_shared_once(study: OpenStudy) -> None:
    write(study, "activations", 0, top({1: [5, 6], 4: [5, 5]}))

    assert [hit.score for hit in alike_in_firing(study, NeuronId(0, 1)).hits] == [0.5]


def test_what_was_made_of_another_cut_of_the_corpus_is_left_out_and_named(study: OpenStudy) -> None:
    cut_again(study, 1)
    for layer in LAYERS:
        write(study, "activations", layer, top({1: [5], 4: [5]}))
        write(study, "token_index", layer, firing([(" dog", 1, 0.5)]))
    before = names(alike_in_firing(study, NeuronId(2, 1))), names(search_token(study, " dog").found)
    cut_again(study, 2)
    write(study, "activations", 2, top({1: [5], 4: [5]}))
    write(study, "token_index", 2, firing([(" dog", 1, 0.5)]))
    alike, token = alike_in_firing(study, NeuronId(2, 1)), search_token(study, " dog").found

    assert before == (["L0N1", "L0N4", "L2N4"], ["L0N1", "L2N1"])
    assert (names(alike), names(token)) == (["L2N4"], ["L2N1"])
    assert all("L00.parquet was made from other content" in found.left_out[0] for found in (alike, token))
