"""On which tokens neurons fire, counted by hand."""

from typing import Any

import numpy as np
import polars as pl

from neuron_assets.method.records import Tokens
from neuron_assets.tables.rows import Corpus, frame
from neuron_assets.tables.token_index import MOST_TOKENS, token_index_frame
from neuron_assets.tables.validation import problems

WORDS = (" dog", " cat", "s", "<0xE2>")
TEXTS = Corpus(Tokens(np.array([[0, 1, 2], [1, 1, 3], [2, 3, 0]], np.int32), WORDS), np.array([0, 1, 2]))


def shown(*rows: tuple[int, int, list[float]]) -> pl.DataFrame:
    """Rows of neuron, excerpt and activations."""
    columns: dict[str, Any] = {
        "layer_index": 3,
        "neuron_index": [neuron for neuron, _, _ in rows],
        "split": "train",
        "kind": ["top" for _ in rows],
        "rank": 0,
        "excerpt_index": [excerpt for _, excerpt, _ in rows],
        "peak": [max(activations) for _, _, activations in rows],
        "activations": [activations for _, _, activations in rows],
    }
    return frame("activations", columns)


def index(rows: pl.DataFrame, texts: Corpus = TEXTS, **maxima: float) -> pl.DataFrame:
    known = pl.DataFrame(
        {
            "neuron_index": pl.Series([int(name[1:]) for name in maxima], dtype=pl.Int32),
            "maximum": pl.Series(list(maxima.values()), dtype=pl.Float64),
        }
    )
    found = token_index_frame(rows, texts, known, active_share=0.1)
    assert problems("token_index", found) == []
    return found


def test_tokens_are_counted_where_the_neuron_is_above_a_share_of_its_maximum() -> None:
    found = index(shown((5, 0, [10.0, 1.0, -3.0]), (5, 1, [2.0, 4.0, 0.5])), n5=10.0)

    assert found.drop("layer_index", "neuron_index").rows() == [
        (" cat", 2, 3.0, 4.0, 6 / 16),
        (" dog", 1, 10.0, 10.0, 10 / 16),
    ]


def test_an_excerpt_that_is_kept_twice_counts_once() -> None:
    once = shown((5, 0, [10.0, 1.5, -3.0]))

    assert index(pl.concat([once, once]), n5=10.0).equals(index(once, n5=10.0))


def test_rows_are_sorted_by_token_then_neuron() -> None:
    found = index(shown((5, 0, [9.0, 8.0, 7.0]), (2, 0, [1.0, 1.0, 1.0])), n5=9.0, n2=1.0)

    assert found.select("token", "neuron_index").rows() == [
        *((" cat", 2), (" cat", 5)),
        *((" dog", 2), (" dog", 5)),
        *(("s", 2), ("s", 5)),
    ]


def test_a_neuron_that_is_never_above_zero_has_no_rows() -> None:
    assert index(shown((5, 0, [-1.0, -2.0, -3.0])), n5=-1.0).is_empty()


def test_of_many_tokens_those_are_kept_that_the_neuron_does_most_on() -> None:
    n = MOST_TOKENS + 5
    words = tuple(f"w{number:02}" for number in range(n))
    texts = Corpus(Tokens(np.arange(n, dtype=np.int32)[None, :], words), np.array([0]))
    found = index(shown((0, 0, [float(n + place) for place in range(n)])), texts, n0=2.0 * n)

    assert found["token"].to_list() == list(words[5:])
    assert found["share"].sum() < 1
