"""Files that nobody will read again: of studies that are no more, broken-off writes, what a pass set aside.

Here: finding them below the root of the tables, and removing them. Not here: which studies there are (`project.py`),
what Dagster remembers of them (`old_runs.py`).
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from upath import UPath

from neuron_assets.errors import FailedRemoval, MissingTable, UnreadableTable
from neuron_assets.tables.parquet import read_facts
from neuron_assets.tables.schemas import SCHEMAS
from neuron_assets.tables.store import CHECKPOINT, SET_ASIDE, owner_of
from neuron_assets.tables.writing_aside import begun_for

_OURS = {".parquet", ".safetensors", ".json"}
"""How the files end that this package writes."""
_LAYER = re.compile(r"L\d+\.parquet")


@dataclass(frozen=True, slots=True)
class File:
    path: UPath
    size: int
    """In bytes."""


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """What lies in the folder of a study."""

    name: str
    tables: Sequence[File]
    foreign: Sequence[UPath]
    """Files that this package did not write; they stay."""


def folders_of_tables(root: UPath, is_asked_for: Callable[[str], bool]) -> Iterator[StudyFolder]:
    """The folders below `root` that hold tables, of those whose name is asked for."""
    for folder in _folders(root):
        if is_asked_for(folder.name):
            files = [path for path in _files(folder) if not _is_begun(path)]
            tables = [
                path
                for path in files
                if (_is_place_of_a_table(path, folder) and _is_ours(path)) or _is_checkpoint(path, folder)
            ]
            if tables:
                foreign = [path for path in files if path not in tables]
                yield StudyFolder(folder.name, [_as_file(path) for path in tables], foreign)


def broken_off(root: UPath, before: datetime) -> Iterator[File]:
    """What writes left that were killed; one that was begun later than `before` may still be under way."""
    for folder in _folders(root):
        for path in _files(folder):
            if _is_begun(path) and path.fs.modified(path.path) < before:
                yield _as_file(path)


def set_aside(root: UPath, studies: Collection[str], is_over: Callable[[str], bool]) -> Iterator[File]:
    """What a pass set aside, in these studies, for a run or a backfill that is over."""
    for folder in _folders(root):
        for path in _files(folder) if folder.name in studies else ():
            owner = owner_of(path)
            if path.parent == folder / SET_ASIDE and owner is not None and is_over(owner):
                yield _as_file(path)


def remove(files: Sequence[File], root: UPath) -> None:
    """Removes them, and the folders below `root` that are empty then; raises FailedRemoval."""
    for file in files:
        try:
            file.path.unlink(missing_ok=True)
        except OSError as error:
            raise FailedRemoval(file.path, error.strerror or str(error)) from error
    parents = {parent for file in files for parent in file.path.parents if root in parent.parents}
    for folder in sorted(parents, key=lambda folder: len(folder.parts), reverse=True):
        with suppress(OSError):  # an empty folder harms nobody; on object stores there is none
            if not any(folder.iterdir()):
                folder.rmdir()


def _folders(root: UPath) -> Sequence[UPath]:
    return sorted((path for path in root.iterdir() if path.is_dir()), key=str) if root.exists() else []


def _files(folder: UPath) -> Sequence[UPath]:
    return sorted((path for path in folder.rglob("*") if path.is_file()), key=str)


def _is_begun(path: UPath) -> bool:
    whole = begun_for(path)
    return whole is not None and whole.suffix in _OURS


def _is_place_of_a_table(path: UPath, folder: UPath) -> bool:
    match path.relative_to(folder).parts:
        case (file,):
            return path.suffix == ".parquet" and file.removesuffix(".parquet") in SCHEMAS
        case (folder_of_passes, _) if folder_of_passes == SET_ASIDE:
            return path.suffix == ".parquet"
        case (table, file):
            return table in SCHEMAS and _LAYER.fullmatch(file) is not None
        case _:
            return False


def _is_checkpoint(path: UPath, folder: UPath) -> bool:
    return path.parent == folder / SET_ASIDE and path.name.endswith(CHECKPOINT) and owner_of(path) is not None


def _is_ours(path: UPath) -> bool:
    """A table by its footer. In its place, one that is damaged is ours, too; another's Parquet file is not."""
    try:
        return read_facts(path).table in SCHEMAS
    except UnreadableTable as error:
        return not isinstance(error.__cause__, KeyError | PermissionError)
    except MissingTable:
        return False


def _as_file(path: UPath) -> File:
    return File(path, path.stat().st_size)
