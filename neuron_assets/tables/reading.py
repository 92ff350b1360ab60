"""One neuron gathered from the tables, for people to look at.

Here: reading. Not here: how it is shown (`terminal.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from neuron_assets.method.records import NeuronId, Split
from neuron_assets.method.samples import SAMPLES
from neuron_assets.tables.explained import of_chosen
from neuron_assets.tables.parquet import read_facts, read_table
from neuron_assets.tables.store import TableStore

NOT_EXPLAINED = (
    "not explained yet; explain the whole layer with: neuron-assets materialize STUDY --layers N --neurons all"
)


@dataclass(frozen=True, slots=True)
class SeenExcerpt:
    """One excerpt as one neuron saw it, with what was expected of it, if it was simulated."""

    split: str
    kind: str
    document: str
    tokens: tuple[str, ...]
    activations: tuple[float, ...]
    simulated: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class SeenNeuron:
    """What the tables say of one neuron. Without an explanation the neuron was harvested only."""

    neuron: NeuronId
    candidate: int
    """Which of its candidates is shown: the one that stands for it, or the first."""
    explainer: str
    explanation: str | None
    failure: str | None
    scores: tuple[Mapping[str, Any], ...]
    excerpts: tuple[SeenExcerpt, ...]
    pushes_up: tuple[str, ...] = ()
    """Tokens, strongest first; none where that was not looked at, or where the unit pushes nothing."""
    pushes_down: tuple[str, ...] = ()


def see_neuron(store: TableStore, study: str, key: str, neuron: NeuronId, split: Split = "valid") -> SeenNeuron:
    """Reads one neuron's rows; raises MissingTable where its layer was not harvested."""
    of_neuron = pl.col("neuron_index") == neuron.neuron_index
    scores = _rows(store, study, "scores", key, of_neuron & pl.col("sample").is_in(SAMPLES))
    stands = 0 if scores is None else max(scores.filter("chosen")["candidate"], default=0)
    candidates = _rows(store, study, "candidates", key, of_neuron & (pl.col("candidate") == stands))
    statistics = _rows(store, study, "neuron_statistics", key, of_neuron)
    pushes = [] if statistics is None else statistics.select("pushes_up", "pushes_down").to_dicts()
    up, down = (tuple(pushes[0][way] or ()) if pushes else () for way in ("pushes_up", "pushes_down"))
    shown = candidates.row(0, named=True) if candidates is not None and candidates.height else None
    return SeenNeuron(
        neuron=neuron,
        candidate=stands,
        explainer=shown["explainer"] if shown else "none",
        explanation=shown["explanation"] if shown else None,
        failure=shown["failure"] if shown else NOT_EXPLAINED,
        scores=tuple(() if scores is None else scores.drop("document_sums").to_dicts()),
        excerpts=_excerpts(store, study, key, neuron, split, stands),
        pushes_up=up,
        pushes_down=down,
    )


def _excerpts(  # noqa: PLR0913, PLR0917  # where, and of what
    store: TableStore, study: str, key: str, neuron: NeuronId, split: Split, candidate: int
) -> tuple[SeenExcerpt, ...]:
    of_neuron = pl.col("neuron_index") == neuron.neuron_index
    path = store.path(study, "activations", key)
    rows = read_table(path, "activations", of_neuron & (pl.col("split") == split) & (pl.col("kind") != "natural"))
    texts = read_table(store.path(study, "excerpts"), "excerpts").select("excerpt_index", "document", "tokens")
    rows = rows.join(texts, on="excerpt_index", maintain_order="left")
    simulations = _rows(store, study, "simulations", key, of_neuron & (pl.col("candidate") == candidate))
    expected = {} if simulations is None else dict(simulations.select("excerpt_index", "simulated").iter_rows())
    found = []
    for row in rows.to_dicts():
        simulated = expected.get(row["excerpt_index"])
        found.append(
            SeenExcerpt(
                row["split"],
                row["kind"],
                row["document"],
                tuple(row["tokens"]),
                tuple(row["activations"]),
                None if simulated is None else tuple(simulated),
            )
        )
    return tuple(found)


def best_neurons(store: TableStore, study: str, keys: list[str], n: int) -> list[NeuronId]:
    """The neurons of highest top-and-random score of these layers, the highest first."""
    judged = pl.col("sample") == "top_and_random"
    tables = [_rows(store, study, "scores", key, judged) for key in keys]
    columns = ("layer_index", "neuron_index", "ev_correlation")
    rows = [of_chosen(table).select(columns).drop_nulls() for table in tables if table is not None]
    if not rows:
        return []
    best = pl.concat(rows).sort("ev_correlation", descending=True, maintain_order=True).head(n)
    return [NeuronId(layer, neuron) for layer, neuron in best.select("layer_index", "neuron_index").iter_rows()]


def of_layers(store: TableStore, study: str, table: str, keys: list[str]) -> pl.DataFrame | None:
    """The table of those of these layers that have it; None where none has."""
    tables = [_rows(store, study, table, key, pl.lit(True)) for key in keys]  # noqa: FBT003  # a literal of polars
    there = [table for table in tables if table is not None]
    return pl.concat(there) if there else None


def comparable_summary(store: TableStore, study: str, other: str | None) -> pl.DataFrame | None:
    """The other study's `layer_summary`, if it is over the same excerpts and as many neurons a layer; or None."""
    if other is None or not store.path(other, "layer_summary").exists():
        return None
    own, theirs = (read_table(store.path(name, "layer_summary"), "layer_summary") for name in (study, other))
    same_text = corpus_facts(store, study)["content"] == corpus_facts(store, other)["content"]
    n_neurons = [dict(each.select("layer_index", "n_neurons").iter_rows()) for each in (own, theirs)]
    same_neurons = all(n_neurons[1].get(layer) == n for layer, n in n_neurons[0].items())
    return theirs if same_text and same_neurons else None


def corpus_facts(store: TableStore, study: str) -> Mapping[str, str]:
    """What is to stand beside every printed figure: the corpus's content hash and the Python it was read from."""
    facts = read_facts(store.path(study, "excerpts"))
    return {"content": facts.content, **facts.notes}


def _rows(store: TableStore, study: str, table: str, key: str, where: pl.Expr) -> pl.DataFrame | None:
    path = store.path(study, table, key)
    return read_table(path, table, where) if path.exists() else None
