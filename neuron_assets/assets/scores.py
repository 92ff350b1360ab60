"""The step from simulations to scores: how well they agree with what the neuron did, and how well a mere lookup does.

Put here: the asset `scores`. Keep out: the arithmetic (`method/scoring.py`, `method/intervals.py`).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
from jaxtyping import Float

from neuron_assets.assets.pictures import neurons_table, simulation_picture
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import Result, asset_key, brief, hand_over, seconds_since, table_asset
from neuron_assets.method.controls import SHUFFLED_CONTROL
from neuron_assets.method.intervals import neuron_intervals
from neuron_assets.method.lookups import BigramLookup, UnigramLookup, fit_bigram, fit_unigram
from neuron_assets.method.records import Exemplars, NeuronRecord
from neuron_assets.method.samples import judge, sampled_rows, shown_rows
from neuron_assets.study import Study
from neuron_assets.tables.explained import NOBODY, Scored, scores_frame, simulated_matrix
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.rows import Corpus, activations_of, corpus, neuron_records

LOOKUPS: Mapping[str, Callable[[Exemplars], UnigramLookup | BigramLookup]] = {
    "unigram_lookup": fit_unigram,
    "bigram_lookup": fit_bigram,
}

REFERENCES = {SHUFFLED_CONTROL: "shuffled"} | {name: name.removesuffix("_lookup") for name in LOOKUPS}
"""Authors that an explainer is held against, as the metadata calls them."""
_SHOWN = 5


def scores_asset(study: Study) -> dg.AssetsDefinition:
    @table_asset(study, "scores")
    def scores(
        context: dg.AssetExecutionContext,
        excerpts: pl.DataFrame,
        activations: StoredTable,
        candidates: pl.DataFrame,
        simulations: pl.DataFrame,
    ) -> Result:
        tag_run(context, study)
        began = time.monotonic()
        texts = corpus(excerpts)
        scored = [
            *_of_candidates(study, activations, texts, candidates, simulations),
            *_of_lookups(study, activations, texts, candidates),
        ]
        sums = [one.judgement.sums for one in scored if one.judgement.sums is not None]
        intervals = iter(neuron_intervals(sums, seed=study.scoring.seed, n_draws=study.scoring.draws))
        frame = scores_frame(scored, [None if one.judgement.sums is None else next(intervals) for one in scored])
        facts = _facts(study, frame) | seconds_since(began)
        facts |= _best_and_worst(activations, texts, candidates, simulations, frame)
        context.add_asset_metadata(facts, asset_key(study, "scores"), context.partition_key)
        return hand_over(context, study, "scores", frame)

    return scores


def _of_candidates(
    study: Study, activations: StoredTable, texts: Corpus, candidates: pl.DataFrame, simulations: pl.DataFrame
) -> Iterator[Scored]:
    neurons = candidates["neuron_index"].unique().to_list()
    simulated = simulations.partition_by("neuron_index", "candidate", as_dict=True)
    by_neuron = candidates.partition_by("neuron_index", as_dict=True)
    for record in neuron_records(activations_of(activations, "valid", neurons), texts):
        for candidate in by_neuron[(record.neuron.neuron_index,)].to_dicts():
            rows = simulated[(record.neuron.neuron_index, candidate["candidate"])]
            expected = simulated_matrix(rows, record)
            whose = (candidate["candidate"], candidate["author"], "simulation")
            yield from _scored(study, record, whose, (candidate["explainer"], rows["simulator"][0]), expected)


def _of_lookups(study: Study, activations: StoredTable, texts: Corpus, candidates: pl.DataFrame) -> Iterator[Scored]:
    """Unigram and bigram tables fitted on `train`: the bar that an explanation in words must clear."""
    neurons = candidates["neuron_index"].unique().to_list()
    train = neuron_records(activations_of(activations, "train", neurons), texts)
    valid = neuron_records(activations_of(activations, "valid", neurons), texts)
    for shown, record in zip(train, valid, strict=True):
        for name, fit in LOOKUPS.items():
            expected = fit(shown.only(shown_rows(shown.exemplars)).exemplars).predict(record.exemplars.tokens)
            yield from _scored(study, record, (None, name, name), (NOBODY, NOBODY), expected)


def _scored(
    study: Study,
    record: NeuronRecord,
    whose: tuple[int | None, str, str],
    models: tuple[str, str],
    simulated: Float[np.ndarray, "excerpt token"],
) -> Iterator[Scored]:
    candidate, author, scorer = whose
    for sample, rows in sampled_rows(record.exemplars, study.scoring.top, study.scoring.random).items():
        yield Scored(record.neuron, candidate, author, scorer, sample, *models, judge(record, rows, simulated))


def _facts(study: Study, frame: pl.DataFrame) -> dict[str, Any]:
    """Means of the defined scores, the explainer's own and its references', and how many are in none of them."""
    whose = frame.with_columns(pl.col("author").replace_strict(REFERENCES, default="score"))
    means = whose.group_by("author", "sample", maintain_order=True).agg(pl.col("ev_correlation").mean()).drop_nulls()
    undefined = whose.filter(pl.col("failure").is_not_null())["author"]
    own = whose.filter(pl.col("author") == "score")
    return {
        "explainer": brief(own["explainer"][0] if own.height else study.explainer_identity),
        "simulator": brief(own["simulator"][0] if own.height else study.simulator_identity),
        **{f"{author}_{sample}": round(mean, 4) for author, sample, mean in means.iter_rows()},
        "undefined_scores": int((undefined == "score").sum()),
        "undefined_references": int((undefined != "score").sum()),
    }


def _best_and_worst(
    activations: StoredTable, texts: Corpus, candidates: pl.DataFrame, simulations: pl.DataFrame, frame: pl.DataFrame
) -> dict[str, dg.MetadataValue]:
    """Neurons by their top-and-random score, and the best and the worst in colour; nothing where none has one."""
    own = frame.filter(
        (pl.col("sample") == "top_and_random")
        & (pl.col("scorer") == "simulation")
        & (pl.col("author") != SHUFFLED_CONTROL)
    )
    keys = ("layer_index", "neuron_index", "candidate")
    texts_of = candidates.select(*keys, "explanation")
    ranked = own.drop_nulls("ev_correlation").join(texts_of, on=keys).sort("ev_correlation", descending=True)
    if ranked.is_empty():
        return {}
    best, worst = ranked.head(_SHOWN).to_dicts(), ranked.slice(_SHOWN).tail(_SHOWN).reverse().to_dicts()
    shown = [neurons_table("best", best), *([neurons_table("worst", worst)] if worst else [])]
    for row in (best[0], *worst[:1]):
        of_row = (pl.col("neuron_index") == row["neuron_index"]) & (pl.col("candidate") == row["candidate"])
        (record,) = neuron_records(activations_of(activations, "valid", [row["neuron_index"]]), texts)
        simulated = simulated_matrix(simulations.filter(of_row), record)
        shown.append(simulation_picture(record, simulated, row["explanation"], row["author"]))
    return {"best_and_worst": dg.MetadataValue.md("\n\n".join(shown))}
