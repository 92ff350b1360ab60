"""The step from simulations to scores: how well they agree with what the neuron did, and how well a mere lookup does.

Put here: the asset `scores`. Keep out: the arithmetic (`method/scoring.py`, `method/intervals.py`).
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from neuron_assets.assets.checks import (
    Finding,
    control_near_zero,
    few_undefined,
    has_all,
    not_dropped,
    own_means,
    scored_apart,
)
from neuron_assets.assets.choices import decide
from neuron_assets.assets.expected_rows import expected_scores
from neuron_assets.assets.explainers import is_no_fault
from neuron_assets.assets.held_out import HeldOut, Layer
from neuron_assets.assets.helped import helped_in_layer
from neuron_assets.assets.history import last_materialization
from neuron_assets.assets.pictures import neurons_table, simulation_picture
from neuron_assets.assets.predictions import LOOKUPS, Prediction, of_candidates, of_lookups
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import (
    SCORERS,
    Result,
    asset_key,
    hand_over,
    made_by,
    scorers_in_words,
    seconds_since,
    table_asset,
)
from neuron_assets.assets.viewer_links import layer_link, linked_name
from neuron_assets.lineage import lineages
from neuron_assets.method.controls import CONTROLS
from neuron_assets.method.intervals import neuron_intervals
from neuron_assets.method.samples import CHOOSING, judge, judge_natural, sampled_rows
from neuron_assets.model_sections import brief
from neuron_assets.study import Study
from neuron_assets.tables.explained import (
    Scored,
    of_chosen,
    of_study,
    reported,
    scores_frame,
    simulated_matrix,
)
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.rows import Corpus, activations_of, corpus, neuron_records, shown_documents
from neuron_assets.tables.store import TableStore

_DOCUMENT = 1
"""Where the document's index stands in each list of `document_sums`."""

REFERENCES = {name: name.removesuffix("_control") for name in CONTROLS} | {
    name: name.removesuffix("_lookup") for name in LOOKUPS
}
"""Authors that an explainer is held against, as the metadata calls them."""
_SHOWN = 5


def scores_asset(study: Study) -> dg.AssetsDefinition:
    @table_asset(study, "scores")
    def scores(  # noqa: PLR0913, PLR0917  # Dagster hands over inputs and resources as arguments
        context: dg.AssetExecutionContext,
        table_store: dg.ResourceParam[TableStore],
        excerpts: pl.DataFrame,
        activations: StoredTable,
        neuron_statistics: pl.DataFrame,
        candidates: pl.DataFrame,
        simulations: pl.DataFrame,
    ) -> Result:
        tag_run(context, study)
        began = time.monotonic()
        texts = corpus(excerpts)
        read = Layer(study, activations, texts, neuron_statistics)
        kept = _kept(study, table_store, context.partition_key, candidates["neuron_index"].unique().to_list())
        scored = [
            *([] if "simulation" in kept else _of_candidates(read, candidates, simulations)),
            *_of_lookups(read, candidates, kept),
        ]
        made = with_intervals(study, scored)
        frame = pl.concat([*kept.values(), made]).sort(
            pl.col("candidate").is_null(), "neuron_index", "candidate", "scorer", "sample"
        )
        facts = _facts(study, frame) | {"kept": frame.height - made.height} | made_by(frame) | seconds_since(began)
        facts |= _best_and_worst(study, activations, texts, candidates, simulations, frame)
        facts |= helped_in_layer(study, frame) | layer_link(study, context.partition_key)
        context.add_asset_metadata(facts, asset_key(study, "scores"), context.partition_key)
        shown = shown_documents(activations, excerpts, candidates["neuron_index"].unique().to_list())
        last = last_materialization(context.instance, asset_key(study, "scores"), context.partition_key)
        before = {} if last is None else {name: value.value for name, value in last.metadata.items()}
        apart = scored_apart(excerpts, shown, scored_documents(frame))
        yield from hand_over(
            context,
            study,
            "scores",
            frame,
            lambda rows: [apart, *_found(study, rows, candidates, before)],
            notes={SCORERS: scorers_in_words(study)},
        )

    return scores


