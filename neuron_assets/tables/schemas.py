"""The tables, each declared once: columns, types, bounds and what every column means.

Here: one pandera model a table, but for those of the modules `..._schema.py` and `..._schemas.py`.
Not here: what models share (`table_models.py`), how records become rows (`rows.py`) or files (`parquet.py`).
"""

from collections.abc import Mapping

import pandera.polars as pa
import polars as pl

from neuron_assets.method.records import KINDS, LARGEST, SPLITS
from neuron_assets.method.samples import CHOOSING, SAMPLES
from neuron_assets.tables.comparison_schema import Comparison
from neuron_assets.tables.evidence_schemas import Ablations, Judgements
from neuron_assets.tables.openings_schema import Openings
from neuron_assets.tables.revision_schemas import Counterexamples, Labels, Meanings, RevisedExplanations
from neuron_assets.tables.spending_schema import Spending
from neuron_assets.tables.table_models import OfNeurons, Table, WithExplanation
from neuron_assets.tables.token_index_schema import TokenIndex
from neuron_assets.tables.trend_schema import Trends


class Excerpts(Table):
    """The corpus, cut into pieces of equal length."""

    excerpt_index: pl.Int32 = pa.Field(ge=0, unique=True, description="Place in the one shuffled order.")
    document_index: pl.Int32 = pa.Field(ge=0, description="Number of the document that it was cut from.")
    document: pl.String = pa.Field(description="Name of that document.")
    split: pl.String = pa.Field(isin=list(SPLITS), description="Pool of documents: train, calibration, valid or test.")
    text: pl.String = pa.Field(description="The excerpt as running text; untrusted.")
    token_ids: pl.List = pa.Field(dtype_kwargs={"inner": pl.Int32()}, description="The subject's token ids.")
    tokens: pl.List = pa.Field(
        dtype_kwargs={"inner": pl.String()},
        description="Each token as a reader sees it; bytes that are no text of their own stand as <0xE2>.",
    )


class Activations(OfNeurons):
    """For every neuron, the excerpts that were kept for it and what it did on each of their tokens."""

    split: pl.String = pa.Field(isin=list(SPLITS), description="Pool of documents.")
    kind: pl.String = pa.Field(
        isin=list(KINDS), description="One of the highest peaks; drawn for this neuron; or drawn once for all neurons."
    )
    rank: pl.Int32 = pa.Field(ge=0, description="From 0: by falling peak within top, else by excerpt_index.")
    excerpt_index: pl.Int32 = pa.Field(ge=0, description="Row of `excerpts`.")
    peak: pl.Float32 = pa.Field(nullable=False, description="Highest activation over the excerpt's tokens, float32.")
    activations: pl.List = pa.Field(
        dtype_kwargs={"inner": pl.Float32()},
        description="The neuron's activation on each token, raw; rounded to the study's `stored_as`.",
    )


class NeuronStatistics(OfNeurons):
    """What each neuron does over the `train` pool: the one that may be known while explaining."""

    n_tokens: pl.Int64 = pa.Field(ge=1, description="Tokens of the train pool.")
    mean: pl.Float64 = pa.Field(description="Mean activation, exact.")
    variance: pl.Float64 = pa.Field(ge=0, description="Population variance, exact.")
    maximum: pl.Float64 = pa.Field(description="Highest activation, exact.")
    share_positive: pl.Float64 = pa.Field(ge=0, le=1, description="Share of tokens above 0, exact.")
    n_sampled_tokens: pl.Int64 = pa.Field(ge=1, description="Tokens that the columns below are estimated from.")
    share_active: pl.Float64 = pa.Field(ge=0, le=1, description="Share of tokens above `active_share` of the maximum.")
    skewness: pl.Float64 = pa.Field(nullable=True, description="Third standardised moment; null if constant.")
    kurtosis: pl.Float64 = pa.Field(nullable=True, description="Excess kurtosis; null if constant.")
    quantile_50: pl.Float64 = pa.Field(description="Median.")
    quantile_90: pl.Float64 = pa.Field(description="90 % quantile.")
    quantile_99: pl.Float64 = pa.Field(description="99 % quantile.")
    quantile_999: pl.Float64 = pa.Field(description="99.9 % quantile.")
    pushes_up: pl.List = pa.Field(
        nullable=True,
        dtype_kwargs={"inner": pl.String()},
        description="Tokens whose logit it raises most on the straight way to the head, strongest first; else null.",
    )
    pushes_up_weights: pl.List = pa.Field(
        nullable=True, dtype_kwargs={"inner": pl.Float32()}, description="By how much, up to one factor a model."
    )
    pushes_down: pl.List = pa.Field(
        nullable=True, dtype_kwargs={"inner": pl.String()}, description="Tokens whose logit it lowers most."
    )
    pushes_down_weights: pl.List = pa.Field(
        nullable=True, dtype_kwargs={"inner": pl.Float32()}, description="By how much, below 0."
    )


