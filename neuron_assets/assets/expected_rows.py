"""The rows that a table must have, if only to say why there is no value: what the check `complete` asks for.

Put here: the keys of those rows, as frames. Keep out: the check itself (`checks.py`).
"""

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from neuron_assets.method.judging.cases import Cases
from neuron_assets.method.judging.cases import Scorer as JudgedScorer
from neuron_assets.method.judging.measuring import JUDGED_METRICS
from neuron_assets.method.samples import Sample
from neuron_assets.sections import ControlsSection


def neurons(indices: Sequence[int] | range) -> pl.DataFrame:
    """The rows that must be there of these neurons."""
    return pl.DataFrame({"neuron_index": pl.Series(indices, dtype=pl.Int32)})


def rounds_of(neuron_indices: Sequence[int], n_rounds: int) -> pl.DataFrame:
    """The rows that must be there of these neurons' revisions."""
    numbers = pl.DataFrame({"round": pl.Series(range(1, n_rounds + 1), dtype=pl.Int32)})
    return neurons(neuron_indices).join(numbers, how="cross")


def expected_candidates(explanations: pl.DataFrame, controls: ControlsSection, n_further: int = 0) -> pl.DataFrame:
    """Every explanation, and after those of its neuron so many further ones, then its controls.

    A lone neuron cannot have a shuffled one.
    """
    written = explanations.select("neuron_index", candidate="sample")
    n_controls = int(controls.shuffled and written["neuron_index"].n_unique() > 1) + int(controls.over_broad)
    last = written.group_by("neuron_index").agg(pl.col("candidate").max())
    more = [last.with_columns(pl.col("candidate") + number) for number in range(1, n_further + n_controls + 1)]
    return pl.concat([written, *more])


def expected_simulations(candidates: pl.DataFrame, held_out: pl.DataFrame) -> pl.DataFrame:
    """Every candidate on every excerpt that is held out for its neuron."""
    pairs = held_out.select("neuron_index", "excerpt_index")
    return candidates.select("neuron_index", "candidate").join(pairs, on="neuron_index")


def expected_scores(candidates: pl.DataFrame, lookups: Sequence[str], samples: Sequence[str]) -> pl.DataFrame:
    """Every candidate and every lookup of its neuron in every sample."""
    simulated = candidates.select("neuron_index", "candidate", scorer=pl.lit("simulation"))
    looked_up = candidates.select("neuron_index", candidate=pl.lit(None, pl.Int32)).unique()
    looked_up = looked_up.join(pl.DataFrame({"scorer": lookups}), how="cross")
    return pl.concat([simulated, looked_up]).join(pl.DataFrame({"sample": samples}), how="cross")


def expected_metrics(
    candidates: pl.DataFrame, lookups: Sequence[str], metrics: Mapping[Sample, Sequence[str]]
) -> pl.DataFrame:
    """Every candidate and every lookup of its neuron with every metric of every sample."""
    wanted = [{"sample": sample, "metric": metric} for sample, names in metrics.items() for metric in names]
    scored = expected_scores(candidates, lookups, ["random_only"]).drop("sample")
    return scored.join(pl.DataFrame(wanted, {"sample": pl.String, "metric": pl.String}), how="cross")


def expected_judgements(candidates: pl.DataFrame, cases: Iterable[Cases]) -> pl.DataFrame:
    """Every candidate with every scorer on each excerpt that was chosen for its neuron."""
    types = {"neuron_index": pl.Int32, "scorer": pl.String, "excerpt_index": pl.Int32}
    rows = [
        (each.record.neuron.neuron_index, each.scorer, excerpt)
        for each in cases
        for excerpt in each.record.exemplars.excerpt_indices.tolist()
    ]
    return candidates.select("neuron_index", "candidate").join(
        pl.DataFrame(rows, types, orient="row"), on="neuron_index"
    )


def expected_judged_metrics(candidates: pl.DataFrame, scorers: Sequence[JudgedScorer]) -> pl.DataFrame:
    """Every candidate with every metric of every scorer that asks a judge."""
    names = ("scorer", "sample", "metric")
    wanted = [(scorer, "judged", metric) for scorer in scorers for metric in JUDGED_METRICS[scorer]]
    rows = pl.DataFrame(wanted, dict.fromkeys(names, pl.String), orient="row")
    return candidates.select("neuron_index", "candidate").join(rows, how="cross")
