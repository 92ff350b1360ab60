"""Facts on the table `trends`, made from small tables by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest

from neuron_assets.method.controls import SHUFFLED_CONTROL
from neuron_assets.method.scoring import document_sums
from neuron_assets.tables.parquet import content_hash
from neuron_assets.tables.rows import frame, sums_as_lists
from neuron_assets.tables.trends import trends_frame
from neuron_assets.tables.validation import problems

N_DRAWS = 40
LAYERS, PER_LAYER = (0, 2), 15
SAMPLES = ("top_and_random", "random_only")
NEURONS = [(layer, neuron) for layer in LAYERS for neuron in range(PER_LAYER)]
WITHOUT_SCORE = (2, 4)
WITHOUT_KURTOSIS = (0, 7)


def score_row(key: tuple[int, int], sample: str, author: str, candidate: int, noise: float | None) -> dict[str, Any]:
    """A row of `scores`; without noise, one without a score."""
    layer, neuron = key
    rng = np.random.default_rng([layer, neuron, SAMPLES.index(sample)])
    true = rng.exponential(1, (9, 8))
    simulated = true + (noise or 0) * rng.normal(size=true.shape)
    sums = document_sums(true, simulated, np.arange(9) + neuron % 3)
    r = None if noise is None else float(np.corrcoef(true.ravel(), simulated.ravel())[0, 1])
    reason = {"failure": "the simulation is constant", "interval_failure": "there is no score"} if r is None else {}
    return {
        "layer_index": layer,
        "neuron_index": neuron,
        "candidate": candidate,
        "author": author,
        "chosen": False,
        "scorer": "simulation",
        "sample": sample,
        "explainer": f"{author}/1",
        "simulator": "rules/1",
        "ev_correlation": r,
        **dict.fromkeys(("ev_correlation_low", "ev_correlation_high", "r2", "absolute_deviation")),
        "n_excerpts": 9,
        "n_documents": 9,
        "n_tokens": 72,
        "failure": None,
        "interval_failure": None,
        "document_sums": [] if r is None else sums_as_lists(None, sums),
        **reason,
    }


def scores_of(noises: Mapping[tuple[str, int], float], neurons: Sequence[tuple[int, int]] = NEURONS) -> pl.DataFrame:
    """`noises` is by author and candidate; the candidate of least noise is chosen."""
    best = min(noises, key=lambda whose: noises[whose])
    rows = [
        score_row(key, sample, *whose, None if key == WITHOUT_SCORE else noise + key[1] / 20)
        | {"chosen": whose == best}
        for key in neurons
        for sample in SAMPLES
        for whose, noise in noises.items()
    ]
    return frame("scores", {name: [row[name] for row in rows] for name in rows[0]})


def statistics(neurons: Sequence[tuple[int, int]] = NEURONS) -> pl.DataFrame:
    """Both layers are as dense, neuron by neuron."""
    return pl.DataFrame(
        {
            "layer_index": pl.Series([layer for layer, _ in neurons], dtype=pl.Int32),
            "neuron_index": pl.Series([neuron for _, neuron in neurons], dtype=pl.Int32),
            "share_active": [neuron / 100 for _, neuron in neurons],
            "kurtosis": [None if key == WITHOUT_KURTOSIS else 100.0 * key[0] + key[1] for key in neurons],
        }
    )


def made(scores: pl.DataFrame, known: pl.DataFrame | None = None, *, chooses: bool = False) -> pl.DataFrame:
    table = trends_frame(scores, statistics() if known is None else known, chooses=chooses, seed=3, n_draws=N_DRAWS)
    assert problems("trends", table) == []
    return table


def values(scores: pl.DataFrame, *where: pl.Expr) -> list[float]:
    return scores.filter(*where)["ev_correlation"].drop_nulls().to_list()


BOTH = {("rules", 0): 0.6, (SHUFFLED_CONTROL, 1): 5.0}
REVISED = {("rules", 0): 1.2, ("revision", 1): 0.3, (SHUFFLED_CONTROL, 2): 5.0}


@pytest.fixture(scope="module")
def scores() -> pl.DataFrame:
    return scores_of(BOTH)


@pytest.fixture(scope="module")
def table(scores: pl.DataFrame) -> pl.DataFrame:
    return made(scores)


def test_every_author_has_a_point_a_layer_with_the_mean_of_its_scores(
    scores: pl.DataFrame, table: pl.DataFrame
) -> None:
    depth = table.filter(pl.col("trend") == "depth")

    assert depth.height == len(LAYERS) * len(BOTH) * len(SAMPLES)
    for row in depth.to_dicts():
        found = values(scores, *(pl.col(name) == row[name] for name in ("layer_index", "author", "sample")))
        assert row["mean"] == pytest.approx(np.mean(found), abs=1e-9)
        assert row["n_neurons"] == PER_LAYER
        assert row["n_undefined"] == PER_LAYER - len(found) == (row["layer_index"] == WITHOUT_SCORE[0])
        assert row["mean_low"] < row["mean"] < row["mean_high"]
        shares = [float(np.mean(np.array(found) > limit)) for limit in (0.5, 0.7, 0.8)]
        assert [row[f"share_above_{limit}"] for limit in ("half", "70", "80")] == pytest.approx(shares)


def test_every_author_has_a_point_of_all_layers_together(scores: pl.DataFrame, table: pl.DataFrame) -> None:
    together = table.filter(pl.col("trend") == "explainer", pl.col("sample") == "random_only")
    own, control = together.sort("author").to_dicts()

    assert (own["author"], control["author"]) == ("rules", SHUFFLED_CONTROL)
    assert (own["explainer"], own["simulator"]) == ("rules/1", "rules/1")
    assert own["mean"] == pytest.approx(
        np.mean(values(scores, pl.col("author") == "rules", pl.col("sample") == "random_only")), abs=1e-9
    )
    assert (own["n_neurons"], own["n_undefined"], own["layer_index"]) == (len(NEURONS), 1, None)


def test_bins_of_density_have_the_edges_of_their_neurons_and_part_no_equals(table: pl.DataFrame) -> None:
    """Thirty neurons make three bins; two of each density stand together, so none has just ten."""
    rows = table.filter(pl.col("trend") == "density", pl.col("author") == "rules", pl.col("sample") == SAMPLES[0])

    assert rows.select("bin", "bin_low", "bin_high", "n_neurons").rows() == [
        (0, 0.0, 0.04, 10),
        (1, 0.05, 0.09, 10),
        (2, 0.1, 0.14, 10),
    ]


def test_a_neuron_without_a_kurtosis_stands_in_no_bin_and_is_told(table: pl.DataFrame) -> None:
    rows = table.filter(pl.col("trend") == "kurtosis", pl.col("author") == "rules", pl.col("sample") == SAMPLES[0])

    assert rows.select("bin", "bin_low", "bin_high", "n_neurons").rows() == [
        (0, 0.0, 200.0, 15),
        (1, 201.0, 214.0, 14),
        (None, None, None, 1),
    ]
    assert rows["n_neurons"].sum() == len(NEURONS)


def test_a_layer_without_statistics_stands_in_no_bin(scores: pl.DataFrame) -> None:
    rows = made(scores, statistics(NEURONS[:PER_LAYER])).filter(pl.col("trend") == "density", pl.col("bin").is_null())

    assert rows["n_neurons"].to_list() == [PER_LAYER] * rows.height
    assert rows.height == len(BOTH) * len(SAMPLES)


def test_one_layer_has_one_point_which_is_that_of_all(scores: pl.DataFrame) -> None:
    table = made(scores.filter(pl.col("layer_index") == 0))
    depth, together = (table.filter(pl.col("trend") == trend) for trend in ("depth", "explainer"))

    assert depth["layer_index"].to_list() == [0] * depth.height
    assert depth.drop("trend", "layer_index").equals(together.drop("trend", "layer_index"))


def test_where_all_is_undefined_the_points_are_there_and_say_why(scores: pl.DataFrame) -> None:
    failed = scores_of(BOTH, [WITHOUT_SCORE])
    table = made(failed)

    assert set(table["trend"]) == {"depth", "density", "kurtosis", "explainer"}
    assert table["mean"].null_count() == table.height
    assert table["share_above_half"].null_count() == table.height
    assert set(table["failure"]) == {"none of 1 neurons has a score"}
    assert (table["n_undefined"] == table["n_neurons"]).all()


def test_the_order_of_rows_does_not_matter_to_the_bit() -> None:
    scores = scores_of(REVISED)
    expected = content_hash(made(scores, chooses=True))

    for seed in range(3):
        mixed, known = (each.sample(fraction=1, shuffle=True, seed=seed) for each in (scores, statistics()))
        assert content_hash(made(mixed, known, chooses=True)) == expected


def test_revision_tells_the_first_the_chosen_and_the_gain_by_layer_and_of_all() -> None:
    scores = scores_of(REVISED)
    table = made(scores, chooses=True)
    revision = table.filter(pl.col("trend") == "revision", pl.col("sample") == SAMPLES[0])

    assert set(revision.select("layer_index", "author").rows()) == {
        (layer, author) for layer in (*LAYERS, None) for author in ("first", "chosen", "gain")
    }
    for layer in (*LAYERS, None):
        there = pl.col("layer_index").is_in(LAYERS if layer is None else [layer])
        first, best = (
            np.mean(values(scores, there, pl.col("sample") == SAMPLES[0], pl.col("author") == author))
            for author in ("rules", "revision")
        )
        of_layer = revision.filter(pl.col("layer_index").eq_missing(layer))
        found = {row["author"]: row for row in of_layer.to_dicts()}
        assert found["first"]["mean"] == pytest.approx(first, abs=1e-9)
        assert found["chosen"]["mean"] == pytest.approx(best, abs=1e-9)
        assert found["gain"]["mean"] == pytest.approx(best - first, abs=1e-9)
        assert 0 < found["gain"]["mean_low"] < found["gain"]["mean_high"]
        assert found["gain"]["share_above_half"] is None
    assert set(table.filter(pl.col("trend") == "depth")["author"]) == {*(author for author, _ in REVISED), "chosen"}


def test_a_study_without_a_choice_has_no_trend_of_revision(table: pl.DataFrame) -> None:
    assert "revision" not in set(table["trend"])
    assert not {"chosen", "first", "gain"} & set(table["author"])


def test_scores_that_candidates_were_chosen_by_are_in_no_point(scores: pl.DataFrame) -> None:
    flattering = scores.filter(pl.col("sample") == SAMPLES[0]).with_columns(sample=pl.lit("choosing"))

    assert made(pl.concat([scores, flattering])).equals(made(scores))
