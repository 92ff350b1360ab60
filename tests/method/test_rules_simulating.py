"""The simulator: strengths from the text and the tokens alone."""

import numpy as np
import pytest

from neuron_assets.errors import UnreadableExplanation
from neuron_assets.method.records import Tokens
from neuron_assets.method.rules.classes import CLASSES, PLACES, class_table
from neuron_assets.method.rules.simulating import simulate_by_rules


def tokens_of(*excerpts: str) -> Tokens:
    """Excerpts as tokens between bars, which stand for nothing."""
    split = [excerpt.split("|") for excerpt in excerpts]
    strings = sorted({string for excerpt in split for string in excerpt})
    return Tokens(np.array([[strings.index(string) for string in excerpt] for excerpt in split]), tuple(strings))


def simulated(sentences: str, excerpt: str) -> list[float]:
    return [float(value) for value in simulate_by_rules(f"{sentences} Otherwise about 0.", tokens_of(excerpt))[0]]


@pytest.mark.parametrize(
    ("sentences", "excerpt", "expected"),
    [
        ('Activates on " a", "b" (7), numbers (3).', " a|a|b| 12|x1", [7, 0, 7, 3, 0]),
        ('Right after "a": "b" (7).', "b|a|b|b", [0, 0, 7, 0]),
        ('Right after "a": any token (7).', "a|a|b|b", [0, 7, 7, 0]),
        ("Right after numbers: 2 more.", "1|a|2|3", [0, 2, 0, 2]),
        ('Within 8 tokens after "a": "b" (7).', "b|a|.|.|.|.|.|.|.|b|b", [0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0]),
        ('Later on a line with "a": "b" (7).', "b|a|.|b|\n|b", [0, 0, 0, 7, 0, 0]),
        ('Later on a line with "\n": "b" (7).'.replace("\n", "\\n"), "b|\n|b|b", [0, 0, 7, 7]),
        ("At the start of the excerpt: any token (9).", "a|a", [9, 0]),
        ("Before the first line break: 1 more.", "a|b|\n|c", [1, 1, 0, 0]),
        ("In a comment: 1 more.", "a|#|b|\n#|c|\n|d", [0, 0, 1, 0, 1, 0, 0]),
        ("Inside brackets: 1 more.", ")|a|(|b|[|c|])|d", [0, 0, 0, 1, 1, 1, 1, 0]),
        ("Inside quotation marks: 1 more.", 'a|\'|b|\'|c|"|\n|d|"""|e', [0, 0, 1, 1, 0, 0, 0, 0, 0, 0]),
        ("On deeply indented lines: 1 more.", f"a|\n{11 * ' '}|b|\n|c", [0, 1, 1, 0, 0]),
        ("Among lower-case words: 1 more.", " a| b| c| d|e|f", [0, 0, 0, 0, 1, 1]),
    ],
)
def test_a_sentence_means(sentences: str, excerpt: str, expected: list[float]) -> None:
    assert simulated(sentences, excerpt) == expected


@pytest.mark.parametrize(
    ("sentences", "excerpt", "expected"),
    [
        ('Activates on "b" (7). Right after "a": "b" (0).', "b|a|b", [7, 0, 0]),
        ('Activates on "b" (7). Right after "a": any token (1).', "a|b|a|c", [0, 7, 0, 1]),
        ("Activates on numbers (7). Right after numbers: numbers (2).", "1|2", [7, 2]),
        ('Activates on numbers (7), "1" (2).', "1|2", [2, 7]),
        ("Activates on numbers (7), words (2), single letters (5).", "1|ab|c", [7, 2, 2]),
        ('Right after "a": 2 more. In a comment: 3 more, "c" (1).', "#|a|b|c", [0, 3, 5, 1]),
        ('Activates on "b" (7). Right after "a": 9 less.', "a|b|b", [0, 0, 7]),
        ('Activates on "b" (7). Right after "a": 9 more.', "a|b|b", [0, 10, 7]),
    ],
)
def test_the_narrowest_rule_counts_and_contexts_add(sentences: str, excerpt: str, expected: list[float]) -> None:
    assert simulated(sentences, excerpt) == expected


def test_excerpts_know_nothing_of_each_other() -> None:
    together = simulate_by_rules('Right after "a": 5 more. Otherwise about 1.', tokens_of("b|a", "b|b"))

    assert together.tolist() == [[1, 1], [1, 1]]


def test_text_outside_the_grammar_is_refused() -> None:
    with pytest.raises(UnreadableExplanation):
        simulate_by_rules("Fires on words about films.", tokens_of("a|b"))


def test_strings_that_do_not_occur_change_nothing() -> None:
    tokens = tokens_of("a|b|a")
    wider = Tokens(tokens.codes + 1, ("z", *tokens.strings, "y"))
    text = 'Activates on "b", "y" (7). Right after "b": 2 more. Otherwise about 1.'

    assert simulate_by_rules(text, wider).tolist() == simulate_by_rules(text, tokens).tolist()


def test_every_class_holds_some_token_and_not_every_token() -> None:
    some = [
        "\n",
        "\n\n",
        "  ",
        " 12",
        ",",
        "(",
        ")",
        "'",
        ".",
        ":",
        "==",
        "#",
        "_",
        "if",
        "WORD",
        " Word",
        " the",
        " returned",
    ]
    some += ["value", "er", "x", "é", "red", "bake", "r", "king", "lion", "n", "s", "t", "y"]
    held = class_table(some)

    assert [name for name, column in zip(CLASSES, held.T, strict=True) if column.all() or not column.any()] == []


def test_no_place_looks_ahead() -> None:
    tokens = tokens_of("a|#|(|'| b| c| d| e|\n            |f|)", "(|\n|#| b| c| d| e|'|f|#|g")
    for holds in PLACES.values():
        for n_seen in range(1, tokens.codes.shape[1] + 1):
            seen = Tokens(tokens.codes[:, :n_seen], tokens.strings)
            assert np.array_equal(holds(seen), holds(tokens)[:, :n_seen])
