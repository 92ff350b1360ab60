"""What is printed beside the scores: a table for each thing that it was measured on."""

import polars as pl
from rich.console import Console

from neuron_assets.method.controls import OVER_BROAD_CONTROL
from neuron_assets.tables.rows import frame
from neuron_assets.terminal import metrics_tables


def rows() -> pl.DataFrame:
    """Two neurons, of which one has no precision."""
    told = [
        (neuron, author, scorer, sample, metric, value)
        for neuron in (0, 1)
        for author, good in (("rules", 0.9), (OVER_BROAD_CONTROL, 0.5))
        for scorer, sample, metric, value in (
            ("detection", "judged", "precision", None if neuron else good),
            ("fuzzing", "judged", "auroc", good - 0.1 * neuron),
            ("simulation", "natural_rate", "auprc", good - 0.2 * neuron),
        )
    ]
    names = ("neuron_index", "author", "scorer", "sample", "metric", "value")
    columns = dict(zip(names, zip(*told, strict=True), strict=True))
    failures = [None if value is not None else "the judge says yes to no excerpt" for value in columns["value"]]
    same = {"layer_index": 1, "candidate": 0, "explainer": "rules/1", "simulator": "rules/1", "chance": 0.5}
    ends = {"value_low": None, "value_high": None, "n_excerpts": 20, "n_documents": 9, "interval_failure": "too few"}
    chosen = [author == "rules" for author in columns["author"]]
    return frame("metrics", {**same, **columns, **ends, "failure": failures, "chosen": chosen})


def test_of_several_candidates_the_chosen_one_is_told_as_the_author_s() -> None:
    first = (
        rows().filter(pl.col("metric") == "auroc", pl.col("author") == "rules").with_columns(chosen=pl.lit(value=False))
    )
    revised = first.with_columns(candidate=pl.lit(1, pl.Int32), author=pl.lit("revision"), value=0.3, chosen=True)
    console = Console(width=100, record=True)
    console.print(metrics_tables(pl.concat([first, revised]), "rules"))
    (line,) = [line.split() for line in console.export_text().splitlines() if line.strip().startswith("auroc")]

    assert line[1] == "0.30"


def test_detection_and_fuzzing_have_tables_of_their_own() -> None:
    console = Console(width=100, record=True)
    console.print(metrics_tables(rows(), "rules"))
    lines = [line.strip() for line in console.export_text().splitlines()]
    titles = [line.split(":")[0] for line in lines if "means over neurons" in line]
    values = {line.split()[0]: line.split()[1:] for line in lines if line.startswith(("precision", "auroc", "auprc"))}

    assert sorted(titles) == ["detection", "fuzzing", "natural rate"]
    assert values["precision"] == ["0.90", "0.50", "-", "0.50", "-", "1"]
    assert values["auroc"] == ["0.85", "0.50", "-", "0.45", "-", "0"]
