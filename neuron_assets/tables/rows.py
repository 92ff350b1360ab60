"""Records of the method to rows of tables, and back: the only place that knows both.

Here: the way between. Not here: files (`parquet.py`), what is computed (`method/`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Int

from neuron_assets.method.excerpts import CutCorpus
from neuron_assets.method.records import SPLITS, Exemplars, Kind, NeuronId, NeuronRecord, Split, Tokens
from neuron_assets.method.scoring import DocumentSums
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.schemas import SCHEMAS
from neuron_assets.tables.validation import checked


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """The table `excerpts` as arrays; row is excerpt_index."""

    tokens: Tokens
    document_indices: Int[np.ndarray, " excerpt"]

    def of(self, excerpt_indices: Int[np.ndarray, " excerpt"]) -> Tokens:
        return Tokens(self.tokens.codes[excerpt_indices], self.tokens.strings)


def frame(table: str, columns: dict[str, Any]) -> pl.DataFrame:
    """A frame with the columns of `table` in their order; each value is a sequence, or one value for all rows."""
    types = {name: column.dtype.type for name, column in SCHEMAS[table].to_schema().columns.items()}
    length = max((len(values) for values in columns.values() if _is_many(values)), default=0)
    series = {}
    for name, dtype in types.items():
        values = columns[name]
        if not _is_many(values):
            series[name] = pl.repeat(values, length, dtype=dtype, eager=True)
        elif isinstance(values, np.ndarray) and values.ndim == 2:
            series[name] = pl.Series(name, values).cast(dtype)
        else:
            series[name] = pl.Series(name, values, dtype=dtype, strict=False)
    return pl.DataFrame(series)


def excerpts_frame(
    documents: Sequence[str], cut: CutCorpus, texts: Sequence[str], tokens: Sequence[Sequence[str]]
) -> pl.DataFrame:
    """`documents` are the names that `cut.document_indices` point at; texts and tokens are those of each excerpt."""
    flat = pl.Series(list(chain.from_iterable(tokens)), dtype=pl.String)  # a third of the memory of rows of strings
    return frame(
        "excerpts",
        {
            "excerpt_index": np.arange(len(cut.token_ids), dtype=np.int32),
            "document_index": cut.document_indices,
            "document": [documents[index] for index in cut.document_indices],
            "split": [SPLITS[pool] for pool in cut.pools],
            "text": texts,
            "token_ids": cut.token_ids,
            "tokens": flat.reshape(cut.token_ids.shape).cast(pl.List(pl.String)),
        },
    )


def corpus(excerpts: pl.DataFrame) -> Corpus:
    """The tokens and documents of the table `excerpts`."""
    flat = excerpts["tokens"].explode()
    distinct = flat.unique(maintain_order=True)
    codes = flat.cast(pl.Enum(distinct)).to_physical().to_numpy().reshape(excerpts.height, -1)
    return Corpus(Tokens(codes.astype(np.int32), tuple(distinct)), excerpts["document_index"].to_numpy())


def activations_of(
    activations: StoredTable, split: Split, neuron_indices: Sequence[int], kinds: Sequence[Kind] = ("top", "random")
) -> pl.DataFrame:
    """The rows of these neurons in one pool; raises UnreadableTable or InvalidTable."""
    wanted = (pl.col("split") == split) & pl.col("kind").is_in(kinds)
    wanted &= pl.col("neuron_index").is_in(list(neuron_indices))
    return checked("activations", activations.read(wanted))


def shown_documents(activations: StoredTable, excerpts: pl.DataFrame, neuron_indices: Sequence[int]) -> pl.Series:
    """Of which documents these neurons keep excerpts that may be shown; raises UnreadableTable."""
    wanted = (pl.col("split") == "train") & pl.col("neuron_index").is_in(list(neuron_indices))
    shown = activations.read(wanted, columns=["excerpt_index"]).unique()
    return shown.join(excerpts, on="excerpt_index")["document_index"].unique()


def neuron_records(activations: pl.DataFrame, corpus: Corpus) -> Iterator[NeuronRecord]:
    """The exemplars of each neuron in the rows of one pool, in the order of the rows."""
    for (layer_index, neuron_index), rows in activations.group_by("layer_index", "neuron_index", maintain_order=True):
        excerpt_indices = rows["excerpt_index"].to_numpy()
        yield NeuronRecord(
            NeuronId(_whole(layer_index), _whole(neuron_index)),
            Exemplars(
                tokens=corpus.of(excerpt_indices),
                activations=matrix(rows["activations"]),
                is_top=(rows["kind"] == "top").to_numpy(),
                document_indices=corpus.document_indices[excerpt_indices],
                excerpt_indices=excerpt_indices,
            ),
        )


def matrix(column: pl.Series) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A list column of equal lengths as [row, token] float32."""
    return column.explode().to_numpy().reshape(len(column), -1) if len(column) else np.zeros((0, 0), np.float32)


def sums_as_lists(top: DocumentSums | None, random: DocumentSums) -> list[list[float]]:
    """One list a kind and document: is_top, document_index, and the six sums."""
    strata = ((0.0, random),) if top is None else ((1.0, top), (0.0, random))
    return [
        [is_top, float(document), *sums.tolist()]
        for is_top, of_kind in strata
        for document, sums in zip(of_kind.document_indices, of_kind.sums, strict=True)
    ]


def sums_from_lists(lists: Sequence[Sequence[float]]) -> tuple[DocumentSums, DocumentSums]:
    """Those of the top and of the random excerpts; either may be empty."""
    table = np.asarray(lists, np.float64).reshape(-1, 8)
    top, random = (
        DocumentSums(part[:, 1].astype(np.int64), part[:, 2:])
        for part in (table[table[:, 0] == 1], table[table[:, 0] == 0])
    )
    return top, random


def _is_many(values: object) -> bool:
    return isinstance(values, (list, tuple, np.ndarray, pl.Series))


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value
