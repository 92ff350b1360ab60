"""What people see of a neuron and of the scores, and that text of the corpus cannot do more than be seen."""

import base64
import re

import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuron_assets.assets import plots
from neuron_assets.assets.pictures import exemplars_picture, neurons_table, simulation_picture
from neuron_assets.assets.plots import distribution_plot, spending_plot, summary_plot
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens

HOSTILE = '</text><script>alert("x")</script>'


def record(activations: list[list[float]], is_top: list[bool], strings: tuple[str, ...] = ("a", "b")) -> NeuronRecord:
    values = np.array(activations, np.float32)
    codes = np.tile(np.arange(values.shape[1], dtype=np.int32), (len(values), 1))
    indices = np.arange(len(values), dtype=np.int32)
    exemplars = Exemplars(Tokens(codes, strings), values, np.array(is_top), indices, indices)
    return NeuronRecord(NeuronId(3, 7), exemplars)


def svg_of(text: str) -> str:
    found = re.search(r"data:image/svg\+xml;base64,([^)]+)", text)
    assert found is not None
    return base64.b64decode(found[1]).decode()


def strengths(svg: str, colour: str) -> list[float]:
    return [float(value) for value in re.findall(rf'fill="{colour}" fill-opacity="([0-9.]+)"', svg)]


def test_true_and_simulated_stand_one_below_the_other_each_by_its_own_scale() -> None:
    neuron = record([[4.0, 2.0], [1.0, -1.0]], [True, False])
    text = simulation_picture(neuron, np.array([[10.0, 5.0], [0.0, 1.0]], np.float32), "commas", "somebody")
    svg = svg_of(text)

    assert strengths(svg, "#2da44e") == [1.0, 0.5, 0.25, 0.0]
    assert strengths(svg, "#5078dc") == [1.0, 0.5, 0.0, 0.1]
    assert re.findall(">(true|simulated)<", svg) == ["true", "simulated"] * 2
    assert re.findall(r'y="(\d+)"[^>]*>(?:true|simulated)', svg) == ["14", "34", "74", "94"]
    assert text.startswith("**L3N7** · explainer: somebody")


def test_an_excerpt_without_a_simulation_is_shown_without_colour() -> None:
    svg = svg_of(simulation_picture(record([[1.0, 2.0]], [False]), np.full((1, 2), np.nan), "commas", "somebody"))

    assert strengths(svg, "#5078dc") == [0.0, 0.0]


def test_a_silent_neuron_is_drawn_without_colour() -> None:
    assert strengths(svg_of(str(exemplars_picture(record([[0.0, -1.0]], [True]), "x", "y").value)), "#2da44e") == [
        0.0,
        0.0,
    ]


def test_text_of_the_corpus_and_of_models_is_shown_not_obeyed() -> None:
    neuron = record([[1.0, 2.0]], [True], (HOSTILE, "{y}"))
    text = simulation_picture(neuron, np.ones((1, 2), np.float32), f"[x](javascript:1) {HOSTILE}", "a|b")
    row = {"layer_index": 0, "neuron_index": 1, "ev_correlation": 0.5, "explanation": "a | b\n<script> " + "x" * 300}

    assert "<script" not in svg_of(text)
    assert "&#123;y&#125;" in svg_of(text)
    assert "<script" not in text.replace("\\<", "")
    assert "](javascript" not in text
    line = neurons_table("best", [row]).splitlines()[2]
    assert line.startswith("| L0N1 | 0.500 | a \\| b \\<script\\> xxx")
    assert len(line) < 200


def test_a_neuron_is_called_as_the_study_calls_it() -> None:
    row = {"layer_index": 3, "neuron_index": 7, "ev_correlation": 0.5, "explanation": "commas"}
    of_study = {"name": lambda neuron: f"{neuron}, the negative side"}

    assert "| L3N7, the negative side | 0.500 | commas |" in neurons_table("best", [row], **of_study)
    told = exemplars_picture(record([[1.0]], [True]), "commas", "somebody", **of_study)
    assert str(told.value).startswith("**L3N7, the negative side** ·")
    below = simulation_picture(record([[1.0]], [True]), np.ones((1, 1), np.float32), "commas", "somebody", **of_study)
    assert below.startswith("**L3N7, the negative side** ·")


def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn from now on."""
    figures: list[Figure] = []
    as_png = plots._png

    def kept(figure: Figure) -> str:
        figures.append(figure)
        return as_png(figure)

    monkeypatch.setattr(plots, "_png", kept)
    return figures


def scores(*n_by_layer: int) -> pl.DataFrame:
    rows = [(layer, 0.1 * n) for layer, n_neurons in enumerate(n_by_layer) for n in range(n_neurons)]
    table = pl.DataFrame(rows, schema=["layer_index", "ev_correlation"], orient="row")
    return pl.concat([table.with_columns(sample=pl.lit(sample)) for sample in ("top_and_random", "random_only")])


def test_few_scores_are_points_and_many_are_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = drawn(monkeypatch)
    distribution_plot(scores(3, 8), "title")
    single = [line for line in figures[0].axes[0].lines if line.get_marker() == "o" and line.get_alpha() == 0.6]

    assert [sorted(np.asarray(line.get_ydata()).tolist()) for line in single] == [pytest.approx([0.0, 0.1, 0.2])]
    assert len(figures[0].axes[0].lines) > 2


def trend(monkeypatch: pytest.MonkeyPatch, layers: range) -> Axes:
    """The panel of the top-and-random scores of these layers, by two authors."""
    figures = drawn(monkeypatch)
    rows = [
        (layer, author, sample, 0.5, 0.4, None)
        for layer in layers
        for author in ("rules", "shuffled_control")
        for sample in ("top_and_random", "random_only")
    ]
    columns = ["layer_index", "author", "sample", "mean", "mean_low", "mean_high"]
    summary_plot(pl.DataFrame(rows, schema=columns, orient="row", schema_overrides={"mean_high": pl.Float64}), "title")
    return figures[0].axes[0]


def points(panel: Axes) -> list[list[float]]:
    return [np.asarray(line.get_xdata()).tolist() for line in panel.lines if line.get_marker() == "o"]


@pytest.mark.parametrize("layers", [range(6), range(48)])
def test_the_trend_puts_every_layer_at_its_number(monkeypatch: pytest.MonkeyPatch, layers: range) -> None:
    panel = trend(monkeypatch, layers)

    assert points(panel) == [list(layers)] * 2
    assert 1 <= len(panel.get_xticks()) <= 12


def test_the_authors_of_a_single_layer_stand_beside_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    assert points(trend(monkeypatch, range(1))) == [[0.0], [0.1]]


def test_spending_shows_what_is_of_no_layer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = drawn(monkeypatch)
    rows = [("observation", None, 1), ("simulations", 4, 100), ("simulations", 5, 200)]
    table = pl.DataFrame(rows, schema=["asset", "layer_index", "tokens_in"], orient="row").with_columns(
        model=pl.lit("dear-1"),
        tokens_out=pl.lit(5),
        money=pl.lit(None, pl.Float64),
        n_without_price=pl.lit(1),
        median_seconds=pl.lit(1.0),
        p95_seconds=pl.lit(2.0),
    )
    spending_plot(table, "title")
    tokens, dollars, _seconds = figures[0].axes

    assert [label.get_text() for label in tokens.get_xticklabels()] == ["none", "4", "5"]
    assert points(tokens) == [[3], [4, 5]]
    assert [text.get_text() for text in dollars.texts] == ["no price is known"]