class Explanations(WithExplanation):
    """What the explainer says of each neuron that was asked for."""

    sample: pl.Int32 = pa.Field(ge=0, description="Number of the explanation, where the explainer gives several.")
    explainer: pl.String = pa.Field(description="Who wrote it: provider, version and parameters.")
    explanation: pl.String = pa.Field(nullable=True, description="What the neuron looks for, in words.")
    failure: pl.String = pa.Field(nullable=True, description="Why there is no explanation.")


class Candidates(WithExplanation):
    """The explanations that are simulated and scored, and the controls beside them."""

    candidate: pl.Int32 = pa.Field(ge=0, description="Number of the candidate, from 0, within its neuron.")
    parent: pl.Int32 = pa.Field(nullable=True, ge=0, description="Candidate of the same neuron that it was made from.")
    author: pl.String = pa.Field(
        description="Who wrote it, a person as `human:NAME`; `revision`; `meanings`: a list; `shuffled_control`: "
        'another\'s text; `over_broad_control`: "most words".'
    )
    taken_from: pl.Int32 = pa.Field(
        nullable=True, ge=0, description="For a shuffled control: neuron_index of the neuron whose text it is."
    )
    explainer: pl.String = pa.Field(description="Identity of the explainer behind the text.")
    explanation: pl.String = pa.Field(nullable=True, description="The text that is simulated.")
    failure: pl.String = pa.Field(nullable=True, description="Why there is no text.")


class Simulations(OfNeurons):
    """What the simulator, reading a candidate's text only, expects on each token of each held-out excerpt."""

    candidate: pl.Int32 = pa.Field(ge=0, description="Candidate of the neuron.")
    excerpt_index: pl.Int32 = pa.Field(ge=0, description="Row of `excerpts`; never one of the train pool.")
    simulator: pl.String = pa.Field(description="Who simulated: provider and version.")
    explanation: pl.String = pa.Field(nullable=True, description="The text that it read; null if there was none.")
    simulated: pl.List = pa.Field(
        nullable=True, dtype_kwargs={"inner": pl.Float32()}, description=f"Expected activation a token, 0 to {LARGEST}."
    )
    distribution: pl.List = pa.Field(
        nullable=True,
        dtype_kwargs={"inner": pl.List(pl.Float32())},
        description=f"Probability of each whole number 0 to {LARGEST}, by token; null where only numbers were given.",
    )
    failure: pl.String = pa.Field(nullable=True, description="Why there is no simulation.")

    @pa.dataframe_check(name="a simulation or a failure, never both")
    def simulated_or_failed(cls, data: pa.PolarsData) -> pl.LazyFrame:  # noqa: N805
        return data.lazyframe.select(pl.col("simulated").is_null() != pl.col("failure").is_null())


class Scores(OfNeurons):
    """How well each simulation agrees with what the neuron did."""

    candidate: pl.Int32 = pa.Field(nullable=True, ge=0, description="Null for a lookup, which reads no explanation.")
    author: pl.String = pa.Field(description="Author of the candidate, or the name of the lookup.")
    chosen: pl.Boolean = pa.Field(
        description="Whether it stands for its neuron: the best of several on `calibration`, or its only one."
    )
    scorer: pl.String = pa.Field(description="simulation, unigram_lookup or bigram_lookup.")
    sample: pl.String = pa.Field(
        isin=[*SAMPLES, CHOOSING],
        description="Which held-out excerpts were used; on `choosing` candidates were chosen, it enters no mean.",
    )
    explainer: pl.String = pa.Field(description="Identity of the explainer; `none` for a lookup.")
    simulator: pl.String = pa.Field(description="Identity of the simulator; `none` for a lookup.")
    ev_correlation: pl.Float64 = pa.Field(
        nullable=True, ge=-1.000001, le=1.000001, description="Correlation over all tokens at once; null if undefined."
    )
    ev_correlation_low: pl.Float64 = pa.Field(
        nullable=True, description="Lower end of its 95 % interval over documents."
    )
    ev_correlation_high: pl.Float64 = pa.Field(nullable=True, description="Upper end of its 95 % interval.")
    r2: pl.Float64 = pa.Field(nullable=True, description="1 - mean squared error / mean square; uncalibrated.")
    absolute_deviation: pl.Float64 = pa.Field(
        nullable=True, description="1 - mean absolute error / mean absolute activation; uncalibrated."
    )
    n_excerpts: pl.Int32 = pa.Field(ge=0, description="Excerpts that were scored.")
    n_documents: pl.Int32 = pa.Field(ge=0, description="Documents that they come from.")
    n_tokens: pl.Int32 = pa.Field(ge=0, description="Tokens that were scored.")
    failure: pl.String = pa.Field(nullable=True, description="Why ev_correlation is null.")
    interval_failure: pl.String = pa.Field(nullable=True, description="Why there is no interval.")
    document_sums: pl.List = pa.Field(
        dtype_kwargs={"inner": pl.List(pl.Float64())},
        description="By kind and document: is_top, document_index, n, sums of a, s, aa, ss, as; for intervals.",
    )

    @pa.dataframe_check(name="a score or a failure, never both")
    def scored_or_failed(cls, data: pa.PolarsData) -> pl.LazyFrame:  # noqa: N805
        return data.lazyframe.select(pl.col("ev_correlation").is_null() != pl.col("failure").is_null())


