"""A corpus is one line of a study; what it is follows from how it is written, and what is wrong is named."""

from pathlib import Path
from typing import Any

import pytest

from neuron_assets.corpus_sections import HubDataset, JsonLines, Parquet, StandardLibrary, TextFile, TextFiles
from neuron_assets.errors import InvalidStudy
from neuron_assets.lineage import lineages
from neuron_assets.study import read_study
from tests.scenario import CORPUS, make_project, write_study

COMMIT = "0123456789" * 4


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, StandardLibrary()),
        ("standard_library", StandardLibrary()),
        ({"excerpt_length": 32}, StandardLibrary(excerpt_length=32)),
        ("./texts", TextFiles(provider="text_files", folder="./texts")),
        ("s3://bucket/texts", TextFiles(provider="text_files", folder="s3://bucket/texts")),
        ({"folder": "texts", "pattern": "*.md"}, TextFiles(provider="text_files", folder="texts", pattern="*.md")),
        ("./book.txt", TextFile(provider="text_file", file="./book.txt")),
        ("./docs.jsonl", JsonLines(provider="jsonl", file="./docs.jsonl")),
        ("docs.jsonl.zst", JsonLines(provider="jsonl", file="docs.jsonl.zst")),
        ("./data/*.parquet", Parquet(provider="parquet", file="./data/*.parquet")),
        ("./DOCS.JSONL.GZ", JsonLines(provider="jsonl", file="./DOCS.JSONL.GZ")),
        ("./v1.0/", TextFiles(provider="text_files", folder="./v1.0/")),
        ({"folder": "./v1.0"}, TextFiles(provider="text_files", folder="./v1.0")),
        ({"file": "a.parquet", "text_field": "body"}, Parquet(provider="parquet", file="a.parquet", text_field="body")),
        ({"provider": "jsonl", "file": "docs.log"}, JsonLines(provider="jsonl", file="docs.log")),
        (f"some-org/a.set@{COMMIT}", HubDataset(provider="datasets", dataset="some-org/a.set", revision=COMMIT)),
        ({"dataset": "./set", "split": "test"}, HubDataset(provider="datasets", dataset="./set", split="test")),
    ],
)
def test_what_a_corpus_is_follows_from_how_it_is_written(tmp_path: Path, written: Any, expected: object) -> None:
    assert read_study(write_study(tmp_path, corpus=written)).corpus == expected


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"file": "docs.csv"}, "`file` ends in none of .txt, .text, .md, .jsonl, .ndjson, .parquet; write `provider`"),
        (
            "./docs.json",
            "'./docs.json' ends in none of .txt, .text, .md, .jsonl, .ndjson, .parquet; write `file: ./docs",
        ),
        ("./data/*", "write `file: ./data/*` and `provider` beside it, or `folder: ./data/*` if it is one"),
        ("./a.parquet.gz", "Parquet is packed by itself and not read out of `.gz`: unpack the file"),
        (
            {"file": "docs.jsonl", "text_feild": "x"},
            "`corpus.text_feild` is no key of a study; did you mean `text_field`?",
        ),
        ({"file": "docs.jsonl", "separator": "x"}, "`corpus.separator` is no key of a study"),
        ({"provider": "csv"}, "'csv'"),
        ({"dataset": "some-org/set"}, "`revision` must be the full commit, 40 hexadecimal digits"),
        ("some-org/set@main", "huggingface.co/datasets/some-org/set/commits/main"),
        ({"dataset": "pandas", "revision": COMMIT}, "`dataset` is written ORGANISATION/NAME; a folder begins with ./"),
        ({"dataset": "./set", "revision": COMMIT}, "`revision` goes with a data set of the hub"),
        ({"file": "docs.jsonl", "most_bad_rows": 2}, "`corpus.most_bad_rows`: Input should be less than or equal to 1"),
        ({"folder": "texts", "pattern": "../*.txt"}, "`pattern` names files below `folder`"),
        (["texts"], "`corpus`"),
    ],
)
def test_what_is_wrong_with_a_corpus_is_named(tmp_path: Path, written: Any, message: str) -> None:
    with pytest.raises(InvalidStudy) as caught:
        read_study(write_study(tmp_path, corpus=written))

    assert message in str(caught.value)


def test_how_many_bad_rows_are_borne_is_no_ingredient_and_everything_else_is(tmp_path: Path) -> None:
    def lineage(name: str, **changes: object) -> str:
        _, study = make_project(tmp_path / name, corpus=CORPUS | changes)
        return lineages(study)["excerpts"]

    assert lineage("a") == lineage("b", most_bad_rows=0.5)
    assert len({lineage("a"), lineage("c", shortest=9), lineage("d", most_documents=9), lineage("e", seed=1)}) == 4
