"""Every source gives its rows one by one, and says by name which file or row of it is not right."""

import bz2
import gzip
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_assets.corpora.documents import BadRow, Fields, Row
from neuron_assets.corpora.files import find_files
from neuron_assets.corpora.hub_datasets import DatasetPlace, dataset_rows
from neuron_assets.corpora.json_lines import json_line_rows
from neuron_assets.corpora.parquet_files import parquet_rows
from neuron_assets.corpora.text_files import text_file_rows
from neuron_assets.errors import CorpusNeedsExtra, MissingCorpus, MissingField, UnreadableCorpus
from neuron_assets.method.records import Document

LINES = [{"text": f"text {number}", "id": f"n{number}"} for number in range(3000)]
PACKED: dict[str, Any] = {
    "gz": gzip.compress,
    "GZ": gzip.compress,
    "bz2": bz2.compress,
    "zst": lambda raw: pa.compress(raw, "zstd").to_pybytes(),
}


def names(rows: Sequence[Row]) -> list[str]:
    return [row.name if isinstance(row, Document) else row.where for row in rows]


def json_lines(folder: Path, location: str = "docs.jsonl", **fields: str) -> list[Row]:
    return list(json_line_rows(find_files(location, folder), Fields(**fields)))


def parquet(folder: Path, location: str = "docs.parquet", **fields: str) -> list[Row]:
    return list(parquet_rows(find_files(location, folder), Fields(**fields)))


def test_a_folder_is_read_in_the_order_of_names_and_bad_bytes_spoil_their_document_only(tmp_path: Path) -> None:
    folder = tmp_path / "te[x]t"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "b.txt").write_bytes(b"caf\xe9\r\n")
    (folder / "deep" / "a.txt").write_bytes(b"one\r\ntwo")
    (folder / "deep" / "er" / "c.txt").write_text("three", encoding="utf-8")
    (folder / "c.md").write_text("other", encoding="utf-8")
    (folder / "d.txt").mkdir()

    found = list(text_file_rows(find_files("te[x]t", tmp_path, "**/*.txt")))

    assert found == [
        BadRow("b.txt", "no UTF-8 at character 3"),
        Document("deep/a.txt", "one\ntwo"),
        Document("deep/er/c.txt", "three"),
    ]


def test_one_file_is_one_document_or_as_many_as_are_separated(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_bytes(b"one\r\n***\r\ntwo\n***\n\n***\nbad \xff\n***\nthree")
    files = find_files("book.txt", tmp_path)

    assert len(list(text_file_rows(files))) == 1
    assert list(text_file_rows(files, "\n***\n")) == [
        Document("book.txt:1", "one"),
        Document("book.txt:2", "two"),
        BadRow("book.txt:4", "no UTF-8 at character 4"),
        Document("book.txt:5", "three"),
    ]


def test_a_separator_is_found_whatever_ends_the_lines_of_either(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_bytes(b"one\r\n***\r\ntwo\n***\nthree")

    found = list(text_file_rows(find_files("book.txt", tmp_path), "\r\n***\r\n"))

    assert [row.text for row in found if isinstance(row, Document)] == ["one", "two", "three"]


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\0|", exclude_categories=["Cs"])), max_size=6),
    st.integers(1, 9),
)
def test_separated_documents_are_found_wherever_the_pieces_that_are_read_end(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], chunk: int
) -> None:
    folder = tmp_path_factory.mktemp("book")
    (folder / "book.txt").write_bytes("||".join(texts).encode())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("neuron_assets.corpora.text_files._CHUNK", chunk)
        found = list(text_file_rows(find_files("book.txt", folder), "||"))

    assert [row.text for row in found if isinstance(row, Document)] == [text for text in texts if text.strip()]


def test_json_lines_are_documents_named_after_their_place_or_a_field(tmp_path: Path) -> None:
    (tmp_path / "docs.jsonl").write_text(
        '{"text": "one", "id": "x"}\n\n{"id": 2, "text": "two\\nlines"}', encoding="utf-8"
    )

    assert json_lines(tmp_path) == [Document("docs.jsonl:1", "one"), Document("docs.jsonl:3", "two\nlines")]
    assert names(json_lines(tmp_path, name="id")) == ["x", "2"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{'text': 1}", "no JSON: Expecting property name enclosed in double quotes at character 1"),
        (b'{"text": "caf\xe9"}', "no UTF-8 from byte 13 on"),
        (b'["text"]', "no JSON object"),
        (b'{"body": "x"}', "no field 'text'; its fields: body"),
        (b'{"text": null}', "null, not a text"),
        (b'{"text": "a\\u0000"}', "a NUL at character 1"),
        (b'{"text": "\\ud800"}', "no UTF-8 at character 0"),
        (b'{"text": ' + b"9" * 5000 + b"}", "no JSON that can be read: Exceeds the limit"),
    ],
)
def test_a_line_that_gives_no_document_says_why_and_the_next_is_read(tmp_path: Path, line: bytes, why: str) -> None:
    (tmp_path / "docs.jsonl").write_bytes(line + b'\n{"text": "good"}\n')

    bad, good = json_lines(tmp_path)

    assert isinstance(bad, BadRow)
    assert str(bad).startswith(f"docs.jsonl:1: {why}")
    assert good == Document("docs.jsonl:2", "good")


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=8))
def test_what_is_written_as_json_lines_is_read(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("docs")
    lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts]
    (folder / "docs.jsonl").write_bytes("".join(lines).encode())

    assert [row.text for row in json_lines(folder) if isinstance(row, Document)] == texts


