"""Revisions as rows of the tables `counterexamples` and `revised_explanations`.

Here: the way from rounds to rows. Not here: how anything is revised (`method/rules/revising.py`, `method/revising/`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from neuron_assets.method.mistakes import Fault, Mistake
from neuron_assets.method.records import Answer, Exemplars, NeuronId
from neuron_assets.method.revising.measured import Counterexample
from neuron_assets.method.revising.sentences import ProposedSentence
from neuron_assets.tables.rows import frame
from neuron_assets.tables.schemas import empty

Source = Literal["corpus", "explainer"]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """An excerpt of the corpus on which an explanation goes wrong."""

    exemplars: Exemplars
    mistake: Mistake
    """One of their rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """A text that the explainer wrote to test an explanation, and what the neuron did on it."""

    sentence: ProposedSentence
    measured: Answer[Counterexample]


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """One neuron's explanation, revised once more."""

    neuron: NeuronId
    number: int
    """From 1."""
    parent: int
    """The candidate that was revised."""
    revised: Answer[str]
    source: Source
    counterexamples: Sequence[Found | Written]
    failure: str | None = None
    """Why there are none."""


def counterexamples_frame(rounds: Sequence[Round]) -> pl.DataFrame:
    """One row a counterexample; one for a round without any, that says why."""
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


_NOTHING = dict.fromkeys(
    (
        *("excerpt_index", "sentence", "should_fire", "tokens", "activations", "peak"),
        *("token", "fault", "cost", "failure"),
    )
)


def _counterexamples(each: Round) -> Iterator[dict[str, Any]]:
    if not each.counterexamples:
        yield {**_keys(each), "number": 0, "source": each.source, **_NOTHING, "failure": each.failure}
    for number, one in enumerate(each.counterexamples):
        told = _found(one) if isinstance(one, Found) else _written(one)
        yield {**_keys(each), "number": number, "source": each.source, **_NOTHING, **told}


def _found(one: Found) -> dict[str, Any]:
    exemplars, mistake = one.exemplars, one.mistake
    return {
        "excerpt_index": int(exemplars.excerpt_indices[mistake.row]),
        "tokens": [exemplars.tokens.strings[code] for code in exemplars.tokens.codes[mistake.row].tolist()],
        "activations": exemplars.activations[mistake.row].tolist(),
        "peak": float(exemplars.activations[mistake.row].max()),
        "token": mistake.token,
        "fault": mistake.fault,
        "cost": mistake.cost,
    }


def _written(one: Written) -> dict[str, Any]:
    told = {"sentence": one.sentence.text, "should_fire": one.sentence.should_fire, "failure": one.measured.failure}
    if one.measured.value is None:
        return told
    measured = one.measured.value
    return told | {
        "tokens": list(measured.tokens),
        "activations": measured.activations.tolist(),
        "peak": float(measured.activations.max()),
        "fault": _fault(measured),
    }


def _fault(measured: Counterexample) -> Fault | None:
    """What the explanation says wrongly."""
    if measured.as_expected:
        return None
    return "fires" if measured.should_fire else "silent"


def _keys(each: Round) -> dict[str, int]:
    neuron = each.neuron
    return {"layer_index": neuron.layer_index, "neuron_index": neuron.neuron_index, "round": each.number}


def _framed(table: str, rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    return frame(table, {name: [row[name] for row in rows] for name in rows[0]}) if rows else empty(table)
