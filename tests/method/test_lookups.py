"""Lookup tables of one and of two tokens, by hand."""

import numpy as np
import pytest
from jaxtyping import Float

from neuron_assets.method.lookups import PSEUDO_COUNT, fit_bigram, fit_unigram
from neuron_assets.method.records import Exemplars, Tokens

A, B, NEW = 0, 1, 2
ACTIVATIONS: Float[np.ndarray, "excerpt token"] = np.array([[0.0, 6.0, 0.0, 6.0], [0.0, 0.0, 6.0, 6.0]])
EXEMPLARS = Exemplars(
    Tokens(np.array([[A, B, A, B], [A, A, B, B]]), ("a", "b")),
    ACTIVATIONS,
    np.array([True, False]),
    np.array([0, 1]),
    np.array([0, 1]),
)


def test_a_token_is_expected_to_do_what_it_did_drawn_to_the_mean() -> None:
    expected = fit_unigram(EXEMPLARS).predict(Tokens(np.array([[A, B, NEW]]), ("a", "b", "c")))

    assert expected[0] == pytest.approx(
        [PSEUDO_COUNT * 3 / (4 + PSEUDO_COUNT), (24 + PSEUDO_COUNT * 3) / (4 + PSEUDO_COUNT), 3]
    )


def test_tokens_are_matched_by_their_strings() -> None:
    lookup = fit_bigram(EXEMPLARS)
    one = lookup.predict(Tokens(np.array([[0, 1, 0]]), ("a", "b")))
    other = lookup.predict(Tokens(np.array([[2, 0, 2]]), ("b", "c", "a")))

    assert one.tolist() == other.tolist()


def test_a_pair_is_drawn_to_what_its_second_token_does() -> None:
    tokens = Tokens(np.array([[A, B, B]]), ("a", "b"))
    alone = fit_unigram(EXEMPLARS).predict(tokens)[0]
    pairs = fit_bigram(EXEMPLARS).predict(tokens)[0]

    assert pairs == pytest.approx(
        [
            alone[0],
            (18 + PSEUDO_COUNT * alone[1]) / (3 + PSEUDO_COUNT),
            (6 + PSEUDO_COUNT * alone[2]) / (1 + PSEUDO_COUNT),
        ]
    )


def test_an_unseen_pair_backs_off_to_its_second_token() -> None:
    tokens = Tokens(np.array([[NEW, B, NEW]]), ("a", "b", "c"))

    assert fit_bigram(EXEMPLARS).predict(tokens).tolist() == fit_unigram(EXEMPLARS).predict(tokens).tolist()


def test_one_token_an_excerpt_has_no_pairs() -> None:
    single = Exemplars(
        Tokens(np.array([[A], [B]]), ("a", "b")),
        ACTIVATIONS[:, :1],
        np.array([True, False]),
        np.array([0, 1]),
        np.array([0, 1]),
    )

    assert fit_bigram(single).predict(single.tokens).shape == (2, 1)
