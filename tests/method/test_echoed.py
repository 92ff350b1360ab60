"""Facts on reading an echo, however the answering model cuts it. Golden cases: the code of Bills et al. (2023)."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_assets.errors import UnreadableReply
from neuron_assets.method.questions import EchoedToken, Reply
from neuron_assets.method.simulating.echoed import read_echoed, token_starts

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "simulating.json").read_text())
CASES = {case["name"]: case for case in GOLDEN["all_at_once_response_parser"]}

PROMPT = "x\t?\ny\t10\nn\ncat\t?\n\N{LATIN SMALL LETTER E WITH ACUTE}g\t?\n</t>\n"
PLACES = [PROMPT.index("?\n\N{LATIN SMALL LETTER E WITH ACUTE}"), PROMPT.rindex("?")]
AS_CUT = ["x\t", "?", "\n", "y", "\t", "10", "\n", "n", "\n", "ca", "t\t", "?", "\n"]


def echo(texts: Sequence[str], alternatives: Mapping[int, Mapping[str, float]]) -> Reply:
    return Reply("", echoed=tuple(EchoedToken(text, alternatives.get(n, {})) for n, text in enumerate(texts)))


@pytest.mark.parametrize("name", ["plain", "subject_token_split_by_simulator"])
def test_expected_values_agree_with_the_reference(name: str) -> None:
    found = _read_golden(CASES[name])

    assert CASES[name]["parsed"]["expected_activations"] == pytest.approx(found, abs=1e-9)


def test_a_token_that_swallows_the_line_end_before_it_is_read_where_the_reference_says_zero() -> None:
    case = CASES["newline_folded_into_token_gives_zero"]

    # Deviation: the place is found by its offset, so the second token's own alternatives (9, for certain) are read.
    assert case["parsed"]["expected_activations"] == [5.0, 0.0]
    assert _read_golden(case) == [5.0, 9.0]


def _read_golden(case: dict[str, Any]) -> list[float]:
    choice = case["response"]["choices"][0]
    tokens, alternatives = choice["logprobs"]["tokens"], choice["logprobs"]["top_logprobs"]
    places = [found.start() for found in re.finditer("unknown", choice["text"])]
    reply = echo(tokens, {n: values for n, values in enumerate(alternatives) if values})
    return [float(value) for value in read_echoed(reply, choice["text"], places, "unknown").expected]


def test_places_are_found_however_the_tokens_are_cut() -> None:
    texts = [*AS_CUT, "\N{LATIN SMALL LETTER E WITH ACUTE}g", "\t", "?\n", "</t>", "\n"]

    found = read_echoed(echo(texts, {11: {"4": -1.0}, 15: {"0": -1.0, "10": -1.0}}), PROMPT, PLACES, "?")

    assert found.expected.tolist() == [4.0, 5.0]
    assert found.distribution is not None
    assert found.distribution.shape == (2, 11)
    assert found.distribution.sum(axis=1).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "cut", [["\N{REPLACEMENT CHARACTER}", "\N{REPLACEMENT CHARACTER}g"], ["bytes:\\xc3", "bytes:\\xa9", "g"]]
)
def test_a_character_that_is_cut_up_moves_nothing(cut: list[str]) -> None:
    texts = [*AS_CUT, *cut, "\t", "?", "\n", "</t>", "\n"]
    last = len(AS_CUT) + len(cut) + 1

    found = read_echoed(echo(texts, {11: {"4": -1.0}, last: {"7": -1.0}}), PROMPT, PLACES, "?")

    assert found.expected.tolist() == [4.0, 7.0]


@pytest.mark.parametrize("n_whole", [0, 1, 2])
def test_whole_characters_beside_one_that_is_cut_up_are_told_apart(n_whole: int) -> None:
    eta = "\N{GREEK SMALL LETTER ETA}"
    starts = token_starts(["\N{REPLACEMENT CHARACTER}", *[eta] * n_whole, "\t"], eta * (n_whole + 1) + "\t")

    assert starts == [0, *range(1, n_whole + 1), n_whole + 1]


def test_a_mark_that_the_server_puts_before_every_text_is_left_out() -> None:
    assert token_starts(["<s>", "a", "b"], "ab") == [0, 0, 1]


def test_a_line_end_within_the_token_of_the_mark_is_taken_off_its_alternatives() -> None:
    texts = ["a\t", "?\n"]
    alternatives = {"5": np.log(0.2), "5\n": np.log(0.2), "1\n": np.log(0.4), "?\n": np.log(0.2)}

    found = read_echoed(echo(texts, {1: alternatives}), "a\t?\n", [2], "?")

    assert found.expected.tolist() == pytest.approx([3.0])


def test_a_mark_read_together_with_the_tab_before_it_is_a_failure_that_names_the_token() -> None:
    with pytest.raises(UnreadableReply, match=r"after the token ' cat'.*'\\t\?'"):
        read_echoed(echo([" cat", "\t?", "\n"], {1: {"5": -1.0}}), " cat\t?\n", [5], "?")


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ([], "was not echoed"),
        (["a\t", "?"], "differs from the prompt after 3 of 4"),
        (["a\t", "?", "\n", "5"], "differs"),
        (["b", "\t", "?", "\n"], "differs"),
        (["a", " ", "?", "\n"], "differs"),
        (["a\t", "?", "\n", "\N{REPLACEMENT CHARACTER}"], "differs"),
    ],
)
def test_an_echo_that_is_not_the_prompt_is_a_failure(texts: list[str], reason: str) -> None:
    with pytest.raises(UnreadableReply, match=reason):
        read_echoed(echo(texts, {1: {"5": -1.0}}), "a\t?\n", [2], "?")


@pytest.mark.parametrize("alternatives", [{}, {"unsure": -0.1, "?": -3.0}])
def test_a_place_without_any_number_is_a_failure(alternatives: dict[str, float]) -> None:
    with pytest.raises(UnreadableReply, match="token 1: no number"):
        read_echoed(echo(["a\t", "?", "b\t", "?"], {1: {"5": -1.0}, 3: alternatives}), "a\t?b\t?", [2, 5], "?")


def test_a_model_that_reads_ten_as_two_tokens_is_a_failure() -> None:
    with pytest.raises(UnreadableReply, match="10 as two tokens"):
        read_echoed(echo(["a\t", "1", "0", "\n", "b\t", "?"], {5: {"1": -1.0}}), "a\t10\nb\t?", [7], "?")


@given(st.text(alphabet="ab\t?\n\N{GREEK SMALL LETTER ETA}", min_size=1, max_size=30), st.data())
def test_tokens_begin_where_the_text_was_cut(prompt: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(prompt) - 1)))) if prompt else []
    bounds = sorted({0, *cuts})
    texts = [prompt[start:end] for start, end in zip(bounds, [*bounds[1:], len(prompt)], strict=True)]

    assert token_starts(texts, prompt) == bounds