def with_intervals(study: Study, scored: Sequence[Scored]) -> pl.DataFrame:
    """As rows of the table `scores`."""
    sums = [one.judgement.sums for one in scored if one.judgement.sums is not None]
    intervals = iter(neuron_intervals(sums, seed=study.scoring.seed, n_draws=study.scoring.draws))
    ends = [one.interval if one.judgement.sums is None else next(intervals) for one in scored]
    return scores_frame(scored, ends)


def _kept(study: Study, store: TableStore, layer: str, neurons: Sequence[int]) -> Mapping[str, pl.DataFrame]:
    """By scorer, the rows that still stand: a lookup's by neuron, those of simulations only all together."""
    lineage = lineages(study)["scores"]
    everything = store.current(study.name, "scores", lineage, layer)
    lookups = store.current(study.name, "scores", lineage, layer, but_for={"candidates", "simulations"})
    wanted = pl.col("scorer").is_in(study.scoring.scorers) & pl.col("sample").is_in(_samples(study, "simulation"))
    if everything is not None:
        rows = everything.filter(wanted)
    elif lookups is not None:
        rows = lookups.filter(wanted, pl.col("scorer") != "simulation", pl.col("neuron_index").is_in(neurons))
    else:
        return {}
    return {
        scorer: of_scorer
        for (scorer,), of_scorer in rows.partition_by("scorer", as_dict=True).items()
        if of_scorer["sample"].n_unique() == len(_samples(study, str(scorer)))
    }


def _samples(study: Study, scorer: str) -> Sequence[str]:
    """Of the rows of a scorer, those included that candidates are chosen by."""
    return (*study.scoring.samples, CHOOSING) if study.chooses and scorer == "simulation" else study.scoring.samples


def _of_candidates(layer: Layer, candidates: pl.DataFrame, simulations: pl.DataFrame) -> Iterator[Scored]:
    predictions = of_candidates(candidates, simulations)
    for held in layer.held_out(candidates["neuron_index"].unique().to_list()):
        of_neuron = list(predictions(held.valid.neuron.neuron_index))
        decision = decide(layer.study, held, of_neuron)
        for one in of_neuron:
            stands = one.candidate == decision.candidate
            yield from scored_on(layer, held, one, stands=stands)
            if one.candidate is not None and one.candidate in decision.judgements:
                chosen_by = decision.judgements[one.candidate]
                whose = (held.valid.neuron, one.candidate, one.author, stands, one.scorer)
                yield Scored(*whose, CHOOSING, one.explainer, one.simulator, *chosen_by)


def _of_lookups(layer: Layer, candidates: pl.DataFrame, kept: Mapping[str, pl.DataFrame]) -> Iterator[Scored]:
    neurons = set(candidates["neuron_index"])
    missing = {
        name: neurons.difference(kept[name]["neuron_index"] if name in kept else ())
        for name in LOOKUPS
        if name in layer.study.scoring.scorers
    }
    read = sorted(set().union(*missing.values()))
    for shown, held in zip(layer.shown(read), layer.held_out(read), strict=True):
        names = [name for name, without in missing.items() if shown.neuron.neuron_index in without]
        for prediction in of_lookups(shown, names):
            yield from scored_on(layer, held, prediction)


def scored_on(layer: Layer, held: HeldOut, prediction: Prediction, *, stands: bool = False) -> Iterator[Scored]:
    """A prediction by sample; whether it stands for its neuron."""
    record, scoring = held.valid, layer.study.scoring
    simulated = prediction.expected(record)
    judged = {
        sample: judge(record, rows, simulated)
        for sample, rows in sampled_rows(record.exemplars, scoring.top, scoring.random).items()
    }
    if (drawn := held.natural) is not None:
        judged["natural_rate"] = judge_natural(drawn, prediction.expected(drawn), layer.active(held, drawn))
    whose = (prediction.candidate, prediction.author, stands, prediction.scorer)
    models = (prediction.explainer, prediction.simulator)
    for sample, judgement in judged.items():
        yield Scored(record.neuron, *whose, sample, *models, judgement)


