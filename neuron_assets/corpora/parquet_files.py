"""Parquet as a corpus: each row has the text in a column.

Here: a row to a document; a file is read in batches. Not here: finding and opening files (`files.py`).
"""

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from neuron_assets.corpora.documents import Fields, Row, row_of_fields
from neuron_assets.corpora.files import CorpusFile
from neuron_assets.errors import MissingField

_BATCH = 1000
"""Rows that are in memory at once, beside what a row group takes to be unpacked."""


def parquet_rows(files: Iterable[CorpusFile], fields: Fields) -> Iterator[Row]:
    """Each row, by its number from 1 on in its file; raises MissingCorpus, UnreadableCorpus or MissingField."""
    for file in files:
        with file.opened() as opened:
            parquet = pq.ParquetFile(opened)
            columns = [field for field in (fields.text, fields.name) if field is not None]
            for column in columns:
                if column not in parquet.schema_arrow.names:
                    raise MissingField(file.path, column, parquet.schema_arrow.names)
            number = 0
            for batch in parquet.iter_batches(_BATCH, columns=columns):
                for values in zip(*(_values(batch.column(column)) for column in columns), strict=True):
                    number += 1
                    yield row_of_fields(dict(zip(columns, values, strict=True)), fields, f"{file.name}:{number}")


def _values(column: Any) -> list[Any]:
    """Texts as their bytes: one that is no UTF-8 is a bad row, and does not spoil its batch."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.cast(pa.large_binary())
    values: list[Any] = column.to_pylist()
    return values
