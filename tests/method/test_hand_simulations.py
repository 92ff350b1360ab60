"""People's simulations are scored as the model's are, and the two are compared."""

import numpy as np
import pytest

from neuron_assets.method.hand_simulations import beside_the_model
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens
from neuron_assets.method.samples import Rows, judge
from neuron_assets.method.scoring import score

N, LENGTH = 12, 8
RANDOM = np.random.default_rng(4)
TRUE = RANDOM.random((N, LENGTH)).astype(np.float32)
RECORD = NeuronRecord(
    NeuronId(1, 2),
    Exemplars(
        tokens=Tokens(np.zeros((N, LENGTH), np.int32), ("a",)),
        activations=TRUE,
        is_top=np.arange(N) < 5,
        document_indices=np.arange(N, dtype=np.int32) // 2,
        excerpt_indices=np.arange(N, dtype=np.int32),
    ),
)
BY_HAND = np.round(TRUE * 10).astype(np.float32)
BY_MODEL = (TRUE * 10 + RANDOM.normal(size=TRUE.shape) * 3).astype(np.float32)


def test_a_person_is_scored_by_the_code_that_scores_models() -> None:
    found = beside_the_model(RECORD, BY_HAND, BY_MODEL, seed=0, n_draws=200)
    everything = Rows(np.arange(5), np.arange(5, N))

    assert found.person.judgement.score == judge(RECORD, everything, BY_HAND).score
    assert found.model.judgement.score == judge(RECORD, everything, BY_MODEL).score
    assert found.agreement == score(BY_MODEL, BY_HAND)


def test_scores_have_intervals_over_documents() -> None:
    person = beside_the_model(RECORD, BY_HAND, BY_MODEL, seed=0, n_draws=200).person

    assert person.interval.low is not None
    assert person.interval.high is not None
    assert person.interval.low <= (person.judgement.score.ev_correlation or 0) <= person.interval.high
    assert person.interval.n_documents == 6


def test_without_the_models_simulation_there_is_no_agreement_but_a_score() -> None:
    missing = BY_MODEL.copy()
    missing[3] = np.nan
    found = beside_the_model(RECORD, BY_HAND, missing, seed=0, n_draws=200)

    assert found.person.judgement.score.ev_correlation is not None
    assert found.model.judgement.score.failure == "1 of 12 excerpts have no simulation"
    assert found.agreement.failure == "1 of 12 excerpts have no simulation by the model"


@pytest.mark.parametrize(
    ("by_hand", "by_model", "reason"),
    [(np.zeros_like(TRUE), BY_MODEL, "the person's"), (BY_HAND, np.ones_like(TRUE), "the model's")],
)
def test_who_says_the_same_everywhere_agrees_with_nobody(
    by_hand: np.ndarray,
    by_model: np.ndarray,
    reason: str,
) -> None:
    found = beside_the_model(RECORD, by_hand, by_model, seed=0, n_draws=200)

    assert found.agreement.ev_correlation is None
    assert found.agreement.failure == f"{reason} simulation is constant"
