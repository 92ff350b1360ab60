"""What counts as an explanation and what does not, on replies such as models give."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_assets.errors import UnreadableReply
from neuron_assets.method.explaining.reading import (
    LONGEST,
    explanation_in,
    read_explanation,
    read_numbered_list,
    without_final_period,
)
from neuron_assets.method.questions import Reply
from neuron_assets.method.replies import answer_text

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "prompts.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "explanation"),
    [
        # as asked for
        ("names of rivers", "names of rivers"),
        ("  names of rivers.\n", "names of rivers"),
        ("Names of rivers in Europe, and the cities on them.", "Names of rivers in Europe, and the cities on them"),
        ("food", "food"),
        ("... names of rivers", "names of rivers"),
        ("川の名前", "川の名前"),
        ("a smile \U0001f642 or an indent\tby a tab", "a smile \U0001f642 or an indent\tby a tab"),
        # lead-ins
        ("It looks for names of rivers.", "names of rivers"),
        ("looks for names of rivers", "names of rivers"),
        ("This neuron looks for names of rivers", "names of rivers"),
        ("Neuron 4 looks for: names of rivers", "names of rivers"),
        ("This neuron fires on names of rivers", "names of rivers"),
        ("The neuron fires most strongly on names of rivers.", "names of rivers"),
        ("this neuron is primarily looking for names of rivers", "names of rivers"),
        ("The neuron appears to respond strongly to names of rivers", "names of rivers"),
        ("This neuron seems to be sensitive to names of rivers", "names of rivers"),
        ("This neuron detects names of rivers.", "names of rivers"),
        ("This neuron is detecting names of rivers.", "names of rivers"),
        ("The main thing this neuron does is find names of rivers", "names of rivers"),
        ("Based on the excerpts, this neuron activates on names of rivers.", "names of rivers"),
        ("Explanation: names of rivers", "names of rivers"),
        ("**Explanation:** names of rivers.", "names of rivers"),
        ("**Explanation of neuron 4**: This neuron looks for names of rivers.", "names of rivers"),
        ("The final answer: names of rivers", "names of rivers"),
        ("Here is the explanation:\n\nnames of rivers", "names of rivers"),
        ("Sure! Here\u2019s a one-sentence summary: names of rivers.", "names of rivers"),
        ("**Neuron 4 looks for:** names of rivers", "names of rivers"),
        ("It looks for **names of rivers**.", "names of rivers"),
        ("Neuron 4: names of rivers", "names of rivers"),
        # a sentence that cannot do without its beginning keeps it
        ("This neuron activates when a list begins.", "This neuron activates when a list begins"),
        # quotes and markdown
        ('"names of rivers."', "names of rivers"),
        ('"names of rivers".', "names of rivers"),
        ("“names of rivers”", "names of rivers"),
        ("`names of rivers`", "names of rivers"),
        ("**names of rivers**", "names of rivers"),
        ("*Names of rivers.*", "Names of rivers"),
        ("> names of rivers", "names of rivers"),
        ("# names of rivers", "names of rivers"),
        ("- names of rivers", "names of rivers"),
        ("1. names of rivers", "names of rivers"),
        ("```\nnames of rivers\n```", "names of rivers"),
        ("\"It looks for 'names of rivers'.\"", "names of rivers"),
        ('"the" and "a"', '"the" and "a"'),
        ("**the** or **a** before nouns", "**the** or **a** before nouns"),
        # what looks like a refusal, an aside or a second sentence, and is none
        (
            "apologies such as \"I'm sorry, I can't help with that\"",
            "apologies such as \"I'm sorry, I can't help with that\"",
        ),
        ("I, me and other first-person pronouns", "I, me and other first-person pronouns"),
        ("sorry and other words of regret", "sorry and other words of regret"),
        ("first, second and other ordinals", "first, second and other ordinals"),
        ("let as a verb of permission, as in “let me go”", "let as a verb of permission, as in “let me go”"),
        ("well and well-being in advice on health", "well and well-being in advice on health"),
        ("the user of a program, in manuals", "the user of a program, in manuals"),
        ("abbreviated titles, e.g. Dr. Smith or Mrs. Jones", "abbreviated titles, e.g. Dr. Smith or Mrs. Jones"),
        ("the U.S. Army and the U.K. Navy", "the U.S. Army and the U.K. Navy"),
        ("short commands (Stop! Go! Wait!)", "short commands (Stop! Go! Wait!)"),
        ('ends of sentences such as "it did. The"', 'ends of sentences such as "it did. The"'),
        ("the special token <|endoftext|>", "the special token <|endoftext|>"),
        ("version numbers such as 3.11 and 2.0", "version numbers such as 3.11 and 2.0"),
        ("no or not before a verb", "no or not before a verb"),
        ("fires in forests and those who fight them", "fires in forests and those who fight them"),
    ],
)
def test_a_sentence_is_an_explanation_without_what_dresses_it(text: str, explanation: str) -> None:
    assert read_explanation(Reply(text)) == explanation


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("...", "no word"),
        ("0 0 10 0", "no word"),
        ("Neuron 4 looks for: ", "no word"),
        # what is no text
        ("names of \ufffd rivers", "unreadable characters"),
        ("names\x1b[31m of rivers", "unreadable characters"),
        ("names\x00 of rivers", "unreadable characters"),
        ("names\x9b of rivers", "unreadable characters"),
        ("names \ud83c of rivers", "unreadable characters"),
        # declines
        ("I'm sorry, I can't help with that.", "declines"),
        ("I\u2019m sorry, but I cannot determine what this neuron does.", "declines"),
        ("\"I'm sorry, I can't assist.\"", "declines"),
        ("I cannot assist with this request.", "declines"),
        ("Sorry, I can't do that", "declines"),
        ("I don't see a pattern here", "declines"),
        ("As an AI language model, I have no access to neurons", "declines"),
        ("Unfortunately, the excerpts are too short", "declines"),
        ("There is no clear pattern in the excerpts", "declines"),
        ("No clear pattern", "declines"),
        ("Not enough information to tell.", "declines"),
        ("None", "declines"),
        ("N/A.", "declines"),
        # thinks aloud
        ("Let me analyze the activations.", "thinks aloud"),
        ("Let's look at the excerpts first: the word dough is strong", "thinks aloud"),
        ("Okay, let me think about what these have in common", "thinks aloud"),
        ("Okay, so I need to find what the neuron does", "thinks aloud"),
        ("Hmm, the neuron seems to fire on dough", "thinks aloud"),
        ("Looking at the tokens with high activations, they are about bread", "thinks aloud"),
        ("We need to summarize in one sentence what it looks for", "thinks aloud"),
        ("The user wants a one-sentence explanation", "thinks aloud"),
        ("I think it might be bread", "thinks aloud"),
        ("The activations show a pattern of words about bread", "thinks aloud"),
        ("Analyzing the excerpts, bread comes up often", "thinks aloud"),
        ("To determine what this neuron looks for, consider the strong tokens", "thinks aloud"),
        ("Thinking process: the tokens are about bread", "thinks aloud"),
        ("names of rivers <think>or lakes?", "thinks aloud"),
        ("<|channel|>analysis<|message|>We need an explanation", "thinks aloud"),
        # repeats the prompt
        ("<start>\n dough\t9\n<end>", "repeats the prompt"),
        ("bread <end>", "repeats the prompt"),
        (" dough\t9\n rise\t5", "repeats the prompt"),
        (" dough\t9", "repeats the prompt"),
        ("Neuron 5\nActivations:\n", "repeats the prompt"),
        ('What is neuron 4 looking for? End the sentence: "It looks for ..."', "repeats the prompt"),
        # more, or other, than a sentence
        ('{"explanation": "names of rivers"}', "markup"),
        ('["rivers", "lakes"]', "markup"),
        ("<answer>names of rivers</answer>", "markup"),
        ("1. rivers\n2. lakes", "a list"),
        ("- rivers\n- lakes", "a list"),
        ("It looks for:\n* rivers\n* lakes", "a list"),
        ("names of rivers\n\nIt does so mostly in Europe.", "several lines"),
        ("names of rivers\nnames of lakes", "several lines"),
        ("names of rivers. It also fires on lakes.", "several sentences"),
        ("Is it rivers? Perhaps lakes.", "several sentences"),
        (f"names of rivers {'and lakes ' * 40}", f"characters, where {LONGEST} are the most"),
    ],
)
def test_what_is_no_explanation_is_refused_with_a_plain_reason(text: str, reason: str) -> None:
    with pytest.raises(UnreadableReply) as caught:
        read_explanation(Reply(text))

    assert reason in caught.value.reason


def test_a_lead_in_alone_is_no_explanation() -> None:
    with pytest.raises(UnreadableReply):
        read_explanation(Reply("This neuron looks for."))


@pytest.mark.parametrize(
    "text",
    [
        "<think>dough, yeast: bread.</think>\n\nThis neuron looks for bread.",
        "<THINKING>\nhm\n</THINKING>bread",
        "dough, yeast: that is bread.\n</think>\nbread",  # the chat template wrote the opening mark
        "<think></think>bread",
        "[THINK]dough[/THINK]bread.",
        "<|channel|>analysis<|message|>dough<|end|><|start|>assistant<|channel|>final<|message|>bread.",
    ],
)
def test_thinking_before_the_answer_is_taken_off(text: str) -> None:
    assert read_explanation(Reply(text)) == "bread"


def test_thinking_that_the_server_tells_apart_is_no_part_of_the_answer() -> None:
    assert read_explanation(Reply("bread", reasoning="I'm sorry, <think>")) == "bread"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("<think>dough, yeast"), "thinking without an end"),
        (Reply("<think>dough</think>"), "empty"),
        (Reply("bread", finish_reason="length"), "cut off"),
        (Reply("bread", finish_reason="content_filter"), "content filter"),
        (Reply("bread", refusal="I will not."), "the model refused: 'I will not.'"),
    ],
)
def test_a_reply_without_an_answer_is_refused(reply: Reply, reason: str) -> None:
    with pytest.raises(UnreadableReply, match=reason):
        answer_text(reply)


@pytest.mark.parametrize("text", ["Fruit of trees.", "This neuron looks for fruit of trees", '"fruit of trees"'])
def test_an_example_told_again_is_no_explanation(text: str) -> None:
    with pytest.raises(UnreadableReply, match="repeats an example"):
        read_explanation(Reply(text), told_before=["the sea", "fruit of trees"])


def test_the_longest_explanation_is_still_one() -> None:
    assert len(explanation_in("a" * LONGEST + ".")) == LONGEST
    with pytest.raises(UnreadableReply, match="301 characters"):
        explanation_in("a" * (LONGEST + 1))


def test_the_raw_reply_is_kept_with_the_reason() -> None:
    with pytest.raises(UnreadableReply) as caught:
        read_explanation(Reply("rivers.\n\nlakes."))

    assert (caught.value.reason, caught.value.reply) == ("several lines", "rivers.\n\nlakes.")


@given(st.text())
def test_what_is_read_once_is_read_again_unchanged_and_whatever_comes_is_bounded(text: str) -> None:
    try:
        explanation = read_explanation(Reply(text))
    except UnreadableReply:
        return

    assert 0 < len(explanation) <= LONGEST
    assert "\n" not in explanation
    assert any(character.isalpha() for character in explanation)


@pytest.mark.parametrize("length", [10_000, 40_000])
@pytest.mark.parametrize("piece", ["(", "a ", "<", "1.\n", "**", '"', "looks ", "the ", "\t1 ", "- "])
def test_a_hostile_reply_is_refused_soon(piece: str, length: int) -> None:
    with pytest.raises(UnreadableReply):
        read_explanation(Reply(piece * (length // len(piece))))


@pytest.mark.parametrize("case", GOLDEN["numbered_list"])
def test_a_numbered_list_is_parted_as_the_papers(case: dict[str, Any]) -> None:
    assert read_numbered_list(case["text"]) == case["result"]


def test_a_first_number_is_taken_off_too() -> None:
    # Beyond the paper's code, whose prompt ends with the first number: a chat model writes it itself.
    assert read_numbered_list("1. rivers\n2. lakes\n") == ["rivers", "lakes"]
    assert [explanation_in(each) for each in read_numbered_list("1. Rivers.\n2. It looks for lakes.")] == [
        "Rivers",
        "lakes",
    ]


@pytest.mark.parametrize("case", GOLDEN["remove_final_period"])
def test_one_final_full_stop_is_taken_off_as_the_papers(case: dict[str, Any]) -> None:
    assert without_final_period(case["text"]) == case["result"]
