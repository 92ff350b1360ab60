"""Facts on studies that are compared: by the command, as an asset, and when others have changed."""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml
from click.testing import CliRunner, Result

from neuron_assets.assets.comparing import compared
from neuron_assets.assets.study_component import build_study
from neuron_assets.cli import main
from neuron_assets.definitions import build_definitions
from neuron_assets.errors import NothingScored, StudyNotFound
from neuron_assets.project import Project
from neuron_assets.tables.parquet import read_table
from neuron_assets.tables.store import TableStore
from neuron_assets.tables.validation import problems
from tests.assets.compared_studies import SECTIONS, SHORT, study_of
from tests.language_models.misbehaving_server import MODEL
from tests.polite_server import asking, polite_server
from tests.scenario import ALL_MAY_FAIL, make_project
from tests.served_tables import LAYERS, make

pytestmark = pytest.mark.slow

PRICE = {"tokens_in": 1.0, "tokens_cached": 1.0, "tokens_out": 10.0}
"""For a million."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`tiny`, which names `short`, whose explanations are of one rule, and `twin`, which is `tiny` once more."""
    root = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DAGSTER_HOME", str(root / "dagster_home"))
        for name in ("NEURON_ASSETS_DATA", "NEURON_ASSETS_STUDIES", "NEURON_ASSETS_REQUESTS"):
            patched.delenv(name, raising=False)
        project, study = make_project(root, **SECTIONS, compare_with=["short", "twin"])
        for each in (study_of(root, "short", explainer=SHORT), study_of(root, "twin"), study):
            runs = make(project, each)
        assert [run.tables for run in runs][-1] == ("layer_summary", "trends", "comparison")
        yield root


