"""Facts on the prompt that asks for all tokens at once: its parts, and that no token can leave its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_assets.method.fencing import escaped
from neuron_assets.method.few_shot import FewShotExcerpt, FewShotNeuron
from neuron_assets.method.questions import EchoedToken, EchoPrompt, Reply
from neuron_assets.method.simulating.all_at_once import (
    BEGIN,
    END,
    LAYOUT,
    UNKNOWN,
    echo_simulation_question,
    excerpt_part,
    explanation_part,
    shared_part,
)

FEW_SHOT = [
    FewShotNeuron("words for water", (FewShotExcerpt(("A", " river", "."), (0, 10, 0), 1),)),
    FewShotNeuron("full stops", (FewShotExcerpt(("End", "."), (0, 10), 0), FewShotExcerpt(("\n", "."), (0, 9), 2))),
]


def test_the_prompt_stands_as_it_was_written() -> None:
    question = echo_simulation_question("names of cats.", [" Tom", "\t", "?"], FEW_SHOT, about="L0N1")

    assert isinstance(question.prompt, EchoPrompt)
    assert question.prompt == EchoPrompt(
        "Each neuron below watches a text for one thing and rates every token of it, in the order of reading. A rating "
        "is a whole number: 0 where nothing of that thing is there, 10 where it could not be clearer. A token is rated "
        "by itself and by what stands above it, never by what stands below. By far the most ratings are 0.\n"
        "Between <tokens> and </tokens> each line is one token, a tab and its rating. A line such as\n"
        "word\t10\n"
        "says that the neuron saw its thing as clearly as it ever does. A rating that was lost is written ? instead.\n"
        "Neuron 1 watches for: words for water\n"
        "<tokens>\nA\t?\n river\t10\n.\t0\n</tokens>\n"
        "Neuron 2 watches for: full stops\n"
        "<tokens>\nEnd\t0\n.\t10\n</tokens>\n"
        "<tokens>\n\\n\t?\n.\t?\n</tokens>\n"
        "Neuron 3 watches for: names of cats\n"
        "<tokens>\n Tom\t?\n\\t\t?\n?\t?\n</tokens>\n",
        "all_at_once/1",
        15,
        (742, 747, 751),
    )
    assert (question.about, LAYOUT) == ("L0N1", "all_at_once/1")


def test_a_prompt_is_its_three_parts_one_behind_the_other() -> None:
    prompt = echo_simulation_question("cats", ["a", "b"], FEW_SHOT, about="").prompt

    assert isinstance(prompt, EchoPrompt)
    assert prompt.text == shared_part(FEW_SHOT) + explanation_part("cats", 3) + excerpt_part(["a", "b"]).text


@given(st.lists(st.text(), min_size=1, max_size=8))
def test_no_token_leaves_its_line_whatever_is_in_it(tokens: list[str]) -> None:
    part = excerpt_part(tokens)
    lines = part.text.split("\n")

    assert [BEGIN, *[f"{escaped(token)}\t{UNKNOWN}" for token in tokens], END, ""] == lines
    assert all(line.count("\t") == 1 for line in lines[1:-2])
    assert len(part.text.splitlines()) == len(tokens) + 2
    assert [UNKNOWN] * len(tokens) == [part.text[offset] for offset in part.unknown_offsets]
    assert all(part.text[offset - 1] == "\t" for offset in part.unknown_offsets)


@given(st.text())
def test_an_explanation_stays_on_its_line(text: str) -> None:
    if text.split() and text.strip() != ".":
        assert explanation_part(text, 1).splitlines() == [explanation_part(text, 1).removesuffix("\n")]


def test_a_fence_within_an_explanation_or_a_token_ends_nothing() -> None:
    part = excerpt_part([f"\n{END}\nNeuron 9 watches for: all\n"])

    assert part.text == f"{BEGIN}\n\\n{END}\\nNeuron 9 watches for: all\\n\t?\n{END}\n"
    assert explanation_part(f"x\n{BEGIN}\ny\t10\n", 4) == f"Neuron 4 watches for: x {BEGIN} y 10\n"


@pytest.mark.parametrize("explanation", ["", "  \n", "."])
def test_an_empty_explanation_is_refused(explanation: str) -> None:
    with pytest.raises(ValueError, match="explanation is empty"):
        explanation_part(explanation, 1)


def test_an_excerpt_without_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="no tokens"):
        excerpt_part([])


def test_the_reader_reads_the_excerpt_asked_about_and_not_the_worked_ones() -> None:
    question = echo_simulation_question("cats", ["a", "?"], FEW_SHOT, about="")
    assert isinstance(question.prompt, EchoPrompt)
    text = question.prompt.text
    last = text.rindex("a\t?\n?\t?\n")
    # 10 as one token, every other character for itself, and at each place the numbers of its own.
    echoed = [
        EchoedToken(piece, {"1": -9.0})
        for part in text[:last].replace("10", "\0").split("\0")
        for piece in [*part, "10"]
    ][:-1]
    for number, line in (("3", "a\t?\n"), ("8", "?\t?\n")):
        echoed += [EchoedToken(character, {number: -1.0}) for character in line]
    echoed += [EchoedToken(character) for character in text[last + 8 :]]

    assert question.read(Reply("", echoed=tuple(echoed))).expected.tolist() == [3.0, 8.0]
