"""From verdicts to metrics: how often a judge who reads an explanation was right.

Put here: rows of the table `metrics` by the scorers that ask a judge. Keep out: the arithmetic (`method/judging/`), who
judges (`judges.py`).
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from neuron_assets.assets.held_out import Layer
from neuron_assets.method.intervals import Interval
from neuron_assets.method.judging.activity import Known, NaturalCounts, known_from, natural_counts
from neuron_assets.method.judging.measuring import measure_judged
from neuron_assets.method.metrics import Measured
from neuron_assets.method.records import Answer, NeuronRecord
from neuron_assets.tables.explained import NOBODY
from neuron_assets.tables.judged import judgements_of
from neuron_assets.tables.measured import Of


def judged_metrics(
    layer: Layer, candidates: pl.DataFrame, simulations: pl.DataFrame, judgements: pl.DataFrame
) -> Iterator[tuple[Of, Measured, tuple[Interval, ...]]]:
    """Of each candidate, by scorer."""
    study, scoring = layer.study, layer.study.scoring
    by_neuron = candidates.partition_by("neuron_index", as_dict=True)
    neurons = candidates["neuron_index"].unique().sort().to_list()
    judged = judgements.partition_by("neuron_index", "candidate", "scorer", as_dict=True)
    drawn = {record.neuron.neuron_index: record for record in layer.natural(neurons)}
    simulator = str(simulations["simulator"].first()) if study.judge.provider == "simulation" else NOBODY
    for shown in layer.shown(neurons):
        index = shown.neuron.neuron_index
        natural = _counts(known_from(shown.exemplars, share=study.judging.active_share), drawn.get(index))
        for row in by_neuron[index,].to_dicts():
            for scorer in scoring.judged:
                rows = judged.get((index, row["candidate"], scorer), judgements.clear())
                said = judgements_of(shown.neuron, rows, layer.texts)
                who = NOBODY if scorer == "embedding" else simulator
                yield (
                    Of(shown.neuron, row["candidate"], row["author"], scorer, "judged", row["explainer"], who),
                    *measure_judged(scorer, said, natural, seed=scoring.seed, n_draws=scoring.draws),
                )


def _counts(known: Answer[Known], drawn: NeuronRecord | None) -> Answer[NaturalCounts]:
    """Of no excerpts, where none are kept as they come."""
    if known.value is None:
        return Answer(None, known.failure)
    if drawn is None:
        nothing = np.zeros(0, np.int64)
        return Answer(NaturalCounts(nothing, nothing, nothing))
    return Answer(natural_counts(drawn.exemplars, known.value))
