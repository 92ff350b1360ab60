"""The step from documents to excerpts.

Put here: the asset `excerpts`. Keep out: how documents are cut (`method/excerpts.py`) and read (`corpora/`).
https://docs.dagster.io/guides/build/assets/defining-assets
"""

import platform
from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl
from jaxtyping import Int

from neuron_assets.assets.checks import one_pool_each
from neuron_assets.assets.corpus_reading import Hears, reading_facts
from neuron_assets.assets.observing import seen_by_step
from neuron_assets.assets.opening import files_state, open_documents
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import DOCUMENTS, FILES, Result, asset_key, hand_over, table_asset
from neuron_assets.assets.subject_model import subject_version
from neuron_assets.corpora.reading import Reading
from neuron_assets.method.excerpts import cut_excerpts
from neuron_assets.method.records import Document
from neuron_assets.study import Study
from neuron_assets.subject_files import TOKENIZER_FILES, noted, tokenizer_files
from neuron_assets.subject_opening import open_pieces
from neuron_assets.tables.rows import excerpts_frame

if TYPE_CHECKING:
    from neuron_assets.subjects.pieces import Pieces


def excerpts_asset(study: Study) -> dg.AssetsDefinition:
    @table_asset(study, "excerpts", also_after=["corpus", "subject_model"], policy=dg.BackfillPolicy.single_run())
    def excerpts(context: dg.AssetExecutionContext, reading: dg.ResourceParam[Hears]) -> Result:
        tag_run(context, study)
        state, documents = files_state(study), open_documents(study, reading(context.log))
        pieces = open_pieces(study)
        names, ids = _tokenized(documents, pieces)
        cut = cut_excerpts(names, ids, study.cut_plan, documents.source)
        strings = [pieces.token_strings(row.tolist()) for row in cut.token_ids]
        texts = [pieces.text(row.tolist()) for row in cut.token_ids]
        frame = excerpts_frame(names, cut, texts, strings)
        seen_by_step(context, asset_key(study, "corpus"), documents.version)
        seen_by_step(context, asset_key(study, "subject_model"), subject_version(study))
        facts = _facts(frame) | reading_facts(documents) | ({FILES: state} if state else {})
        context.add_asset_metadata(facts, asset_key(study, "excerpts"))
        yield from hand_over(
            context, study, "excerpts", frame, lambda rows: [one_pool_each(rows)], notes=_notes(study, documents)
        )

    return excerpts


def _tokenized(documents: Iterable[Document], pieces: "Pieces") -> tuple[list[str], list[Int[np.ndarray, " token"]]]:
    """Names and token ids; texts are not kept."""
    names, ids = list[str](), list[Int[np.ndarray, " token"]]()
    for document in documents:
        names.append(document.name)
        ids.append(np.asarray(pieces.tokenize(document.text), np.int32))
    return names, ids


def _notes(study: Study, documents: Reading) -> dict[str, str]:
    """What tells whether the corpus has changed since; the bundled one is a part of Python, so its version too."""
    python = {"python": platform.python_version()} if study.corpus.provider == "standard_library" else {}
    files = noted({TOKENIZER_FILES: tokenizer_files(study)})
    return {DOCUMENTS: documents.version} | files | python


def _facts(frame: pl.DataFrame) -> dict[str, dg.MetadataValue | int | str]:
    by_split = (
        frame.group_by("split").agg(excerpts=pl.len(), documents=pl.col("document_index").n_unique()).sort("split")
    )
    rows = [f"| {row['split']} | {row['excerpts']} | {row['documents']} |" for row in by_split.to_dicts()]
    return {
        "pools": dg.MetadataValue.md("\n".join(["| pool | excerpts | documents |", "|---|---|---|", *rows])),
        "documents": frame["document_index"].n_unique(),
        "tokens": int(frame["token_ids"].list.len().sum()),
        "python": platform.python_version(),
    }
