"""Revisions as rows of the tables `counterexamples` and `revised_explanations`.

Here: the way from rounds to rows. Not here: how anything is revised (`method/rules/revising.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from neuron_assets.method.mistakes import Mistake
from neuron_assets.method.records import Answer, NeuronRecord
from neuron_assets.tables.rows import frame
from neuron_assets.tables.schemas import empty


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """One neuron's explanation, revised once more."""

    looked_at: NeuronRecord
    """What the explanation was held against."""
    number: int
    """From 1."""
    parent: int
    """The candidate that was revised."""
    revised: Answer[str]
    mistakes: Sequence[Mistake]
    """Rows of the record, the costliest first."""
    failure: str | None = None
    """Why there are none."""


def counterexamples_frame(rounds: Sequence[Round]) -> pl.DataFrame:
    """One row a mistake; one for a round without any, that says why."""
    return _framed("counterexamples", [row for each in rounds for row in _counterexamples(each)])


def revised_frame(explainer: str, rounds: Sequence[Round]) -> pl.DataFrame:
    """One row a round."""
    rows = [
        {
            **_keys(each),
            "parent": each.parent,
            "explainer": explainer,
            "explanation": each.revised.value,
            "failure": each.revised.failure,
        }
        for each in rounds
    ]
    return _framed("revised_explanations", rows)


def _counterexamples(each: Round) -> Iterator[dict[str, Any]]:
    exemplars = each.looked_at.exemplars
    if not each.mistakes:
        nothing = dict.fromkeys(("excerpt_index", "tokens", "activations", "token", "fault", "cost"))
        yield {**_keys(each), "number": 0, "source": "corpus", **nothing, "failure": each.failure}
    for number, mistake in enumerate(each.mistakes):
        yield {
            **_keys(each),
            "number": number,
            "source": "corpus",
            "excerpt_index": int(exemplars.excerpt_indices[mistake.row]),
            "tokens": [exemplars.tokens.strings[code] for code in exemplars.tokens.codes[mistake.row].tolist()],
            "activations": exemplars.activations[mistake.row].tolist(),
            "token": mistake.token,
            "fault": mistake.fault,
            "cost": mistake.cost,
            "failure": None,
        }


def _keys(each: Round) -> dict[str, int]:
    neuron = each.looked_at.neuron
    return {"layer_index": neuron.layer_index, "neuron_index": neuron.neuron_index, "round": each.number}


def _framed(table: str, rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    return frame(table, {name: [row[name] for row in rows] for name in rows[0]}) if rows else empty(table)
