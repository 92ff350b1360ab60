"""What asking servers has taken so far, by step, layer and model; only in studies that ask one.

Put here: the asset `spending`, and the way to the ledger of a study. Keep out: writing it down (`books.py`), adding it
up (`language_models/ledger.py`), the plots (`plots.py`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import dagster as dg

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.books import prices_of
from neuron_assets.assets.plots import spending_plot
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import Result, asset_key, hand_over, labels, table_asset
from neuron_assets.language_models.database import Database
from neuron_assets.language_models.ledger import OBSERVATION, Ledger, Spending
from neuron_assets.lineage import tables_of
from neuron_assets.model_sections import HostedSection
from neuron_assets.study import Study
from neuron_assets.tables.rows import frame

MADE_BY_ASKING = ("explanations", "revised_explanations", "meanings", "simulations", "judgements")
"""The tables that questions are asked for, where a model makes them."""
REQUESTS = "requests"
"""Note of `spending`: how many requests the ledger held, without those that only look who answers."""


def asks_a_server(study: Study) -> bool:
    return bool(servers_of(study))


def servers_of(study: Study) -> list[HostedSection]:
    """Whom the study asks behind a server, role by role."""
    models = [study.explainer, study.simulator, *([study.judge] if study.scoring.asks_judge else [])]
    return [model for model in models if isinstance(model, HostedSection)]


def spending_of(study: Study, requests: str) -> list[Spending]:
    """What the study has asked; `requests` is where that is kept. Raises StoreUnusable."""
    database = Database.open(requests)
    try:
        ledger = Ledger(database, prices_of(study))
        ledger.give_late_prices(study.name)
        return ledger.summary(study.name)
    finally:
        database.close()


def n_requests(study: Study, requests: str) -> int:
    """How many requests the study has made so far, without those that only look who answers. Raises StoreUnusable."""
    database = Database.open(requests)
    try:
        return Ledger(database).n_questions(study.name)
    finally:
        database.close()


def spending_assets(study: Study) -> list[dg.AssetsDefinition]:
    """The asset, or none where the study asks no server."""
    return [_spending_asset(study)] if asks_a_server(study) else []


def _spending_asset(study: Study) -> dg.AssetsDefinition:
    made_by_asking = [table for table in MADE_BY_ASKING if table in tables_of(study)]

    @table_asset(study, "spending", also_after=made_by_asking)
    def spending(context: dg.AssetExecutionContext, desk: dg.ResourceParam[RequestDesk]) -> Result:
        tag_run(context, study)
        rows = spending_of(study, desk.store)
        table = frame("spending", {name.name: [getattr(row, name.name) for row in rows] for name in fields(Spending)})
        facts = dict(_totals(rows))
        if rows:
            title = f"{study.name} · {labels(study, 'spending')}"
            facts["by_layer"] = dg.MetadataValue.md(spending_plot(table, title))
        context.add_asset_metadata(facts, asset_key(study, "spending"))
        n_questions = sum(row.requests for row in rows if row.asset != OBSERVATION)
        yield from hand_over(context, study, "spending", table, notes={REQUESTS: str(n_questions)})

    return spending


def _totals(rows: Sequence[Spending]) -> Mapping[str, Any]:
    """Sums over all rows; money that is only a part of what was charged is said to be `at least` so much."""
    sums = ("requests", "answered", "tokens_in", "tokens_out", "tokens_cached", "n_estimated", "n_without_price")
    totals: dict[str, Any] = {name: sum(getattr(row, name) for row in rows) for name in sums}
    moneys = [row.money for row in rows if row.money is not None]
    known = round(math.fsum(moneys), 6)
    if totals["n_without_price"]:
        return totals | {"dollars": f"at least {known:g}" if moneys else "unknown"}
    return totals | {"dollars": known}
