"""The tables of further explanations, as `schemas.py` has the others.

Here: what explanations were held against, and what they became; what lists of meanings are made of; what people wrote.
Not here: what
tables have in common (`table_models.py`).
"""

from typing import get_args

import pandera.polars as pa
import polars as pl

from neuron_assets.method.labels import HUMAN
from neuron_assets.method.mistakes import Fault
from neuron_assets.tables.table_models import OfNeurons, WithExplanation


class Counterexamples(OfNeurons):
    """Where explanations go wrong, or are put to the test: what they are revised by."""

    round: pl.Int32 = pa.Field(ge=1, description="Round of revision, from 1; it tests what the round before it gave.")
    number: pl.Int32 = pa.Field(
        ge=0, description="From 0: of excerpts the costliest first, of sentences those that should fire."
    )
    source: pl.String = pa.Field(
        isin=["corpus", "explainer"], description="An excerpt of the corpus, or a sentence that the explainer wrote."
    )
    excerpt_index: pl.Int32 = pa.Field(
        nullable=True, ge=0, description="Row of `excerpts`, of the calibration pool; null for a sentence."
    )
    sentence: pl.String = pa.Field(
        nullable=True, description="What the explainer wrote; untrusted. Null for an excerpt."
    )
    should_fire: pl.Boolean = pa.Field(
        nullable=True, description="Whether it was written to make the neuron fire, if the explanation is right."
    )
    tokens: pl.List = pa.Field(
        nullable=True, dtype_kwargs={"inner": pl.String()}, description="The text as the subject cuts it; untrusted."
    )
    activations: pl.List = pa.Field(
        nullable=True, dtype_kwargs={"inner": pl.Float32()}, description="What the neuron did on each token, raw."
    )
    peak: pl.Float32 = pa.Field(nullable=True, description="The highest of these.")
    token: pl.Int32 = pa.Field(
        nullable=True, ge=0, description="Place of the token that costs most, from 0; null for a sentence."
    )
    fault: pl.String = pa.Field(
        nullable=True,
        isin=list(get_args(Fault)),
        description="What the explanation wrongly says there: fires or silent; null where a sentence bears it out.",
    )
    cost: pl.Float64 = pa.Field(
        nullable=True, ge=0, description="What an excerpt takes from the correlation there; null for a sentence."
    )
    failure: pl.String = pa.Field(
        nullable=True, description="Why there is no counterexample, or the sentence was not measured."
    )

    @pa.dataframe_check(name="measured or failed, never both")
    def measured_or_failed(cls, data: pa.PolarsData) -> pl.LazyFrame:  # noqa: N805
        return data.lazyframe.select(pl.col("activations").is_null() != pl.col("failure").is_null())


class RevisedExplanations(WithExplanation):
    """What the explainer says of each neuron in the light of its counterexamples."""

    round: pl.Int32 = pa.Field(ge=1, description="Round of revision, from 1.")
    parent: pl.Int32 = pa.Field(ge=0, description="Candidate of the same neuron that it was made from.")
    explainer: pl.String = pa.Field(description="Who revised it: provider, version and parameters.")
    explanation: pl.String = pa.Field(nullable=True, description="What the neuron looks for, in words.")
    failure: pl.String = pa.Field(nullable=True, description="Why there is no explanation.")


class Meanings(WithExplanation):
    """What each group of a neuron's top excerpts is said to mean, of lists of several lengths."""

    n_meanings: pl.Int32 = pa.Field(ge=2, description="Entries of the list.")
    meaning: pl.Int32 = pa.Field(ge=0, description="Number of the entry, from 0, that of the strongest excerpt first.")
    n_excerpts: pl.Int32 = pa.Field(ge=0, description="Top excerpts of the group; 0 where there is no such list.")
    tokens: pl.List = pa.Field(
        dtype_kwargs={"inner": pl.String()}, description="That fire in most of these excerpts; untrusted."
    )
    explainer: pl.String = pa.Field(description="Who wrote it: provider, version and parameters.")
    explanation: pl.String = pa.Field(nullable=True, description="What the group looks for, in words.")
    failure: pl.String = pa.Field(nullable=True, description="Why there is no explanation, or no such list.")


class Labels(OfNeurons):
    """What people say that neurons look for: explanations from the store of labels, each person's of each text once."""

    label: pl.Int32 = pa.Field(ge=0, description="Number of the label within its neuron, from 0, in the order of time.")
    author: pl.String = pa.Field(str_startswith=HUMAN, description="Who wrote it: `human:NAME`.")
    explanation: pl.String = pa.Field(description="What the neuron looks for, in that person's words; untrusted.")
