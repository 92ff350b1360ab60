"""The studies of a project and their tables, as the pages read them: anew at each request, and never written.

Here: which study, which file, which rows. Not here: what a page makes of them (`..._page.py`), URLs (`places.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import polars as pl
from upath import UPath

from neuron_assets.errors import ChangedInput, MissingTable, NeuronAssetsError, StudyNotFound
from neuron_assets.method.records import SPLITS, NeuronId
from neuron_assets.project import Project
from neuron_assets.study import Study, read_study
from neuron_assets.tables.declared import as_declared
from neuron_assets.tables.layer_keys import layer_key
from neuron_assets.tables.neuron_rows import excerpt_rows, kept_facts, rows_of
from neuron_assets.tables.parquet import TableFacts, read_table
from neuron_assets.tables.store import TableStore, table_of

DECISIVE = frozenset({"excerpts", "activations", "explanations", "revised_explanations", "meanings"})
"""Tables without whose present rows what was made from them says nothing, or something wrong, of the neurons."""


@dataclass(frozen=True, slots=True)
class OpenStudy:
    """One study, with what is there of its tables."""

    study: Study
    store: TableStore
    requests: str
    """Where answers of language models are kept; see `Project`."""

    @property
    def name(self) -> str:
        return self.study.name

    def key(self, layer_index: int) -> str:
        return layer_key(layer_index, self.study.subject.n_layers)

    def has(self, table: str, layer_index: int | None = None) -> bool:
        return self._path(table, layer_index).exists()

    def facts(self, table: str, layer_index: int | None = None) -> TableFacts | None:
        """What the file says of itself; None where there is none. Raises UnreadableTable."""
        try:
            return kept_facts(self._path(table, layer_index))
        except MissingTable:
            return None

    def check(self, table: str, layer_index: int) -> None:
        """Raises ChangedInput where the texts or activations that the layer's table is of are no longer there.

        What it was made from besides may have been made again: only who puts both together must ask that.
        Raises UnreadableTable too.
        """
        self._check(self._path(table, layer_index))

    def _check(self, path: UPath) -> None:
        for relative, content in kept_facts(path).inputs.items():
            source = self.store.root / relative
            if table_of(relative) in DECISIVE and source.exists():
                if kept_facts(source).content != content:
                    raise ChangedInput(path, source)
                self._check(source)

    def layer(
        self,
        table: str,
        layer_index: int | None = None,
        columns: Sequence[str] | None = None,
        where: pl.Expr | None = None,
    ) -> pl.DataFrame | None:
        """All rows of a layer's table, or of a table without layers, or those where `where` holds; None without one.

        Raises UnreadableTable or ChangedInput.
        """
        path = self._path(table, layer_index)
        try:
            if layer_index is not None:
                self._check(path)
            rows = read_table(path, table, where, columns)
        except MissingTable:
            return None
        return as_declared(path, table, rows, is_whole=columns is None)

    def rows(self, table: str, neuron: NeuronId, columns: Sequence[str] | None = None) -> pl.DataFrame | None:
        """One neuron's rows, in the order of the table; None where its layer has no such table.

        Raises UnreadableTable or ChangedInput.
        """
        return self.rows_where(table, neuron.layer_index, "neuron_index", [neuron.neuron_index], columns)

    def rows_where(
        self,
        table: str,
        layer_index: int,
        key: str,
        values: Sequence[int] | Sequence[str],
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame | None:
        """The rows whose column `key` holds one of the values; None where the layer has no such table.

        Raises UnreadableTable or ChangedInput.
        """
        path = self._path(table, layer_index)
        try:
            self._check(path)
            rows = rows_of(path, table, key, values, columns)
        except MissingTable:
            return None
        return as_declared(path, table, rows, is_whole=columns is None)

    def excerpts(self, excerpt_indices: Sequence[int], columns: Sequence[str]) -> pl.DataFrame:
        """These rows of `excerpts`, ascending; `columns` should hold excerpt_index.

        Raises MissingTable or UnreadableTable.
        """
        path = self._path("excerpts", None)
        return as_declared(path, "excerpts", excerpt_rows(path, excerpt_indices, columns))

    def shown_pools(self) -> tuple[str, ...]:
        """Pools of documents that may be looked at: `test` is one only once the final report has opened it.

        An opening of another cut of the corpus opens nothing.
        """
        excerpts, openings = self.facts("excerpts"), self.layer("openings", columns=["excerpts"])
        was_opened = excerpts is not None and openings is not None and excerpts.content in openings["excerpts"]
        return SPLITS if was_opened else tuple(pool for pool in SPLITS if pool != "test")

    def _path(self, table: str, layer_index: int | None) -> UPath:
        return self.store.path(self.name, table, None if layer_index is None else self.key(layer_index))


@dataclass(frozen=True, slots=True)
class Shelf:
    """All studies of a project."""

    project: Project

    def names(self) -> tuple[str, ...]:
        return tuple(self.project.study_files())

    def study(self, name: str) -> OpenStudy:
        """Raises StudyNotFound, UnreadableStudy or InvalidStudy."""
        files = self.project.study_files()
        if name not in files:
            raise StudyNotFound(name, files)
        return self._opened(files[name])

    def studies(self) -> tuple[tuple[OpenStudy, ...], tuple[str, ...]]:
        """Those that can be read, and what is wrong with the others."""
        good, bad = [], []
        for path in self.project.study_files().values():
            try:
                good.append(self._opened(path))
            except NeuronAssetsError as error:
                bad.append(str(error))
        return tuple(good), tuple(bad)

    def _opened(self, path: Path) -> OpenStudy:
        study = _read(path, path.stat().st_mtime_ns)
        return OpenStudy(study, TableStore.at(self.project.tables), self.project.requests)


@lru_cache(maxsize=64)
def _read(path: Path, _changed_at: int) -> Study:
    return read_study(path)
