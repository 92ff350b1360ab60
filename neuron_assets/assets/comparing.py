"""Several studies of the same neurons, side by side: what the command `compare` and the asset `comparison` share.

Put here: both sides of it, and what they cost. Keep out: which studies may be compared (`comparable.py`), the rows
(`tables/compared.py`), Dagster (`comparison.py`).
"""

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial

import polars as pl

from neuron_assets.assets.spending import asks_a_server, spending_of
from neuron_assets.comparable import Standing, refuse_other_content, refuse_others, standing
from neuron_assets.errors import NothingScored
from neuron_assets.language_models.ledger import OBSERVATION, Spending
from neuron_assets.study import Study
from neuron_assets.tables.compared import Cost, Draws, Side, comparison_frame, values_of
from neuron_assets.tables.explained import of_chosen
from neuron_assets.tables.parquet import read_table
from neuron_assets.tables.schemas import empty
from neuron_assets.tables.store import TableStore


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
    own, *theirs = (standing(study, store, layers) for study in studies)
    for other, tables in zip(others, theirs, strict=True):
        refuse_other_content(baseline, other, own, tables)
    first, *rest = (_side(study, tables, requests) for study, tables in zip(studies, [own, *theirs], strict=True))
    if first.values.is_empty():
        raise NothingScored(baseline.name)
    return comparison_frame(first, rest, Draws(baseline.scoring.seed, baseline.scoring.draws))


def contents(studies: Sequence[Study], store: TableStore) -> str:
    """A digest of all tables that a comparison of these studies is made from, as they stand now."""
    told = [f"{store.name(each.path)} {each.facts.content}" for study in studies for each in standing(study, store)]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _side(study: Study, tables: Sequence[Standing], requests: str) -> Side:
    scores, metrics = (
        pl.concat([empty(table), *(read_table(each.path, table) for each in tables if each.table == table)])
        for table in ("scores", "metrics")
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
