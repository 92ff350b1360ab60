"""Trends on the command line: printed, as plots and as rows."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import polars as pl
import pytest
from click.testing import CliRunner, Result

from neuron_assets.assets.trend_plots import trend_plots
from neuron_assets.cli import main
from neuron_assets.project import Project
from neuron_assets.tables.parquet import TableFacts, write_table
from neuron_assets.tables.rows import frame
from neuron_assets.tables.store import TableStore
from neuron_assets.tables.validation import problems
from tests.scenario import make_project

AUTHOR = "a<b>&$x_{y}$"
BINS = ((0, 0.001, 0.02), (1, 0.02, 0.5), (None, None, None))


def point(
    trend: str, layer: int | None = None, of_bin: tuple[object, object, object] = BINS[2], **told: Any
) -> dict[str, Any]:
    ends = dict(zip(("bin", "bin_low", "bin_high"), of_bin, strict=True))
    row = {"trend": trend, "sample": "random_only", "author": AUTHOR, "layer_index": layer, **ends}
    row |= {"explainer": "x/1", "simulator": "y/1", "n_neurons": 30, "n_undefined": 2, "mean": 0.5, "mean_low": 0.25}
    row |= {"mean_high": 0.75, "failure": None, "interval_failure": None}
    return row | {"share_above_half": 0.5, "share_above_70": 0.25, "share_above_80": 0.0} | told


def hand_made() -> pl.DataFrame:
    """Layers 1 and 2, the second without a score, a gain, and bins."""
    nothing = dict.fromkeys(("mean", "mean_low", "mean_high", "share_above_half", "share_above_70", "share_above_80"))
    undefined: dict[str, Any] = {
        **nothing,
        "n_undefined": 30,
        "failure": "none of 30 neurons has a score",
        "interval_failure": "no",
    }
    rows = [
        *(point("density", of_bin=each) for each in BINS),
        point("depth", 1),
        point("depth", 2, **undefined),
        *(point("explainer", author=author) for author in (AUTHOR, "shuffled_control")),
        point("kurtosis", of_bin=(0, -1.0, 250.0)),
        point("revision", 1, author="gain", mean=0.0123, mean_low=-0.001, mean_high=0.02, share_above_half=None),
    ]
    table = frame("trends", {name: [row[name] for row in rows] for name in rows[0]})
    assert problems("trends", table) == []
    return table


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project, _ = make_project(tmp_path, layers=[0, 1, 2])
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster_home"))
    monkeypatch.delenv("NEURON_ASSETS_DATA", raising=False)
    monkeypatch.delenv("NEURON_ASSETS_STUDIES", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    return project


@pytest.fixture
def told(project: Project) -> Project:
    write_table(TableStore.at(project.tables).path("tiny", "trends"), hand_made(), TableFacts("trends", "0" * 16))
    return project


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ("trends", "tiny", *arguments))


def test_points_are_printed_with_interval_count_shares_and_what_is_undefined(told: Project) -> None:
    result = run()
    lines = [line.split() for line in result.output.splitlines()]

    assert result.exit_code == 0, result.output
    assert ["L1", AUTHOR, "30", "0.50", "[0.25", "0.75]", "50%", "25%", "0%", "2"] in lines
    assert ["L2", AUTHOR, "30", "undefined", "-", "-", "-", "30"] in lines
    assert ["0.1", "to", "2", AUTHOR, "30", "0.50", "[0.25", "0.75]", "50%", "25%", "0%", "2"] in lines
    assert ["L1", "gain", "30", "+0.012", "[-0.001", "+0.020]", "-", "25%", "0%", "2"] in lines
    assert any(line[:2] == ["all", "shuffled_control"] for line in lines)
    assert any(line[:2] == ["unknown", AUTHOR] for line in lines)


def test_a_layer_that_is_not_there_is_told(told: Project) -> None:
    assert "without L0, which have no scores" in " ".join(run().output.split())


def test_all_rows_are_written_as_csv(told: Project, tmp_path: Path) -> None:
    result = run("--csv", str(tmp_path / "new" / "rows.csv"))
    rows = pl.read_csv(tmp_path / "new" / "rows.csv")

    assert result.exit_code == 0, result.output
    assert rows["mean"].to_list() == hand_made()["mean"].to_list()
    assert rows.columns == hand_made().columns


def test_each_trend_but_those_of_a_single_bin_is_written_as_a_plot_that_shows_names_as_they_are(
    told: Project, tmp_path: Path
) -> None:
    result = run("--plots", str(tmp_path / "plots"))
    plots = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "plots").iterdir()}
    texts = {name: [text.strip() for text in ET.fromstring(plot).itertext()] for name, plot in plots.items()}

    assert result.exit_code == 0, result.output
    assert set(plots) == {"density.svg", "depth.svg", "explainer.svg", "revision.svg", "shares.svg"}
    assert AUTHOR in texts["depth.svg"]
    assert {"L1", "L2", "n 30", f"undefined: {AUTHOR} 32", "layer"} <= set(texts["depth.svg"])
    assert {"0.1 to 2", "2 to 50", "unknown"} <= set(texts["density.svg"])
    assert {"n 28", "n 0", "above 0.7"} <= set(texts["shares.svg"])
    assert f"{AUTHOR}, n 30" in texts["explainer.svg"]


def test_the_same_table_gives_the_same_plots() -> None:
    assert trend_plots(hand_made(), "a study") == trend_plots(hand_made(), "a study")


def test_a_table_of_no_rows_has_no_plots() -> None:
    assert trend_plots(hand_made().clear(), "a study") == {}


def test_a_study_that_was_not_made_says_what_to_do(project: Project) -> None:
    result = run()

    assert result.exit_code == 1
    assert "does not exist. Materialize" in result.output
