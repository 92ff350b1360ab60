"""What is checked of each layer of each table, from the frames to what people read in the UI.

Put here: which checks there are, and small functions that give what they find. Keep out: telling Dagster (`specs.py`),
the limits (`sections.py`), the schemas (`tables/validation.py`).
https://docs.dagster.io/guides/test/asset-checks
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import polars as pl

from neuron_assets.method.controls import SHUFFLED_CONTROL
from neuron_assets.method.records import Split
from neuron_assets.tables.explained import of_chosen

_MOST_CULPRITS = 10
_ERRORS_OF_DOUBT = 2
"""A control counts as far from zero only by so many standard errors more than the limit."""


@dataclass(frozen=True, slots=True)
class Check:
    """What is known of a check before it has run."""

    description: str
    mend: str
    blocking: bool = False
    """Whether nothing is made from a layer that fails it."""
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found of one layer."""

    check: str
    passed: bool
    said: str
    """One sentence, for people."""
    numbers: Mapping[str, float | str] = field(default_factory=dict)
    culprits: Sequence[str] = ()

    @property
    def blocks(self) -> bool:
        return not self.passed and CHECKS[self.check].blocking

    @property
    def complaint(self) -> str:
        """What is wrong and what to do, where it failed."""
        listed = f" ({'; '.join(self.culprits[:_MOST_CULPRITS])})" if self.culprits else ""
        return f"`{self.check}`: {self.said}{listed}. {CHECKS[self.check].mend}"

    @property
    def metadata(self) -> dict[str, Any]:
        culprits = {"culprits": "\n".join(self.culprits[:_MOST_CULPRITS])} if self.culprits else {}
        return {**self.numbers, **culprits}


CHECKS: Mapping[str, Check] = {
    "schema": Check(
        "Columns, types, bounds, unique keys and no NaN; a table that fails is not written.",
        "This should not be; please report it.",
        blocking=True,
    ),
    "documents_apart": Check(
        "No document is both shown to the explainer and scored.",
        "Such scores would mean nothing. This should not be; please report it.",
        blocking=True,
    ),
    "complete": Check(
        "Everything that was asked for has its row, if only one that says why there is no value.",
        "Materialize it again; if it stays so, please report it.",
        blocking=True,
    ),
    "failures": Check(
        "The share of failures is under the study's `checks.most_failures`: a mean over the rest would be one of a "
        "selected few. Failures that are nobody's are left out of the share: silent neurons, and what has no text.",
        "The column `failure` tells why. Mend that, or raise `checks.most_failures` in the study; then materialize "
        "again: what was answered is not asked again.",
        blocking=True,
    ),
    "undefined": Check(
        "The share of explanations without a score is under the study's `checks.most_undefined`.",
        "The column `failure` tells why.",
    ),
    "control_near_zero": Check(
        "Shuffled explanations score about zero, else something but the explanation gives the neuron away. "
        "It fails where their mean is beyond the study's `checks.most_control` by more than two standard errors.",
        "Look at the neurons of the control: does the layer hold many that do the same?",
    ),
    "not_dropped": Check(
        "The mean score has not dropped by more than the study's `checks.most_drop` since the layer was last made.",
        "Compare what was changed since.",
        severity=dg.AssetCheckSeverity.WARN,
    ),
}

OF_TABLE: Mapping[str, tuple[str, ...]] = {
    "excerpts": ("schema", "documents_apart"),
    "activations": ("schema", "complete"),
    "neuron_statistics": ("schema", "complete"),
    "explanations": ("schema", "complete", "failures"),
    "counterexamples": ("schema", "complete"),
    "revised_explanations": ("schema", "complete"),  # without them the first explanations stand
    "meanings": ("schema", "complete"),
    "labels": ("schema",),
    "candidates": ("schema", "complete"),
    "simulations": ("schema", "complete", "documents_apart", "failures"),
    "scores": ("schema", "complete", "documents_apart", "undefined", "control_near_zero", "not_dropped"),
    "judgements": ("schema", "complete", "documents_apart", "failures"),
    "ablations": ("schema", "complete"),
    "metrics": ("schema", "complete"),
    "final_simulations": ("schema", "complete", "documents_apart", "failures"),
    "final_scores": ("schema", "complete", "documents_apart"),
    **dict.fromkeys(("token_index", "layer_summary", "trends", "comparison", "spending"), ("schema",)),
}


def keeps_schema(problems: Sequence[str]) -> Finding:
    said = f"{len(problems)} problems" if problems else "every row keeps the schema"
    return Finding("schema", not problems, said, culprits=problems)


def has_all(frame: pl.DataFrame, expected: pl.DataFrame) -> Finding:
    """`expected` holds the keys of the rows that must be there, or a part of them."""
    missing = expected.join(frame, on=expected.columns, how="anti", nulls_equal=True)
    said = f"{missing.height} of {expected.height} rows that were asked for are missing"
    numbers = {"asked_for": expected.height, "missing": missing.height}
    return Finding("complete", missing.is_empty(), said, numbers, [_named(row) for row in _first(missing)])


def one_pool_each(excerpts: pl.DataFrame) -> Finding:
    """Whether every document is in one pool only."""
    pools = excerpts.group_by("document", "document_index").agg(pl.col("split").unique().sort()).sort("document_index")
    split = pools.filter(pl.col("split").list.len() > 1)
    said = f"{split.height} of {pools.height} documents are in several pools"
    culprits = [f"{row['document']}: {', '.join(row['split'])}" for row in _first(split)]
    return Finding("documents_apart", split.is_empty(), said, {"documents": pools.height}, culprits)


