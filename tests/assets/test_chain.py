"""The whole chain through Dagster, on the small world: one pass, rows by layer, and checks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from neuron_assets.assets.checks import CHECKS, OF_TABLE
from neuron_assets.assets.specs import asset_key
from neuron_assets.assets.study_component import build_study
from neuron_assets.errors import TooFewExcerpts
from neuron_assets.lineage import inputs_of
from neuron_assets.method.controls import SHUFFLED_CONTROL
from neuron_assets.tables.parquet import read_facts
from neuron_assets.tables.store import TableStore
from tests.assets.chain_world import World, made_in, make, metadata, opened, read
from tests.scenario import make_project

pytestmark = pytest.mark.slow

BLOCKING = {name for name, check in CHECKS.items() if check.blocking}
IN_PLACES_OF_THEIR_OWN = {
    "sample",
    "best_and_worst",
    "made_by",
    "run_of_the_pass",
    "dagster/column_schema",
    "dagster/column_lineage",
    "dagster/code_references",
}
"""Metadata that the UI shows in a dialog, or elsewhere on the page, or not at all."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The chain as it was made; tests only read it."""
    with opened(made_in(tmp_path_factory.mktemp("world"))) as world:
        yield world


def test_a_range_of_layers_is_one_forward_pass(world: World) -> None:
    for layer in ("L01", "L02", "L03"):
        found = metadata(world[2], world[1], "activations", layer)

        assert (found["forward_passes"], found["layers_of_the_pass"]) == (1, 3)
        assert found["tokens"] == read(world, "excerpts").height * 16


def test_every_neuron_keeps_what_the_study_asks_for(world: World) -> None:
    counts = read(world, "activations", "L02").group_by("neuron_index", "split", "kind").len()
    expected = {
        (split, kind, n)
        for split, n_top, n_random in (("train", 5, 6), ("calibration", 2, 2), ("valid", 5, 6), ("test", 2, 2))
        for kind, n in (("top", n_top), ("random", n_random))
    } | {("valid", "natural", 8)}

    assert counts.height == 768 * 9
    assert expected == set(counts.select("split", "kind", "len").iter_rows())


def test_no_document_is_both_shown_and_scored(world: World) -> None:
    excerpts = read(world, "excerpts").select("excerpt_index", "document_index", pool="split")
    rows = read(world, "activations", "L02").join(excerpts, on="excerpt_index")
    documents = {split: set(part["document_index"]) for (split,), part in rows.group_by("split")}

    assert rows.filter(pl.col("split") != pl.col("pool")).is_empty()
    assert not any(documents[a] & documents[b] for a in documents for b in documents if a != b)
    simulated = read(world, "simulations", "L02").join(excerpts, on="excerpt_index")
    assert {"valid"} == set(simulated["pool"])


def test_each_chosen_neuron_has_an_explanation_a_control_and_scores(world: World) -> None:
    chosen = set(world[1].neuron_indices(2))
    candidates, scores = read(world, "candidates", "L02"), read(world, "scores", "L02")
    controls = candidates.filter(pl.col("author") == SHUFFLED_CONTROL)
    texts = dict(candidates.filter(pl.col("author") == "rules").select("neuron_index", "explanation").iter_rows())

    assert chosen == set(candidates["neuron_index"])
    assert controls.height == 3
    assert all(row["explanation"] == texts[row["taken_from"]] for row in controls.to_dicts())
    assert not any(row["taken_from"] == row["neuron_index"] for row in controls.to_dicts())
    assert dict(scores.group_by("scorer").len().iter_rows()) == {
        "simulation": 12,
        "unigram_lookup": 6,
        "bigram_lookup": 6,
    }
    assert {"rules/1"} == {name.split("?")[0] for name in scores.filter(pl.col("scorer") == "simulation")["explainer"]}


def test_a_score_is_the_correlation_over_all_tokens_of_its_sample(world: World) -> None:
    """Against polars' own correlation on the joined rows."""
    valid = read(world, "activations", "L02").filter((pl.col("split") == "valid") & (pl.col("kind") == "random"))
    simulations = read(world, "simulations", "L02").filter(pl.col("candidate") == 0)
    joined = valid.join(simulations, on=("neuron_index", "excerpt_index")).explode("activations", "simulated")
    expected = dict(joined.group_by("neuron_index").agg(pl.corr("activations", "simulated")).iter_rows())
    scores = read(world, "scores", "L02").filter((pl.col("candidate") == 0) & (pl.col("sample") == "random_only"))

    for row in scores.to_dicts():
        if row["ev_correlation"] is not None:
            assert expected[row["neuron_index"]] == pytest.approx(row["ev_correlation"], abs=1e-5)
        else:
            assert row["failure"]


