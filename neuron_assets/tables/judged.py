"""Judgements as rows of the table `judgements`, and back.

Here: the way between. Not here: who judges (`assets/judges.py`), what is made of it (`method/judging/`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from neuron_assets.method.judging.cases import Cases
from neuron_assets.method.judging.choosing import STRATA
from neuron_assets.method.judging.metrics import Judgements
from neuron_assets.method.records import Answer, NeuronId
from neuron_assets.tables.rows import Corpus, frame


def judgements_frame(
    judge: str, cases: Cases, candidate: int, explanation: str | None, answers: Sequence[Answer[float]]
) -> pl.DataFrame:
    """One row an excerpt, of which there is one answer each, in the order of asking."""
    neuron, failures = cases.record.neuron, [answer.failure for answer in answers]
    columns: dict[str, Any] = {
        "layer_index": neuron.layer_index,
        "neuron_index": neuron.neuron_index,
        "candidate": candidate,
        "scorer": cases.scorer,
        "excerpt_index": cases.record.exemplars.excerpt_indices.astype(np.int32),
        "stratum": pl.Series([STRATA[stratum] for stratum in cases.strata.tolist()], dtype=pl.String),
        "marked": pl.Series([np.flatnonzero(row).tolist() for row in cases.marked], dtype=pl.List(pl.Int32)),
        "judge": judge,
        "explanation": pl.Series([explanation] * len(answers), dtype=pl.String),
        "probability": pl.Series([answer.value for answer in answers], dtype=pl.Float64),
        "failure": pl.Series(failures, dtype=pl.String),
    }
    return frame("judgements", columns)


def judgements_of(neuron: NeuronId, rows: pl.DataFrame, corpus: Corpus) -> Judgements:
    """What was said of one candidate by one scorer; the rows may be none."""
    return Judgements(
        neuron=neuron,
        probabilities=rows["probability"].cast(pl.Float64).fill_null(np.nan).to_numpy(),
        strata=rows["stratum"].replace_strict(list(STRATA), range(len(STRATA)), return_dtype=pl.Int64).to_numpy(),
        document_indices=corpus.document_indices[rows["excerpt_index"].to_numpy()],
    )
