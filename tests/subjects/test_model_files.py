"""Facts on who a model in a folder is: by what its files hold, wherever they lie."""

from pathlib import Path
from typing import NoReturn

import pytest

from neuron_assets.errors import UnusableSubject
from neuron_assets.subjects.model_files import OF_READING, OF_WEIGHTS, files_digest


def write(folder: Path, **more: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    files = {"config.json": "{}", "model.safetensors": "weights", "tokenizer.json": "reading", "README.md": "text"}
    for name, text in (files | more).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_the_same_files_are_the_same_model_wherever_they_lie(tmp_path: Path) -> None:
    assert files_digest(write(tmp_path / "a"), OF_WEIGHTS) == files_digest(write(tmp_path / "b" / "c"), OF_WEIGHTS)


@pytest.mark.parametrize(
    ("name", "weights", "reading"),
    [
        ("model.safetensors", True, False),
        ("config.json", True, False),
        ("tokenizer.json", False, True),
        ("README.md", False, False),
        ("generation_config.json", False, False),
        ("tokenizer_config.json", False, True),
        ("tokenizer.model", False, True),
        ("model-00001-of-00002.safetensors", True, False),
        ("model.safetensors.index.json", True, False),
    ],
)
def test_a_file_changes_the_digest_of_what_it_is_of(tmp_path: Path, name: str, *, weights: bool, reading: bool) -> None:
    one, other = write(tmp_path / "a"), write(tmp_path / "b", **{name: "another"})

    assert (files_digest(one, OF_WEIGHTS) != files_digest(other, OF_WEIGHTS)) is weights
    assert (files_digest(one, OF_READING) != files_digest(other, OF_READING)) is reading


def test_a_file_that_was_written_again_is_read_again(tmp_path: Path) -> None:
    before = files_digest(write(tmp_path), OF_WEIGHTS)

    assert files_digest(write(tmp_path, **{"model.safetensors": "longer weights"}), OF_WEIGHTS) != before


def test_a_folder_of_a_files_name_is_no_file_of_the_model(tmp_path: Path) -> None:
    one, other = write(tmp_path / "a"), write(tmp_path / "b")
    (other / "old.safetensors").mkdir()

    assert files_digest(one, OF_WEIGHTS) == files_digest(other, OF_WEIGHTS)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> NoReturn:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("neuron_assets.subjects.model_files.file_digest", refuse)

    with pytest.raises(UnusableSubject, match=r"config.json cannot be read: Permission denied"):
        files_digest(write(tmp_path), OF_WEIGHTS)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UnusableSubject, match="it is no folder with files of a model"):
            files_digest(folder, OF_WEIGHTS)