class Metrics(OfNeurons):
    """How good each explanation is beside its correlation: once calibrated, on text as it comes, and by judges."""

    candidate: pl.Int32 = pa.Field(nullable=True, ge=0, description="Null for a lookup, which reads no explanation.")
    author: pl.String = pa.Field(description="Author of the candidate, or the name of the lookup.")
    chosen: pl.Boolean = pa.Field(description="Whether it stands for its neuron; where none was chosen, the first.")
    scorer: pl.String = pa.Field(description="simulation, ablation, detection, fuzzing, or a lookup.")
    sample: pl.String = pa.Field(isin=[*SAMPLES, "judged"], description="Which held-out excerpts were used.")
    metric: pl.String = pa.Field(description="Such as r2, auprc, precision, ablation (docs/scores.md).")
    explainer: pl.String = pa.Field(description="Identity of the explainer; `none` for a lookup.")
    simulator: pl.String = pa.Field(description="Identity of the simulator; `none` for lookups and models that judge.")
    value: pl.Float64 = pa.Field(nullable=True, le=1.000001, description="1 is exact; null if undefined.")
    value_low: pl.Float64 = pa.Field(nullable=True, description="Lower end of its 95 % interval over documents.")
    value_high: pl.Float64 = pa.Field(nullable=True, description="Upper end of its 95 % interval.")
    chance: pl.Float64 = pa.Field(
        nullable=True, description="What knowing only how active the neuron is on the whole gets; null if nothing does."
    )
    n_excerpts: pl.Int32 = pa.Field(ge=0, description="Excerpts that it was measured on.")
    n_documents: pl.Int32 = pa.Field(ge=0, description="Documents that they come from.")
    failure: pl.String = pa.Field(nullable=True, description="Why there is no value.")
    interval_failure: pl.String = pa.Field(nullable=True, description="Why there is no interval.")

    @pa.dataframe_check(name="a value or a failure, never both")
    def measured_or_failed(cls, data: pa.PolarsData) -> pl.LazyFrame:  # noqa: N805
        return data.lazyframe.select(pl.col("value").is_null() != pl.col("failure").is_null())


class FinalSimulations(Simulations):
    """What the simulator expects on excerpts of `test`, for the final report."""


class FinalScores(Scores):
    """How well the simulations of the final report agree with what the neuron did."""


