"""Several studies of the same neurons, side by side: what the command `compare` and the asset `comparison` share.

Put here: which studies may be compared, which of their tables stand, and what they cost. Keep out: the rows
(`tables/compared.py`), Dagster (`comparison.py`).
"""

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl
from upath import UPath

from neuron_assets.assets.partitions import layer_key
from neuron_assets.assets.spending import asks_a_server, spending_of
from neuron_assets.errors import NotComparable, NothingScored, TableError, UnreadableTable
from neuron_assets.language_models.ledger import OBSERVATION, Spending
from neuron_assets.lineage import differing_fields, lineages, tables_of
from neuron_assets.study import Study
from neuron_assets.tables.compared import Cost, Draws, Side, comparison_frame, values_of
from neuron_assets.tables.explained import of_chosen
from neuron_assets.tables.parquet import TableFacts, read_table
from neuron_assets.tables.schemas import empty
from neuron_assets.tables.store import TableStore, table_of

_TABLES = ("scores", "metrics")
_SHARED = ("excerpts", "activations")


@dataclass(frozen=True, slots=True)
class _Standing:
    """A table of one layer that is there and still stands."""

    layer_index: int
    table: str
    path: UPath
    facts: TableFacts


def compared(
    studies: Sequence[Study], store: TableStore, requests: str, layers: Collection[int] | None = None
) -> pl.DataFrame:
    """The table `comparison` of the first study, the baseline, and each other one; `layers`: all that either has.

    `requests` is where the ledger is kept. What is outdated counts as missing. Raises NotComparable, NothingScored
    where the baseline has no scores, UnreadableTable, StoreUnusable.
    """
    baseline, *others = studies
    for other in others:
        refuse_others(baseline, other)
    own, *theirs = (_standing(study, store, layers) for study in studies)
    for other, tables in zip(others, theirs, strict=True):
        _refuse_other_content(baseline, other, own, tables)
    first, *rest = (_side(study, tables, requests) for study, tables in zip(studies, [own, *theirs], strict=True))
    if first.values.is_empty():
        raise NothingScored(baseline.name)
    return comparison_frame(first, rest, Draws(baseline.scoring.seed, baseline.scoring.draws))


def contents(studies: Sequence[Study], store: TableStore) -> str:
    """A digest of all tables that a comparison of these studies is made from, as they stand now."""
    told = [f"{store.name(each.path)} {each.facts.content}" for study in studies for each in _standing(study, store)]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def refuse_others(baseline: Study, other: Study) -> None:
    """Raises NotComparable, with the fields that differ, where they do not score the same on the same excerpts."""
    differences = differing_fields(baseline, other, "activations")
    first, second = _measures(baseline), _measures(other)
    differences += [
        f"{field}: {first[field]} and {second[field]}"
        for field in first
        if second.get(field, first[field]) != first[field]
    ]
    if differences:
        mend = "Give them the same, or compare others. What may differ: explainer, simulator, revision, controls."
        raise NotComparable(baseline.name, other.name, differences, mend)


def _measures(study: Study) -> Mapping[str, object]:
    """On which excerpts is scored, and how; of what it does not ask for, a study may say what it likes."""
    scoring = study.scoring
    return {
        **{f"scoring.{name}": getattr(scoring, name) for name in ("top", "random")},
        **({"scoring.calibration": scoring.calibration} if scoring.calibrates else {}),
        **({"judging": study.judging} if scoring.judged else {}),
        **({"judge": study.judge_identity} if scoring.asks_judge else {}),
        **({"encoder": study.encoder} if scoring.embeds else {}),
    }


def _refuse_other_content(baseline: Study, other: Study, own: Sequence[_Standing], theirs: Sequence[_Standing]) -> None:
    """Equal fields may still be of another text: a file that has changed, a folder of the same name elsewhere."""
    first, second = (
        {(each.layer_index, table_of(path)): content for each in tables for path, content in each.facts.inputs.items()}
        for tables in (own, theirs)
    )
    differences = [
        f"the content of `{table}` that the scores of layer {layer} are made from"
        for layer, table in sorted(first.keys() & second.keys())
        if table in _SHARED and first[layer, table] != second[layer, table]
    ]
    if differences:
        mend = "Is it the same corpus? If so, materialize the older of them again, on the same machine as the other."
        raise NotComparable(baseline.name, other.name, differences, mend)


def _standing(study: Study, store: TableStore, layers: Collection[int] | None = None) -> list[_Standing]:
    return list(_each_standing(study, store, study.layer_indices if layers is None else layers))


def _each_standing(study: Study, store: TableStore, layers: Collection[int]) -> Iterator[_Standing]:
    for layer_index in sorted(layers):
        for table in _TABLES:
            path = store.path(study.name, table, layer_key(layer_index, study.subject.n_layers))
            if table in tables_of(study) and path.exists():
                try:
                    facts = store.current_facts(path, lineages(study)[table])
                except UnreadableTable:
                    raise  # one that is damaged is not one that is missing
                except TableError:
                    continue
                yield _Standing(layer_index, table, path, facts)


def _side(study: Study, standing: Sequence[_Standing], requests: str) -> Side:
    scores, metrics = (
        pl.concat([empty(table), *(read_table(each.path, table) for each in standing if each.table == table)])
        for table in _TABLES
    )
    own = of_chosen(scores)
    n_neurons = Counter(own.select("layer_index", "neuron_index").unique()["layer_index"].to_list())
    return Side(
        study.name,
        " + ".join(own["explainer"].unique().sort()) or study.explainer_identity,
        " + ".join(own["simulator"].unique().sort()) or study.simulator_identity,
        n_neurons.keys(),
        values_of(scores, metrics),
        partial(_cost, spending_of(study, requests) if asks_a_server(study) else None, n_neurons),
    )


def _cost(spending: Sequence[Spending] | None, n_neurons: Mapping[int, int], layers: Collection[int]) -> Cost:
    """Of all that was ever asked for these layers, by the neurons that are explained there; None: it asks no server."""
    if spending is None:
        return Cost(0.0)
    scored = [layer for layer in layers if n_neurons.get(layer)]
    rows = [row for row in spending if row.layer_index in scored and row.asset != OBSERVATION]
    if not scored:
        return Cost(None, "no neuron is scored")
    if sum(row.answered + row.unreadable for row in rows) == 0:
        return Cost(None, "its ledger has no answer for these layers: others asked, and the request store had them all")
    if n_unknown := sum(row.n_without_price for row in rows):
        return Cost(None, f"{n_unknown} requests have no known price")
    moneys = [row.money for row in rows if row.money is not None]
    return Cost(math.fsum(moneys) / sum(n_neurons[layer] for layer in scored))