def scored_apart(
    excerpts: pl.DataFrame, shown: pl.Series, scored: pl.Series, pools: Sequence[Split] = ("valid",)
) -> Finding:
    """`shown` and `scored` are indices of documents; only those of these pools may be scored."""
    documents = excerpts.select("document_index", "document", "split").unique()
    used = documents.filter(pl.col("document_index").is_in(scored.implode()))
    wrong = used.filter(~pl.col("split").is_in(pools) | pl.col("document_index").is_in(shown.implode()))
    wrong = wrong.sort("document_index", "split")
    allowed = " or ".join(f"`{pool}`" for pool in pools)
    said = f"{wrong['document_index'].n_unique()} scored documents were shown, or are not of the pool {allowed}"
    numbers = {"shown": shown.n_unique(), "scored": scored.n_unique()}
    culprits = [f"{row['document']} of {row['split']}" for row in _first(wrong)]
    return Finding("documents_apart", wrong.is_empty(), said, numbers, culprits)


def few_failures(judged: pl.DataFrame, n_left_out: int, most: float) -> Finding:
    failed = judged.filter(pl.col("failure").is_not_null())
    share, said = _share(failed.height, judged.height, "failed", most)
    numbers = {**share, "left_out": n_left_out}
    passed = share["share"] <= most or failed.height == 1  # a single one says nothing of the rest
    return Finding("failures", passed, said, numbers, [_failure(row) for row in _first(failed)])


def few_undefined(own: pl.DataFrame, n_left_out: int, most: float) -> Finding:
    """`own` are the scores of the explainer's candidates, but for those without a text."""
    undefined = own.filter(pl.col("ev_correlation").is_null())
    share, said = _share(undefined.height, own.height, "are undefined", most)
    numbers = {**share, "left_out": n_left_out}
    return Finding("undefined", share["share"] <= most, said, numbers, [_failure(row) for row in _first(undefined)])


def control_near_zero(scores: pl.DataFrame, most: float) -> Finding:
    """By sample; fewer than two neurons with a score say nothing."""
    name, value = "control_near_zero", pl.col("ev_correlation")
    controls = scores.filter((pl.col("author") == SHUFFLED_CONTROL) & value.is_not_null())
    by_sample = controls.group_by("sample").agg(mean=value.mean(), error=value.std() / pl.len().sqrt(), n=pl.len())
    told = by_sample.filter(pl.col("n") > 1).sort("sample").to_dicts()
    if not told:
        return Finding(name, passed=True, said="there are no two scores of shuffled explanations")
    far = [row for row in told if abs(row["mean"]) - _ERRORS_OF_DOUBT * row["error"] > most]
    numbers = {f"{key}_{row['sample']}": row[key] for row in told for key in ("mean", "error", "n")} | {"limit": most}
    said = "; ".join(f"{row['sample']} {row['mean']:+.3f} ± {row['error']:.3f}" for row in told)
    return Finding(name, not far, f"mean score of shuffled explanations: {said}; limit {most:g}", numbers)


def not_dropped(now: Mapping[str, float], before: Mapping[str, Any], most: float) -> Finding:
    """`now` is of `own_means`, `before` the metadata of the layer's last materialization, or nothing."""
    both = {name: (before[name], mean) for name, mean in now.items() if isinstance(before.get(name), float)}
    if not both:
        return Finding("not_dropped", passed=True, said="there is nothing to compare with yet", numbers={"limit": most})
    dropped = [name for name, (old, new) in both.items() if old - new > most]
    said = "; ".join(f"{name} {old:.3f} before, {new:.3f} now" for name, (old, new) in both.items())
    numbers = {f"drop_of_{name}": round(old - new, 4) for name, (old, new) in both.items()} | {"limit": most}
    return Finding("not_dropped", not dropped, f"{said}; limit {most:g}", numbers)


def own_means(scores: pl.DataFrame) -> dict[str, float]:
    """Of the candidates that stand for their neurons, the scores that are defined, by sample, as in the metadata."""
    by_sample = of_chosen(scores).group_by("sample").agg(pl.col("ev_correlation").mean())
    means: dict[str, float | None] = dict(by_sample.sort("sample").iter_rows())
    return {f"score_{sample}": round(mean, 4) for sample, mean in means.items() if mean is not None}


def _share(n: int, n_all: int, what: str, most: float) -> tuple[dict[str, float], str]:
    share = n / n_all if n_all else 0.0
    said = f"{n} of {n_all} {what}; limit {most:.0%}"
    return {"share": round(share, 4), "limit": most, "rows": n_all}, said


def _first(rows: pl.DataFrame) -> Iterator[dict[str, Any]]:
    return rows.head(_MOST_CULPRITS).iter_rows(named=True)


def _failure(row: Mapping[str, Any]) -> str:
    keys = ("neuron_index", "sample", "candidate", "excerpt_index")
    told = "".join(
        letter if letter.isprintable() else " " for letter in str(row["failure"])[:80]
    )  # it may be a server's
    return f"{_named({key: row[key] for key in keys if key in row})}: {told}"


def _named(row: Mapping[str, Any]) -> str:
    return " ".join(f"{name.removesuffix('_index')} {value}" for name, value in row.items() if value is not None)
