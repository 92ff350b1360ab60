"""The files of a corpus are found wherever they lie, named where they are not there, and seen to change."""

import gzip
import os
import sys
from pathlib import Path

import pytest
from fsspec.implementations.http import HTTPFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from neuron_assets.corpora.documents import Fields, Row
from neuron_assets.corpora.files import find_files, state_of_files
from neuron_assets.corpora.json_lines import json_line_rows
from neuron_assets.corpora.text_files import text_file_rows
from neuron_assets.errors import CorpusNeedsExtra, MissingCorpus, UnreadableCorpus
from neuron_assets.method.records import Document


def json_lines(folder: Path, location: str) -> list[Row]:
    return list(json_line_rows(find_files(location, folder), Fields()))


def names(rows: list[Row]) -> list[str]:
    return [row.name for row in rows if isinstance(row, Document)]


@pytest.mark.parametrize("folder", ["missing", "."])
def test_a_folder_without_texts_is_refused_by_name(tmp_path: Path, folder: str) -> None:
    with pytest.raises(MissingCorpus, match=r"\*\.txt does not exist, or no file matches"):
        find_files(folder, tmp_path, "**/*.txt")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_file_whose_name_is_no_text_has_it_spelt_out(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))).write_text("text", encoding="utf-8")

    assert list(text_file_rows(find_files(".", tmp_path, "*.txt"))) == [Document("caf\\xe9.txt", "text")]


@pytest.mark.parametrize("name", ["docs[1].jsonl", "docs?.jsonl", "docs*.jsonl"])
def test_a_file_that_is_called_like_a_glob_is_that_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "docs1.jsonl").write_text('{"text": "other"}', encoding="utf-8")
    assert names(json_lines(tmp_path, name)) == ["docs1.jsonl:1"]
    (tmp_path / name).write_text('{"text": "this"}', encoding="utf-8")

    assert json_lines(tmp_path, name) == [Document(f"{name}:1", "this")]


def test_any_place_that_fsspec_knows_can_be_read(tmp_path: Path) -> None:
    store = MemoryFileSystem()
    store.pipe("/bucket/deep/a.jsonl", b'{"text": "one"}')
    store.pipe("/bucket/b.jsonl.gz", gzip.compress(b'{"text": "two"}'))
    try:
        assert json_lines(tmp_path, "memory://bucket/b.jsonl.gz") == [Document("b.jsonl.gz:1", "two")]
        assert names(json_lines(tmp_path, "memory://bucket/**/*.jsonl*")) == ["b.jsonl.gz:1", "deep/a.jsonl:1"]
    finally:
        store.rm("/bucket", recursive=True)


def test_a_place_that_needs_an_extra_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)

    with pytest.raises(CorpusNeedsExtra, match=r"neuron-assets\[s3\]"):
        find_files("s3://bucket/docs.jsonl", tmp_path)
    with pytest.raises(UnreadableCorpus, match="Protocol not known: nope"):
        find_files("nope://docs.jsonl", tmp_path)


def test_the_state_of_files_changes_when_one_comes_goes_or_is_written_anew(tmp_path: Path) -> None:
    def state() -> str:
        return state_of_files(find_files(".", tmp_path, "*.txt"))

    path = tmp_path / "a.txt"
    path.write_text("one", encoding="utf-8")
    states = [state()]
    assert state() == states[0]
    path.write_text("other", encoding="utf-8")
    states.append(state())
    os.utime(path, ns=(1, 1))
    states.append(state())
    (tmp_path / "b.txt").write_text("two", encoding="utf-8")
    states.append(state())

    assert len(set(states)) == 4


def test_the_state_of_a_file_that_cannot_be_looked_at_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no folder", encoding="utf-8")

    with pytest.raises(MissingCorpus, match=r"gone\.jsonl does not exist"):
        state_of_files(find_files("gone.jsonl", tmp_path))
    with pytest.raises(UnreadableCorpus, match=r"a\.txt/b\.txt cannot be read: .*Not a directory"):
        state_of_files(find_files("a.txt/b.txt", tmp_path))


def test_the_state_of_a_file_on_a_server_follows_what_the_server_says_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"size": 3, "ETag": "one", "url": "https://elsewhere/?signed=1"}
    monkeypatch.setattr(HTTPFileSystem, "info", lambda _self, _path: said)
    files = find_files("https://localhost/docs.jsonl", Path())
    first = state_of_files(files)
    said["url"] = "https://elsewhere/?signed=2"
    again = state_of_files(files)
    said["ETag"] = "two"

    assert first == again != state_of_files(files)