@pytest.fixture
def own_root(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may change."""
    shutil.copytree(root, tmp_path / "own")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "own" / "dagster_home"))
    return tmp_path / "own"


def project_of(root: Path) -> Project:
    return Project.from_environment({}, root)


def table(root: Path, name: str = "comparison", study: str = "tiny", key: str | None = None) -> pl.DataFrame:
    return read_table(TableStore.at(project_of(root).tables).path(study, name, key), name)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_the_command_and_the_asset_give_the_same_table(root: Path, tmp_path: Path) -> None:
    files = {suffix: tmp_path / f"told.{suffix}" for suffix in ("csv", "json", "svg")}
    options = [f"--{option}={files[option]}" for option in ("csv", "json")]
    result = run("compare", "tiny", "short", "twin", *options, f"--plot={files['svg']}")
    made = table(root)

    assert result.exit_code == 0, result.output
    assert pl.read_csv(files["csv"], schema=made.schema).equals(made)
    assert json.loads(files["json"].read_text()) == made.to_dicts()
    assert files["svg"].read_text().startswith("<?xml")
    assert problems("comparison", made) == []
    lines = result.output.splitlines()
    assert sum("less tiny" in line for line in lines) == 2
    assert "absolute deviation" in result.output
    assert max(len(line) for line in lines if "[" in line) <= 80


def test_the_table_is_that_of_the_scores(root: Path) -> None:
    both = [
        pl.concat(table(root, "scores", study, f"L{layer:02d}") for layer in LAYERS).filter(
            pl.col("author") == "rules", pl.col("sample") == "random_only"
        )
        for study in ("tiny", "short")
    ]
    pairs = (
        both[0].join(both[1], on=["layer_index", "neuron_index"], suffix="_short").drop_nulls("ev_correlation_short")
    )
    differences = pairs.drop_nulls("ev_correlation").select(pl.col("ev_correlation_short") - pl.col("ev_correlation"))
    (row,) = (
        table(root)
        .filter(pl.col("layer_index").is_null(), study="short", sample="random_only", metric="ev_correlation")
        .to_dicts()
    )

    assert row["n_neurons"] == differences.height > 5
    assert row["difference"] == pytest.approx(differences.to_series().mean(), abs=1e-9)
    assert row["difference"] != 0
    assert row["baseline_explainer"] != row["explainer"]
    assert row["baseline_simulator"] == row["simulator"]
    assert (row["baseline_cost"], row["cost"]) == (0.0, 0.0)


def test_a_study_that_is_the_same_differs_by_nothing(root: Path) -> None:
    rows = table(root).filter(study="twin")
    there = rows.drop_nulls("difference")

    assert set(there["metric"]) == {"ev_correlation", "r2", "absolute_deviation"}
    assert set(there["layer_index"]) == {1, 2, None}
    assert set(there["difference"]) == {0.0}
    assert set(there["difference_low"].drop_nulls()) == set(there["difference_high"].drop_nulls()) == {0.0}
    assert set(there["win_rate"]) == {0.5}


def test_the_asset_shows_a_plot_and_what_it_found(root: Path) -> None:
    project = project_of(root)
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["tiny", "comparison"]))
    assert event is not None
    assert event.asset_materialization is not None
    told: dict[str, Any] = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    head, _, content = str(told["by_layer"]).partition("base64,")

    assert head == "![](data:image/svg+xml;"
    assert b"<svg" in base64.b64decode(content.removesuffix(")"))
    assert told["difference_twin_random_only"] == 0.0
    assert told["neurons_short_random_only"] > 5


def test_layers_are_those_that_are_asked_for(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "one.csv"

    assert run("compare", "tiny", "short", "--layers", "2", f"--csv={file}").exit_code == 0
    assert set(pl.read_csv(file)["layer_index"]) == {2, None}
    assert run("compare", "tiny", "short", "--layers", "5").exit_code == 2


def test_it_is_made_again_where_another_study_has_changed_and_only_then(own_root: Path) -> None:
    project = project_of(own_root)
    study, short = project.study("tiny"), project.study("short")
    before = table(own_root)

    assert make(project, study) == []
    path = project.study_files()["short"]
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"explainer": {**SHORT, "n_rules": 2}}))
    make(project, project.study("short"))
    assert [run.tables for run in make(project, study)] == [("comparison",)]
    after = table(own_root)
    assert after.filter(study="twin").equals(before.filter(study="twin"))
    assert set(after.filter(study="short")["explainer"]) != {short.explainer_identity}


def test_a_study_that_is_not_made_yet_is_told_of_in_rows(own_root: Path) -> None:
    study_of(own_root, "later")
    project = project_of(own_root)
    found = compared([project.study(name) for name in ("tiny", "later")], TableStore.at(project.tables), "")

    assert problems("comparison", found) == []
    assert set(found["difference"]) == {None}
    assert set(found["failure"]) == {"no neuron has a value in both"}
    assert all("later: no scores of this layer that stand" in text for text in found["left_out"])
    with pytest.raises(NothingScored, match="later"):
        compared([project.study(name) for name in ("later", "tiny")], TableStore.at(project.tables), "")


def test_an_outdated_study_counts_as_not_made(own_root: Path) -> None:
    study_of(own_root, "short", explainer={**SHORT, "n_rules": 3})
    project = project_of(own_root)
    found = compared([project.study(name) for name in ("tiny", "short")], TableStore.at(project.tables), "")

    assert set(found["n_neurons"]) == {0}


def test_other_text_under_the_same_name_is_refused(own_root: Path) -> None:
    project = project_of(own_root)
    text = own_root / "studies" / "short" / "texts" / "00.txt"
    text.write_text(text.read_text() + "\nA line that only one of them has.", encoding="utf-8")
    make(project, project.study("short"))
    result = run("compare", "tiny", "short")

    assert result.exit_code == 2
    assert "the content of `excerpts` that the scores of layer 1 are made from" in result.output
    assert "Traceback" not in result.output


def test_what_a_model_costs_a_neuron_stands_beside(own_root: Path) -> None:
    project = project_of(own_root)
    with polite_server() as server:
        sections = asking(server.url, checks=ALL_MAY_FAIL, simulator={"provider": "rules"})
        hosted = study_of(own_root, "hosted", **sections)
        make(project, hosted)
    studies, store = [project.study("tiny"), hosted], TableStore.at(project.tables)
    unknown = compared(studies, store, project.requests)
    priced = study_of(own_root, "hosted", **sections, prices={MODEL: PRICE})
    known = compared([studies[0], priced], store, project.requests)
    spent = table(own_root, "spending", "hosted").filter(pl.col("asset") == "explanations")
    dollars = {row["layer_index"]: row["tokens_in"] + 10 * row["tokens_out"] for row in spent.to_dicts()}

    assert set(unknown["cost"]) == {None}
    assert set(unknown["cost_failure"]) == {"5 requests have no known price", "10 requests have no known price"}
    assert dict(known.select("layer_index", "cost").unique().iter_rows()) == {
        1: pytest.approx(dollars[1] / 1e6 / 5, rel=1e-9),
        2: pytest.approx(dollars[2] / 1e6 / 5, rel=1e-9),
        None: pytest.approx(sum(dollars.values()) / 1e6 / 10, rel=1e-9),
    }
    assert set(known["baseline_cost"]) == {0.0}


def test_the_graph_loads_where_another_study_is_missing(own_root: Path) -> None:
    study_of(own_root, "alone", compare_with=["nobody"])
    project = project_of(own_root)
    graph = build_definitions(project).resolve_asset_graph()
    node = graph.get(dg.AssetKey(["alone", "comparison"]))

    assert dg.AssetKey(["nobody", "scores"]) in node.parent_keys
    assert build_study(project.study("alone")).assets
    with pytest.raises(StudyNotFound, match="nobody"):
        make(project, project.study("alone"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tiny",), "Name two or more studies"),
        (("tiny", "tiny"), "Name two or more studies"),
        (("tiny", "nobody"), "There is no study 'nobody'"),
        (("tiny", "short", "--plot", "a.gif"), "is none of .svg and .png"),
    ],
)
def test_a_wrong_comparison_ends_with_two(root: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run("compare", *arguments)

    assert result.exit_code == 2
    assert message in result.output


def test_a_file_that_cannot_be_written_is_named(root: Path, tmp_path: Path) -> None:
    result = run("compare", "tiny", "short", f"--csv={tmp_path / 'no_folder' / 'told.csv'}")

    assert result.exit_code == 1
    assert "no_folder" in result.output
    assert "could not be written" in result.output