class LayerSummary(Table):
    """The scores of each layer, by scorer and sample."""

    layer_index: pl.Int32 = pa.Field(ge=0, description="Layer, from 0.")
    author: pl.String = pa.Field(
        description="Author of the candidates, a control, the name of a lookup; `chosen`: the best of each neuron."
    )
    scorer: pl.String = pa.Field(description="simulation, unigram_lookup or bigram_lookup.")
    sample: pl.String = pa.Field(isin=list(SAMPLES), description="Which held-out excerpts were used.")
    explainer: pl.String = pa.Field(description="Identity of the explainer; `none` for a lookup.")
    simulator: pl.String = pa.Field(description="Identity of the simulator; `none` for a lookup.")
    n_neurons: pl.Int32 = pa.Field(ge=0, description="Neurons that were asked for.")
    n_undefined: pl.Int32 = pa.Field(ge=0, description="Neurons without a score; they are in no mean.")
    mean: pl.Float64 = pa.Field(nullable=True, description="Mean ev_correlation of the neurons that have one.")
    mean_low: pl.Float64 = pa.Field(nullable=True, description="Lower end of its 95 % interval: documents and neurons.")
    mean_high: pl.Float64 = pa.Field(nullable=True, description="Upper end of its 95 % interval.")
    interval_failure: pl.String = pa.Field(nullable=True, description="Why there is no interval.")
    quantile_10: pl.Float64 = pa.Field(nullable=True, description="10 % quantile of ev_correlation over neurons.")
    median: pl.Float64 = pa.Field(nullable=True, description="Median over neurons.")
    quantile_90: pl.Float64 = pa.Field(nullable=True, description="90 % quantile over neurons.")
    share_above_half: pl.Float64 = pa.Field(nullable=True, ge=0, le=1, description="Share of scores above 0.5.")
    best_neuron: pl.Int32 = pa.Field(nullable=True, ge=0, description="neuron_index of the highest score.")
    worst_neuron: pl.Int32 = pa.Field(nullable=True, ge=0, description="neuron_index of the lowest score.")
    gain: pl.Float64 = pa.Field(
        nullable=True, description="Of `chosen`: mean difference to the first candidate, over neurons with both scores."
    )
    gain_low: pl.Float64 = pa.Field(nullable=True, description="Lower end of its 95 % interval: documents and neurons.")
    gain_high: pl.Float64 = pa.Field(nullable=True, description="Upper end of its 95 % interval.")
    gain_failure: pl.String = pa.Field(nullable=True, description="Of `chosen`: why there is no gain, or no interval.")


SCHEMAS: Mapping[str, type[pa.DataFrameModel]] = {
    "excerpts": Excerpts,
    "activations": Activations,
    "neuron_statistics": NeuronStatistics,
    "explanations": Explanations,
    "counterexamples": Counterexamples,
    "revised_explanations": RevisedExplanations,
    "meanings": Meanings,
    "labels": Labels,
    "candidates": Candidates,
    "simulations": Simulations,
    "scores": Scores,
    "judgements": Judgements,
    "ablations": Ablations,
    "metrics": Metrics,
    "token_index": TokenIndex,
    "final_simulations": FinalSimulations,
    "final_scores": FinalScores,
    "openings": Openings,
    "layer_summary": LayerSummary,
    "trends": Trends,
    "comparison": Comparison,
    "spending": Spending,
}

KEYS: Mapping[str, tuple[str, ...]] = {
    "excerpts": ("excerpt_index",),
    "activations": ("layer_index", "neuron_index", "split", "kind", "rank"),
    "neuron_statistics": ("layer_index", "neuron_index"),
    "explanations": ("layer_index", "neuron_index", "sample"),
    "counterexamples": ("layer_index", "neuron_index", "round", "number"),
    "revised_explanations": ("layer_index", "neuron_index", "round"),
    "meanings": ("layer_index", "neuron_index", "n_meanings", "meaning"),
    "labels": ("layer_index", "neuron_index", "label"),
    "candidates": ("layer_index", "neuron_index", "candidate"),
    "simulations": ("layer_index", "neuron_index", "candidate", "excerpt_index"),
    "scores": ("layer_index", "neuron_index", "candidate", "scorer", "sample"),
    "judgements": ("layer_index", "neuron_index", "candidate", "scorer", "excerpt_index"),
    "ablations": ("layer_index", "neuron_index", "candidate", "excerpt_index"),
    "metrics": ("layer_index", "neuron_index", "candidate", "scorer", "sample", "metric"),
    "token_index": ("layer_index", "token", "neuron_index"),
    "final_simulations": ("layer_index", "neuron_index", "candidate", "excerpt_index"),
    "final_scores": ("layer_index", "neuron_index", "candidate", "scorer", "sample"),
    "openings": ("opening", "layer_index"),
    "layer_summary": ("layer_index", "author", "scorer", "sample"),
    "trends": ("trend", "sample", "author", "layer_index", "bin"),
    "comparison": ("baseline", "study", "layer_index", "scorer", "sample", "metric"),
    "spending": ("asset", "layer_index", "model"),
}
"""The columns that tell the rows of each table apart; tables are sorted by them or in the order they were made."""


def empty(table: str) -> pl.DataFrame:
    """A frame with the columns of `table` and no row."""
    return pl.DataFrame(schema={name: column.dtype.type for name, column in SCHEMAS[table].to_schema().columns.items()})
