"""From which columns of other tables each column is made: `TABLE.COLUMN`, by table and column.

Here: that, as data. Not here: what the columns mean (`schemas.py`), and how Dagster is told (`assets/specs.py`). A
column that is not named is made of nothing in a table: of documents, of the ledger, of the study itself.
"""

from collections.abc import Mapping

_ACTIVATIONS = ("activations.activations", "excerpts.tokens")
_TOKENS = ("excerpts.token_ids",)
_STATISTICS = ("excerpts.token_ids", "excerpts.split")
_AGREEMENT = ("activations.activations", "simulations.simulated", "excerpts.tokens")
"""The tokens serve the lookups, which read no explanation."""
_FINAL_AGREEMENT = ("activations.activations", "final_simulations.simulated", "excerpts.tokens")
_INTERVAL = (*_AGREEMENT, "excerpts.document_index")
_DIVERGENCES = ("ablations.divergence_simulated", "ablations.divergence_mean", "ablations.noise")
_SCORES = ("scores.ev_correlation",)
_VALUES = (*_SCORES, "scores.chosen", "metrics.value")


def _same(table: str, *columns: str) -> dict[str, tuple[str, ...]]:
    """Columns that are taken over as they are."""
    return {column: (f"{table}.{column}",) for column in columns}


SOURCES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "excerpts": {},
    "activations": {
        **_same("excerpts", "split", "excerpt_index"),
        **dict.fromkeys(("kind", "rank", "peak", "activations"), _TOKENS),
    },
    "neuron_statistics": dict.fromkeys(
        (
            *("n_tokens", "mean", "variance", "maximum", "share_positive", "n_sampled_tokens", "share_active"),
            *("skewness", "kurtosis", "quantile_50", "quantile_90", "quantile_99", "quantile_999"),
        ),
        _STATISTICS,
    ),
    "explanations": {
        **_same("activations", "layer_index", "neuron_index"),
        "explanation": (*_ACTIVATIONS, "neuron_statistics.pushes_up", "neuron_statistics.pushes_down"),
        "failure": _ACTIVATIONS,
    },
    "counterexamples": {
        **_same("explanations", "layer_index", "neuron_index"),
        **_same("activations", "excerpt_index", "activations", "peak"),
        **_same("excerpts", "tokens"),
        **dict.fromkeys(("number", "token", "cost", "failure"), (*_ACTIVATIONS, "explanations.explanation")),
        **dict.fromkeys(("sentence", "should_fire"), ("explanations.explanation",)),
        "fault": (*_ACTIVATIONS, "explanations.explanation", "neuron_statistics.maximum"),
    },
    "revised_explanations": {
        **_same("explanations", "layer_index", "neuron_index", "explainer"),
        **dict.fromkeys(
            ("explanation", "failure"), (*_ACTIVATIONS, "explanations.explanation", "neuron_statistics.maximum")
        ),
    },
    "meanings": {
        **_same("explanations", "layer_index", "neuron_index"),
        **dict.fromkeys(("n_meanings", "meaning", "n_excerpts", "tokens", "explanation", "failure"), _ACTIVATIONS),
    },
    "labels": {},
    "candidates": {
        **{
            column: tuple(f"{table}.{column}" for table in ("explanations", "revised_explanations", "meanings"))
            for column in ("layer_index", "neuron_index", "explainer", "failure")
        },
        "explanation": tuple(
            f"{table}.explanation" for table in ("explanations", "revised_explanations", "meanings", "labels")
        ),
        "candidate": ("explanations.sample", "revised_explanations.round", "meanings.n_meanings", "labels.label"),
        "author": ("labels.author",),
        **_same("revised_explanations", "parent"),
        "taken_from": ("explanations.neuron_index",),
    },
    "simulations": {
        **_same("candidates", "layer_index", "neuron_index", "candidate"),
        **_same("activations", "excerpt_index"),
        "simulated": ("candidates.explanation", "excerpts.tokens"),
        "distribution": ("candidates.explanation", "excerpts.tokens"),
        "failure": ("candidates.explanation", "candidates.failure", "excerpts.tokens"),
    },
    "scores": {
        **_same("candidates", "layer_index", "neuron_index", "candidate", "author", "explainer"),
        **_same("simulations", "simulator"),
        **dict.fromkeys(("ev_correlation", "r2", "absolute_deviation"), _AGREEMENT),
        "chosen": (*_AGREEMENT, "candidates.explanation"),
        **dict.fromkeys(("ev_correlation_low", "ev_correlation_high", "interval_failure", "document_sums"), _INTERVAL),
        "failure": (*_AGREEMENT, "simulations.failure", "neuron_statistics.maximum"),
        "n_excerpts": ("activations.excerpt_index",),
        "n_documents": ("excerpts.document_index",),
        "n_tokens": ("activations.activations",),
    },
    "judgements": {
        **_same("candidates", "layer_index", "neuron_index", "candidate", "explanation"),
        **_same("activations", "excerpt_index"),
        **dict.fromkeys(("stratum", "marked"), _ACTIVATIONS),
        **dict.fromkeys(("probability", "failure"), ("candidates.explanation", *_ACTIVATIONS, "simulations.simulated")),
    },
    "ablations": {
        **_same("candidates", "layer_index", "neuron_index", "candidate"),
        **_same("activations", "excerpt_index"),
        "divergence_simulated": ("activations.activations", "simulations.simulated", *_TOKENS),
        "divergence_mean": ("neuron_statistics.mean", *_TOKENS),
        "noise": _TOKENS,
        "failure": ("simulations.failure",),
    },
    "metrics": {
        **_same("candidates", "layer_index", "neuron_index", "candidate", "author", "explainer"),
        **_same("simulations", "simulator"),
        **_same("scores", "chosen"),
        **dict.fromkeys(
            ("value", "chance", "failure"),
            (*_AGREEMENT, "neuron_statistics.maximum", "judgements.probability", *_DIVERGENCES),
        ),
        **dict.fromkeys(
            ("value_low", "value_high", "interval_failure"), (*_INTERVAL, "judgements.probability", *_DIVERGENCES)
        ),
        "n_excerpts": ("activations.excerpt_index",),
        "n_documents": ("excerpts.document_index",),
    },
    "token_index": {
        **_same("activations", "layer_index", "neuron_index"),
        "token": ("excerpts.tokens",),
        **dict.fromkeys(
            ("n_firing", "mean", "peak", "share"), ("activations.activations", "neuron_statistics.maximum")
        ),
    },
    "final_simulations": {
        **_same("candidates", "layer_index", "neuron_index"),
        "candidate": ("candidates.candidate", "scores.chosen"),
        **_same("activations", "excerpt_index"),
        **dict.fromkeys(("simulated", "distribution"), ("candidates.explanation", "excerpts.tokens")),
        "failure": ("candidates.explanation", "candidates.failure", "excerpts.tokens"),
    },
    "final_scores": {
        **_same("candidates", "layer_index", "neuron_index", "candidate", "author", "explainer"),
        **_same("final_simulations", "simulator"),
        **_same("scores", "chosen"),
        **dict.fromkeys(("ev_correlation", "r2", "absolute_deviation"), _FINAL_AGREEMENT),
        **dict.fromkeys(
            ("ev_correlation_low", "ev_correlation_high", "interval_failure", "document_sums"),
            (*_FINAL_AGREEMENT, "excerpts.document_index"),
        ),
        "failure": (*_FINAL_AGREEMENT, "final_simulations.failure", "neuron_statistics.maximum"),
        "n_excerpts": ("activations.excerpt_index",),
        "n_documents": ("excerpts.document_index",),
        "n_tokens": ("excerpts.token_ids",),
    },
    "openings": {},
    "layer_summary": {
        **_same("scores", "layer_index", "author", "scorer", "sample", "explainer", "simulator"),
        "n_neurons": ("scores.neuron_index",),
        **dict.fromkeys(("mean_low", "mean_high", "interval_failure"), ("scores.document_sums",)),
        **dict.fromkeys(
            ("gain", "gain_low", "gain_high", "gain_failure"), (*_SCORES, "scores.chosen", "scores.document_sums")
        ),
        **dict.fromkeys(("mean", "n_undefined", "quantile_10", "median", "quantile_90", "share_above_half"), _SCORES),
        **dict.fromkeys(("best_neuron", "worst_neuron"), (*_SCORES, "scores.neuron_index")),
    },
    "trends": {
        **_same("scores", "layer_index", "author", "sample", "explainer", "simulator"),
        "n_neurons": ("scores.neuron_index",),
        **dict.fromkeys(
            ("bin", "bin_low", "bin_high"), ("neuron_statistics.share_active", "neuron_statistics.kurtosis")
        ),
        **dict.fromkeys(("mean_low", "mean_high", "interval_failure"), ("scores.document_sums",)),
        **dict.fromkeys(("mean", "failure", "n_undefined"), _SCORES),
        **dict.fromkeys(("share_above_half", "share_above_70", "share_above_80"), _SCORES),
    },
    "comparison": {
        **_same("scores", "layer_index"),
        **{name: (f"scores.{name}", f"metrics.{name}") for name in ("scorer", "sample")},
        **dict.fromkeys(("explainer", "baseline_explainer"), ("scores.explainer",)),
        **dict.fromkeys(("simulator", "baseline_simulator"), ("scores.simulator",)),
        "metric": ("metrics.metric",),
        **dict.fromkeys(("n_neurons", "n_left_out", "baseline_mean", "mean", "difference", "win_rate"), _VALUES),
        **dict.fromkeys(("difference_low", "difference_high", "interval_failure"), (*_VALUES, "scores.document_sums")),
        **dict.fromkeys(("left_out", "failure"), (*_VALUES, "scores.failure", "metrics.failure")),
    },
    "spending": {},
}
