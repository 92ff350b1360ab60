"""The command line says what people expect, with the exit codes they expect."""

from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner, Result

from neuron_assets.cli import main
from tests.scenario import make_project, write_study


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own; the environment says nothing else."""
    make_project(tmp_path, layers=[0, 1])
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster_home"))
    monkeypatch.delenv("NEURON_ASSETS_DATA", raising=False)
    monkeypatch.delenv("NEURON_ASSETS_STUDIES", raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_help_shows_examples() -> None:
    result = run("--help")

    assert result.exit_code == 0
    assert "neuron-assets materialize mine --layers 0-5" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("materialize", "nobody"), "There is no study 'nobody'"),
        (("materialize", "tiny", "--layers", "9"), "Layer 9 does not exist"),
        (("materialize", "tiny", "--layers", "x"), "'x' is no layer"),
        (("materialize", "tiny", "--neurons", "0"), "neither a number from 1 nor"),
        (("materialize", "tiny", "--layers", "3"), "Layer 3 is not one of the study tiny"),
        (("show", "tiny", "third"), "'third' is no neuron"),
        (("show", "tiny", "L0N768"), "L0N768 does not exist"),
        (("new", "../evil"), "a name is small letters"),
        (("new", "tiny"), "exists already"),
        (("frobnicate",), "No such command"),
    ],
)
def test_a_wrong_request_ends_with_two_and_says_why(home: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_what_failed_ends_with_one_and_names_the_culprit(home: Path) -> None:
    result = run("show", "tiny", "L0N3")

    assert result.exit_code == 1
    assert "does not exist. Materialize" in result.output


def test_a_broken_study_is_named(home: Path) -> None:
    write_study(home, "broken", scoring={"topp": 3})

    result = run("materialize", "broken")

    assert result.exit_code == 2
    assert "did you mean `top`?" in result.output


def test_a_new_study_is_found_and_says_what_to_do_next(home: Path) -> None:
    result = run("new", "mine")

    assert result.exit_code == 0
    assert "neuron-assets materialize mine" in result.output
    assert sorted(path.name for path in (home / "studies" / "mine").iterdir()) == ["defs.yaml", "study.yaml"]
    assert "mine\t" in run("studies").output
    assert run("new", "mine").exit_code == 2


def test_an_interrupted_run_ends_with_130_and_goes_on_the_next_time(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_arguments: object, **_options: object) -> None:
        raise dg.DagsterExecutionInterruptedError

    with monkeypatch.context() as patched:
        patched.setattr("neuron_assets.subjects.harvest.harvest", interrupt)
        result = run("materialize", "tiny")

    assert result.exit_code == 130
    assert "What was made stays" in result.output
    assert not list(home.rglob("*.partial"))


def test_tables_that_cannot_be_written_are_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("NEURON_ASSETS_DATA", str(home / "file"))

    result = run("materialize", "tiny")

    assert result.exit_code == 1
    assert "excerpts.parquet could not be written" in result.output


@pytest.mark.slow
def test_no_line_of_the_score_tables_is_cut_at_80_columns(home: Path) -> None:
    result = run("materialize", "tiny", "--layers", "0")

    assert result.exit_code == 0, result.output
    assert "…" not in result.output


@pytest.mark.slow
def test_a_study_is_materialized_once_shown_and_summed_up(home: Path) -> None:
    first, second = run("materialize", "tiny"), run("materialize", "tiny")
    explained = pl.read_parquet(home / "data" / "tiny" / "explanations" / "L00.parquet")["neuron_index"][0]
    neuron, other = run("show", "tiny", f"L0N{explained}"), run("show", "tiny", f"0.{(explained + 1) % 768}")
    summary = run("summary", "tiny")

    assert first.exit_code == 0, first.output
    assert "one forward pass" in first.output
    assert "explainer: rules" in first.output
    assert second.exit_code == 0
    assert "everything asked for is there" in second.output
    assert neuron.exit_code == 0
    assert "top-and-random:" in neuron.output
    assert "simulated" in neuron.output
    assert "not explained yet" in other.output
    assert first.output.split("tiny · ")[-1] == summary.output.split("tiny · ")[-1]