@pytest.mark.parametrize("ending", list(PACKED))
def test_packed_lines_are_unpacked_and_a_file_that_is_cut_short_is_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"docs.jsonl.{ending}"
    whole = PACKED[ending]("".join(json.dumps(line) + "\n" for line in LINES).encode())
    path.write_bytes(whole)
    assert names(json_lines(tmp_path, path.name, name="id")) == [line["id"] for line in LINES]

    for n_bytes in (len(whole) // 2, len(whole) - 4):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(UnreadableCorpus, match=rf"docs\.jsonl\.{ending} cannot be read: .+"):
            json_lines(tmp_path, path.name)


@pytest.mark.parametrize("read", [json_lines, parquet])
def test_a_file_that_is_missing_and_a_glob_that_matches_nothing_are_named(tmp_path: Path, read: Any) -> None:
    with pytest.raises(MissingCorpus, match="nowhere does not exist"):
        read(tmp_path, "nowhere")
    with pytest.raises(MissingCorpus, match=r"part-\*\.x does not exist, or no file matches"):
        read(tmp_path, "data/part-*.x")
    with pytest.raises(UnreadableCorpus, match=f"{tmp_path.name} cannot be read"):
        read(tmp_path.parent, tmp_path.name)


def test_parquet_files_of_a_glob_are_read_in_batches_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number, part in enumerate((LINES[2500:], LINES[:2500])):
        pq.write_table(pa.Table.from_pylist(part), tmp_path / "data" / f"part-{number}.parquet")

    found = parquet(tmp_path, "data/*.parquet")

    assert [row.text for row in found if isinstance(row, Document)] == [
        line["text"] for line in (*LINES[2500:], *LINES[:2500])
    ]
    assert names(found)[499:501] == ["part-0.parquet:500", "part-1.parquet:1"]
    assert names(parquet(tmp_path, "data/part-1.*", name="id"))[:2] == ["n0", "n1"]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_texts_of_every_kind_of_column_are_read_and_nulls_are_bad(tmp_path: Path, kind: Any) -> None:
    column = pa.array(["one", None, "two"], kind)
    pq.write_table(pa.table({"text": column}), tmp_path / "docs.parquet")

    assert parquet(tmp_path) == [
        Document("docs.parquet:1", "one"),
        BadRow("docs.parquet:2", "null, not a text"),
        Document("docs.parquet:3", "two"),
    ]


def test_a_text_in_parquet_that_is_no_utf_8_does_not_spoil_its_batch(tmp_path: Path) -> None:
    texts = pa.array([b"good", b"caf\xe9", b"well"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": texts}), tmp_path / "docs.parquet")

    assert parquet(tmp_path) == [
        Document("docs.parquet:1", "good"),
        BadRow("docs.parquet:2", "no UTF-8 at character 3"),
        Document("docs.parquet:3", "well"),
    ]


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    pq.write_table(pa.table({"body": ["x"], "id": [1]}), tmp_path / "docs.parquet")

    with pytest.raises(MissingField, match="has the field 'text'; fields that there are: body, id"):
        parquet(tmp_path)
    with pytest.raises(MissingField, match="the field 'title'"):
        parquet(tmp_path, text="body", name="title")


@pytest.mark.parametrize("damage", [lambda whole: whole[:-100], lambda whole: b"no parquet at all", lambda _whole: b""])
def test_damaged_parquet_is_refused_by_name(tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "docs.parquet"
    pq.write_table(pa.Table.from_pylist(LINES), path)
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(UnreadableCorpus, match=r"docs\.parquet cannot be read: .+"):
        parquet(tmp_path)


@pytest.fixture
def data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the library `datasets` reads it, of a training and a test part."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "set"
    folder.mkdir()
    for split, part in (("train", LINES[:20]), ("test", LINES[20:23])):
        pq.write_table(pa.Table.from_pylist(part), folder / f"{split}-00000-of-00001.parquet")
    return folder


def test_a_data_set_in_a_folder_is_streamed_by_its_split(data_set: Path) -> None:
    rows = list(dataset_rows(DatasetPlace(str(data_set), split="test"), Fields(name="id")))

    assert rows == [Document(line["id"], line["text"]) for line in LINES[20:23]]
    assert names(list(dataset_rows(DatasetPlace(str(data_set)), Fields())))[:2] == ["train:1", "train:2"]


def test_a_data_set_without_the_field_or_the_split_or_at_all_is_refused(data_set: Path) -> None:
    with pytest.raises(MissingField, match="'body'; fields that there are: text, id"):
        list(dataset_rows(DatasetPlace(str(data_set)), Fields("body")))
    with pytest.raises(UnreadableCorpus, match="valid"):
        list(dataset_rows(DatasetPlace(str(data_set), split="valid"), Fields()))
    with pytest.raises(UnreadableCorpus, match="nowhere"):
        list(dataset_rows(DatasetPlace(str(data_set / "nowhere")), Fields()))


def test_code_beside_a_data_set_is_not_run(tmp_path: Path) -> None:
    folder = tmp_path / "sly"
    folder.mkdir()
    (folder / "sly.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")

    with pytest.raises(UnreadableCorpus):
        list(dataset_rows(DatasetPlace(str(folder)), Fields()))
    assert not (tmp_path / "ran").exists()


def test_without_the_extra_a_data_set_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)

    with pytest.raises(CorpusNeedsExtra, match=r"pip install 'neuron-assets\[datasets\]'"):
        list(dataset_rows(DatasetPlace("some/set", "0" * 40), Fields()))
