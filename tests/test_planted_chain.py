"""The instrument itself: over real text and through every step, a true explanation is told from a false one."""

from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import yaml

from neuron_assets.assets.study_component import table_resources
from neuron_assets.method.planted import PLANTED_UNITS
from neuron_assets.project import BUNDLED_STUDIES
from neuron_assets.running import Wanted, materialize
from neuron_assets.study import Study, read_study
from neuron_assets.subjects.catalog import SHIPPED

PASSES = 0.9
NOISY = "a token in noise"
"""Its true explanation cannot reach 0.9: nobody can tell the noise."""


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    study = read_study(BUNDLED_STUDIES / "planted" / "study.yaml")
    return scores_of(study, str(tmp_path_factory.mktemp("planted")))


def scores_of(study: Study, root: str) -> pl.DataFrame:
    """Of the study's explanations, on top and random excerpts."""
    with dg.DagsterInstance.ephemeral() as instance:
        materialize(Wanted(study, (0,)), instance, table_resources(root, f"{root}/requests.sqlite"), lambda _run: None)
    table = pl.read_parquet(f"{root}/{study.name}/scores/L00.parquet")
    return table.filter((pl.col("scorer") == "simulation") & (pl.col("sample") == "top_and_random"))


def score(scores: pl.DataFrame, unit: int, candidate: int) -> float | None:
    row = scores.filter((pl.col("neuron_index") == unit) & (pl.col("candidate") == candidate)).row(0, named=True)
    assert (row["ev_correlation"] is None) == (row["failure"] is not None)
    value: float | None = row["ev_correlation"]
    return value


def test_the_catalog_counts_the_planted_units() -> None:
    assert SHIPPED["planted"].size.n_neurons == len(PLANTED_UNITS)


@pytest.mark.slow
def test_true_explanations_pass_and_false_ones_do_not(scores: pl.DataFrame) -> None:
    for index, unit in enumerate(PLANTED_UNITS):
        n_true = int(unit.expressible)
        false = [score(scores, index, n_true + number) for number in range(len(unit.false_explanations))]

        assert all(value is None or value < PASSES for value in false), unit.name
        if unit.expressible and unit.name != NOISY:
            assert (score(scores, index, 0) or 0.0) > PASSES, unit.name


@pytest.mark.slow
def test_noise_lowers_the_score_of_the_truth_but_it_stays_the_best(scores: pl.DataFrame) -> None:
    index = next(index for index, unit in enumerate(PLANTED_UNITS) if unit.name == NOISY)
    truth, *false = [score(scores, index, number) or 0.0 for number in range(3)]

    assert max(false) < truth < PASSES


@pytest.mark.slow
def test_what_rules_cannot_say_does_not_pass_either(tmp_path: Path) -> None:
    """The explainer has seen what these units do on 200 excerpts, and has no words for it."""
    inexpressible = [index for index, unit in enumerate(PLANTED_UNITS) if not unit.expressible]
    content = yaml.safe_load((BUNDLED_STUDIES / "planted" / "study.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "studies" / "unsayable" / "study.yaml"
    path.parent.mkdir(parents=True)
    corpus = content["corpus"] | {"most_excerpts_per_document": 4}
    changes = {"explainer": {"provider": "rules"}, "neurons": inexpressible, "corpus": corpus}
    path.write_text(yaml.safe_dump(content | changes), encoding="utf-8")
    found = scores_of(read_study(path), str(tmp_path))

    assert found["neuron_index"].to_list() == inexpressible
    assert found["ev_correlation"].count() > 0  # else nothing was tried
    assert found["ev_correlation"].fill_null(0.0).max() < PASSES  # type: ignore[operator]  # a column of floats
