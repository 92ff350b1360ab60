"""Explanations that look like something else, what looks like one and is none, and replies that take long to read."""

from contextlib import suppress
from time import process_time

import pytest

from neuron_assets.errors import UnreadableReply
from neuron_assets.method.explaining.reading import explanation_in, read_explanation
from neuron_assets.method.questions import Reply
from neuron_assets.method.replies import answer_text
from neuron_assets.method.simulating.numbered_json import read_numbered_json


@pytest.mark.parametrize(
    "text",
    [
        # a full stop that ends no sentence
        "Mt. Everest",
        "Gen. Grant and other military titles",
        "Sen. Obama and Rep. Smith",
        "Ph.D. Students and academic titles",
        "vol. II of a book",
        # words of a refusal, or of thought, that are spoken of
        "I don't, I can't and other negated verbs",
        "I can't and I won't in speech",
        "I think, I believe and other verbs of opinion",
        "we are, we have and other first-person plurals",
        "unfortunately, sadly and other adverbs of regret",
        "there is no, there are no and other denials",
        "no clear antecedent of a pronoun",
        "enough information to act on",
        "[CLS] and [SEP]",
    ],
)
def test_what_looks_like_something_else_is_an_explanation(text: str) -> None:
    assert explanation_in(text) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Unfortunately, I am unable to tell", "declines"),
        ("I can't quite tell", "declines"),
        ("I do not know", "declines"),
        ("I cannot", "declines"),
        ("I don't think, from these, that it does anything", "declines"),
        ("No obvious, single commonality among them", "declines"),
        ('["rivers", ["lakes"]]', "markup"),
        ("[names of rivers]", "markup"),
        ("Python 3. Especially its errors", "several sentences"),
    ],
)
def test_what_looks_like_an_explanation_may_be_none(text: str, reason: str) -> None:
    with pytest.raises(UnreadableReply) as caught:
        explanation_in(text)

    assert reason in caught.value.reason


def test_white_space_is_closed_up() -> None:
    assert explanation_in("names  of \t rivers") == "names of rivers"
    assert explanation_in("a\ttab") == "a\ttab"


@pytest.mark.parametrize("text", [f"so{' ' * 2900}x", "Neuron 1" + "\n" * 2900 + "x", "ok, " * 700 + "x"])
def test_no_reply_takes_long_to_read(text: str) -> None:
    began = process_time()
    with suppress(UnreadableReply):
        explanation_in(text)

    assert process_time() - began < 0.2


@pytest.mark.parametrize(
    "end", ["error", "model_length", "max_tokens", "MAX_TOKENS", "abort", "tool_calls", "something new"]
)
def test_a_reply_that_ended_too_early_is_refused(end: str) -> None:
    with pytest.raises(UnreadableReply, match=f"ended by '{end}': 'words about the riv'"):
        read_explanation(Reply("words about the riv", finish_reason=end))


@pytest.mark.parametrize(
    "end", ["stop", "STOP", "eos", "eos_token", "end_turn", "stop_sequence", "COMPLETE", "unknown", ""]
)
def test_a_reply_that_the_model_ended_has_an_answer_whatever_the_server_calls_it(end: str) -> None:
    assert answer_text(Reply("bread", finish_reason=end)) == "bread"


def test_half_a_character_is_no_text() -> None:
    with pytest.raises(UnreadableReply, match="unreadable characters") as caught:
        read_explanation(Reply("emoji such as \ud83d in chat"))
    with pytest.raises(UnreadableReply, match="unreadable characters"):
        read_numbered_json(Reply('{"1": 0, "\ud83d": 1}'), n_tokens=1)

    assert str(caught.value).encode()  # stands as a failure in a table