PARTITIONED = ("activations", "neuron_statistics", "explanations", "candidates", "simulations", "scores")


@pytest.mark.parametrize("table", PARTITIONED)
def test_every_layer_has_its_own_checks_and_none_is_left_planned(world: World, table: str) -> None:
    """The first two tables were made in one run over three layers."""
    for name in OF_TABLE[table]:
        key = dg.AssetCheckKey(asset_key(world[1], table), name)
        history = world[2].event_log_storage.get_asset_check_execution_history(key, limit=20)
        found = sorted((str(record.partition), record.status.value) for record in history)

        assert [layer for layer, _ in found] == ["L01", "L02", "L03"], name
        assert {status for _, status in found} <= {"SUCCEEDED", "FAILED"}, name
        assert name not in BLOCKING or {status for _, status in found} == {"SUCCEEDED"}, name


@pytest.mark.parametrize("table", PARTITIONED)
def test_the_checks_of_every_layer_are_of_what_was_made_last(world: World, table: str) -> None:
    """Else the UI shows them as not evaluated."""
    keys = [dg.AssetCheckKey(asset_key(world[1], table), name) for name in OF_TABLE[table]]
    found = world[2].event_log_storage.get_asset_check_partition_info(keys)

    assert len(found) == 3 * len(keys)
    assert all(info.is_current and info.latest_target_materialization_storage_id for info in found)


def test_the_summary_covers_each_layer_author_and_sample(world: World) -> None:
    summary = read(world, "layer_summary")

    assert summary.height == 3 * 4 * 2
    assert {3} == set(summary["n_neurons"])


def test_every_file_says_its_lineage_its_inputs_and_who_explained(world: World) -> None:
    store = TableStore.at(world[0].tables)
    for table in ("activations", "explanations", "candidates", "simulations", "scores"):
        facts = read_facts(store.path("tiny", table, "L02"))
        inputs = {Path(name).parts[1].removesuffix(".parquet") for name in facts.inputs}

        assert set(inputs_of(world[1], table)) == inputs
        assert table == "activations" or facts.notes["explainer"].startswith("rules/1")
    assert "explainer" not in read_facts(store.path("tiny", "activations", "L02")).notes


def test_what_people_see_in_the_ui_is_short(world: World) -> None:
    shown = [
        metadata(world[2], world[1], table, "L02") for table in ("activations", "explanations", "simulations", "scores")
    ]
    assets: Any = build_study(world[1]).assets
    shown += [dict(spec.metadata) for asset in assets for spec in asset.specs]
    texts = {
        (name, str(value)) for entries in shown for name, value in entries.items() if name not in IN_PLACES_OF_THEIR_OWN
    }

    names = {"explainer", "simulator", "model", "n_rules", "seconds", "failures", "lost", "undefined_scores"}
    whose = ("score", "shuffled", "unigram", "bigram")
    names |= {f"{author}_{sample}" for author in whose for sample in ("top_and_random", "random_only")}
    assert names <= {name for name, _ in texts}
    assert not [(name, text) for name, text in texts if len(text) > 32 or len(name) > 28]


def test_equal_work_gives_equal_bytes(world: World, tmp_path: Path) -> None:
    project, study = make_project(tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        make(project, study, instance)
    names = ["excerpts.parquet", *(f"{table}/L02.parquet" for table in ("activations", "explanations", "scores"))]
    for name in names:
        first, second = (Path(tables) / "tiny" / name for tables in (world[0].tables, project.tables))

        assert first.read_bytes() == second.read_bytes(), name


def test_a_pool_that_is_too_small_is_named_before_the_pass(tmp_path: Path) -> None:
    project, study = make_project(tmp_path, splits={"fewest_documents": 5, "train": {"top": 500, "random": 5}})
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(TooFewExcerpts, match="train pool holds"):
        make(project, study, instance)