def scored_documents(frame: pl.DataFrame) -> pl.Series:
    return frame["document_sums"].explode().drop_nulls().list.get(_DOCUMENT).cast(pl.Int32)


def _found(study: Study, frame: pl.DataFrame, candidates: pl.DataFrame, before: Mapping[str, Any]) -> list[Finding]:
    limits, lookups = study.checks, [name for name in LOOKUPS if name in study.scoring.scorers]
    without_text = candidates.filter(is_no_fault())
    # At the natural rate a neuron that is hardly ever active has no score, whatever is said of it.
    judged = of_chosen(frame).filter(pl.col("sample") != "natural_rate")
    n_left_out = judged.height
    judged = judged.join(without_text, on=("neuron_index", "candidate"), how="anti")
    n_left_out -= judged.height
    return [
        has_all(frame, _expected(study, candidates, lookups)),
        few_undefined(judged, n_left_out, limits.most_undefined),
        control_near_zero(frame, limits.most_control),
        not_dropped(own_means(frame), before, limits.most_drop),
    ]


def _expected(study: Study, candidates: pl.DataFrame, lookups: Sequence[str]) -> pl.DataFrame:
    scored = expected_scores(candidates, lookups, study.scoring.samples)
    if not study.chooses:
        return scored
    contenders = candidates.filter(of_study())
    return pl.concat([scored, expected_scores(contenders, (), (CHOOSING,))])


def _facts(study: Study, frame: pl.DataFrame) -> dict[str, Any]:
    """Means of the defined scores, the explainer's own and its references', and how many are in none of them.

    Its own are of the candidates that stand for their neurons.
    """
    references = reported(frame).filter(pl.col("author").is_in(list(REFERENCES)))
    own = of_chosen(frame)
    whose = pl.concat([own, references]).with_columns(pl.col("author").replace_strict(REFERENCES, default="score"))
    means = whose.group_by("author", "sample", maintain_order=True).agg(pl.col("ev_correlation").mean()).drop_nulls()
    undefined = whose.filter(pl.col("failure").is_not_null())["author"]
    return {
        "explainer": brief(own["explainer"][0] if own.height else study.explainer_identity),
        "simulator": brief(own["simulator"][0] if own.height else study.simulator_identity),
        **{f"{author}_{sample}": round(mean, 4) for author, sample, mean in means.iter_rows()},
        "undefined_scores": int((undefined == "score").sum()),
        "undefined_references": int((undefined != "score").sum()),
    }


def _best_and_worst(  # noqa: PLR0913, PLR0917  # all that a picture is made of
    study: Study,
    activations: StoredTable,
    texts: Corpus,
    candidates: pl.DataFrame,
    simulations: pl.DataFrame,
    frame: pl.DataFrame,
) -> dict[str, dg.MetadataValue]:
    """Neurons by their top-and-random score, and the best and the worst in colour; nothing where none has one."""
    own = of_chosen(frame).filter(pl.col("sample") == "top_and_random")
    keys = ("layer_index", "neuron_index", "candidate")
    texts_of = candidates.select(*keys, "explanation")
    ranked = own.drop_nulls("ev_correlation").join(texts_of, on=keys).sort("ev_correlation", descending=True)
    if ranked.is_empty():
        return {}
    best, worst = ranked.head(_SHOWN).to_dicts(), ranked.slice(_SHOWN).tail(_SHOWN).reverse().to_dicts()
    ends = {"best": best, "worst": worst}
    shown = [neurons_table(title, rows, partial(linked_name, study)) for title, rows in ends.items() if rows]
    for row in (best[0], *worst[:1]):
        of_row = (pl.col("neuron_index") == row["neuron_index"]) & (pl.col("candidate") == row["candidate"])
        (record,) = neuron_records(activations_of(activations, "valid", [row["neuron_index"]]), texts)
        simulated = simulated_matrix(simulations.filter(of_row), record)
        shown.append(simulation_picture(record, simulated, row["explanation"], row["author"], study.unit_name))
    return {"best_and_worst": dg.MetadataValue.md("\n\n".join(shown))}
