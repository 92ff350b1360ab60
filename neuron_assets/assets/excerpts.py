"""The step from documents to excerpts.

Put here: the asset `excerpts`. Keep out: how documents are cut (`method/excerpts.py`) and read (`corpora/`).
https://docs.dagster.io/guides/build/assets/defining-assets
"""

import platform
from collections.abc import Sequence

import dagster as dg
import polars as pl

from neuron_assets.assets.checks import one_pool_each
from neuron_assets.assets.observing import seen_by_step
from neuron_assets.assets.opening import open_documents, open_pieces
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import DOCUMENTS, Result, asset_key, hand_over, table_asset
from neuron_assets.assets.subject_model import TOKENIZER_FILES, noted, subject_version, tokenizer_files
from neuron_assets.corpora.documents import documents_digest
from neuron_assets.method.excerpts import cut_excerpts
from neuron_assets.method.records import Document
from neuron_assets.study import Study
from neuron_assets.tables.rows import excerpts_frame


def excerpts_asset(study: Study) -> dg.AssetsDefinition:
    @table_asset(study, "excerpts", also_after=["corpus", "subject_model"], policy=dg.BackfillPolicy.single_run())
    def excerpts(context: dg.AssetExecutionContext) -> Result:
        tag_run(context, study)
        documents = open_documents(study)
        subject = open_pieces(study)
        ids = [subject.tokenize(document.text) for document in documents]
        source = study.corpus.folder or study.corpus.provider
        cut = cut_excerpts([document.name for document in documents], ids, study.cut_plan, source)
        strings = [subject.token_strings(row.tolist()) for row in cut.token_ids]
        texts = [subject.text(row.tolist()) for row in cut.token_ids]
        frame = excerpts_frame([document.name for document in documents], cut, texts, strings)
        seen_by_step(context, asset_key(study, "corpus"), documents_digest(documents))
        seen_by_step(context, asset_key(study, "subject_model"), subject_version(study))
        context.add_asset_metadata(_facts(frame), asset_key(study, "excerpts"))
        yield from hand_over(
            context, study, "excerpts", frame, lambda rows: [one_pool_each(rows)], notes=_notes(study, documents)
        )

    return excerpts


def _notes(study: Study, documents: Sequence[Document]) -> dict[str, str]:
    """What tells whether the corpus has changed since; the bundled one is a part of Python, so its version too."""
    python = {"python": platform.python_version()} if study.corpus.provider == "standard_library" else {}
    files = noted({TOKENIZER_FILES: tokenizer_files(study)})
    return {DOCUMENTS: documents_digest(documents)} | files | python


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
