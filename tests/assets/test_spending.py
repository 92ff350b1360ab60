"""What asking has taken, as a table and a picture."""

import base64
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from neuron_assets.assets.specs import asset_key
from neuron_assets.assets.study_component import build_study, table_resources
from neuron_assets.language_models.database import Database
from neuron_assets.language_models.ledger import Entry, Ledger, Outcome
from neuron_assets.language_models.model import Usage
from neuron_assets.language_models.prices import Price
from neuron_assets.project import Project
from neuron_assets.study import Study
from tests.polite_server import asking
from tests.scenario import make_project

PRICES = {"dear-1": Price(tokens_in=1.0, tokens_out=10.0)}


def entry(layer: int | None, model: str = "dear-1", *, outcome: Outcome = "answered", seconds: float = 1.0) -> Entry:
    usage = Usage() if outcome in {"refused", "retried"} else Usage(1_000_000, 100_000, 250_000)
    return Entry("tiny", "simulations", layer, model, seconds, outcome, usage)


def spending(root: Path, *entries: Entry) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The table and its metadata, made after these requests."""
    project, study = make_project(root, **asking("http://127.0.0.1:9/v1"))
    database = Database.open(project.requests)
    for each in entries:
        Ledger(database, PRICES).record(each)
    database.close()
    return materialized(project, study)


def materialized(project: Project, study: Study) -> tuple[pl.DataFrame, dict[str, Any]]:
    key = asset_key(study, "spending")
    assets: Any = build_study(study).assets
    resources: Any = table_resources(project.tables, project.requests)
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize(assets, selection=dg.AssetSelection.assets(key), instance=instance, resources=resources)
        event = instance.get_latest_materialization_event(key)
    assert event is not None
    assert event.asset_materialization is not None
    metadata = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    return pl.read_parquet(f"{project.tables}/tiny/spending.parquet"), metadata


def test_it_adds_up_by_step_layer_and_model(tmp_path: Path) -> None:
    table, metadata = spending(
        tmp_path,
        entry(0, seconds=1.0),
        entry(0, seconds=3.0),
        entry(0, outcome="unreadable", seconds=2.0),
        entry(0, outcome="retried"),
        entry(1, outcome="refused"),
        entry(1, "free-of-list"),
    )
    columns = ("layer_index", "model", "requests", "answered", "tokens_in", "cached_share", "money", "median_seconds")

    assert table.select(columns).rows() == [
        (0, "dear-1", 4, 2, 3_000_000, 0.25, 6.0, 2.0),
        (1, "dear-1", 1, 0, 0, None, 0.0, None),
        (1, "free-of-list", 1, 1, 1_000_000, 0.25, None, 1.0),
    ]
    told = [metadata[name] for name in ("requests", "tokens_out", "dollars", "n_without_price", "n_estimated")]
    assert told == [6, 400_000, "at least 6", 1, 0]


def test_money_is_a_number_where_every_price_is_known(tmp_path: Path) -> None:
    assert spending(tmp_path, entry(0), entry(1, outcome="refused"))[1]["dollars"] == 2.0


@pytest.mark.parametrize(
    "entries",
    [
        [entry(layer, model) for layer in (0, 1, 2) for model in ("dear-1", "free-of-list")],
        [entry(0, "free-of-list")],
        [entry(3, outcome="refused")],
        [entry(None)],
    ],
    ids=["two models", "no price", "no answer", "no layer"],
)
def test_there_is_a_picture_of_whatever_was_asked(tmp_path: Path, entries: list[Entry]) -> None:
    _, metadata = spending(tmp_path, *entries)
    head, _, content = metadata["by_layer"].partition("base64,")

    assert head == "![](data:image/png;"
    assert base64.b64decode(content.removesuffix(")")).startswith(b"\x89PNG")


def test_money_is_unknown_where_no_price_is_known(tmp_path: Path) -> None:
    assert spending(tmp_path, entry(0, "free-of-list"))[1]["dollars"] == "unknown"


def test_nothing_asked_is_an_empty_table(tmp_path: Path) -> None:
    table, metadata = spending(tmp_path)

    assert table.is_empty()
    assert (metadata["requests"], metadata["dollars"]) == (0, 0)
    assert "by_layer" not in metadata


def test_only_a_study_that_asks_a_server_has_it(tmp_path: Path) -> None:
    hosted = asking("http://127.0.0.1:9/v1")
    has_it = {}
    for roles in ((), ("explainer",), ("simulator",)):
        _, study = make_project(tmp_path, **{role: hosted[role] for role in roles})
        assets: Any = build_study(study).assets
        has_it[roles] = any(asset_key(study, "spending") in asset.keys for asset in assets)

    assert has_it == {(): False, ("explainer",): True, ("simulator",): True}
