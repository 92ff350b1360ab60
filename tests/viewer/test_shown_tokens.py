"""Tokens as a heat-map draws them: their colours, and characters that cannot be seen or that steer."""

import pytest

from neuron_assets.viewer.excerpts import guess_class, heat_class, heat_tokens, shown, shown_text, strongest
from neuron_assets.viewer.words import MINUS

FAMILY = "👩\u200d👩\u200d👧"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


@pytest.mark.parametrize(
    ("activation", "colour"), [(4.0, "a10"), (2.0, "a5"), (0.1, ""), (0.0, ""), (-0.1, ""), (-0.4, "n1"), (-9.0, "n10")]
)
def test_a_colour_is_the_share_of_the_largest_activation(activation: float, colour: str) -> None:
    assert heat_class(activation, 4.0) == colour


def test_where_nothing_is_above_zero_the_farthest_below_has_the_strongest_colour() -> None:
    assert strongest([[-1.0, -4.0], [-2.0, -0.5]]) == 4.0
    assert strongest([[-4.0, 1.0]]) == 1.0


def test_a_neuron_that_is_always_zero_has_no_colour() -> None:
    assert strongest([[0.0, 0.0]]) == 0.0
    assert heat_class(0.0, 0.0) == ""


def test_a_token_tells_its_exact_numbers() -> None:
    (token,) = heat_tokens(["a"], [-1.23456], 4.0, [7.5])

    assert (token.told, token.heat, token.guess) == (f"{MINUS}1.235, simulated 7.5", "n3", "s8")
    assert guess_class(0.2) == ""


def test_line_breaks_and_tabs_are_seen_and_still_break() -> None:
    assert shown(["a\n", "\n    b", "\tc\r"]) == ("a⏎\n", "⏎\n    b", "⇥c<0x0D>")


def test_a_token_of_spaces_is_dots_and_spaces_before_a_word_stay() -> None:
    assert shown(["   ", " the", ""]) == ("···", " the", "")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\0b", "a<0x00>b"),
        ("\u202edrow", "<0x202E>drow"),
        ("a\u200fb\u200e", "a<0x200F>b<0x200E>"),
        ("a\u2066b\u2069", "a<0x2066>b<0x2069>"),
        ("soft\u00adhyphen", "soft<0xAD>hyphen"),
        ("a\u200db", "a<0x200D>b"),
        ("hidden\U000e0041", "hidden<0xE0041>"),
        ("\u061cmark", "<0x61C>mark"),
        ("\u2028", "<0x2028>"),
    ],
)
def test_what_steers_or_has_no_shape_is_a_code(text: str, seen: str) -> None:
    assert shown([text]) == (seen,)
    assert shown_text(text) == seen


@pytest.mark.parametrize("text", [FAMILY, SCOTLAND, "❤️‍🔥", "👍🏽", "می‌خواهم", "क्‍ष", "سلام", "é", "漢字"])
def test_emoji_and_scripts_stay_as_they_are(text: str) -> None:
    assert shown([text]) == (text,)
    assert "".join(shown(list(text))) == text


def test_of_a_huge_token_the_beginning_is_drawn() -> None:
    (text,) = shown(["x" * 12_345])

    assert text == "x" * 200 + "… <12,345 characters>"


@pytest.mark.parametrize(("n_activations", "n_simulated"), [(3, 2), (1, 2), (2, 3), (2, 0)])
def test_numbers_of_another_excerpt_are_not_drawn(n_activations: int, n_simulated: int) -> None:
    with pytest.raises(ValueError, match="zip"):
        heat_tokens(["a", "b"], [1.0] * n_activations, 1.0, [1.0] * n_simulated)


def test_bytes_of_one_character_are_drawn_as_the_character() -> None:
    tokens = ["naï", "v", "<0xC3>", "<0xA9> ", "<0xF0><0x9F>", "<0x91>", "<0x8D>!"]
    drawn = heat_tokens(tokens, [0, 0, 1.5, -4.0, 0, 2.0, 1.0], 4.0, [0, 0, 3, 0, 1, 0, 9])

    assert [token.text for token in drawn] == ["naï", "v", "é ", "👍!"]
    assert [(token.heat, token.guess) for token in drawn[2:]] == [("n10", "s3"), ("a5", "s9")]
    assert drawn[2].told == f"1.5, simulated 3 | {MINUS}4, simulated 0"
    assert [token.places for token in drawn] == [range(1), range(1, 2), range(2, 4), range(4, 7)]


@pytest.mark.parametrize(
    "tokens",
    [
        ["<0xA9>", "b"],  # begins within a character
        ["a", "<0xC3>"],  # ends within one
        ["<0xC3>", "b"],
        ["<0xFF>", "<0xFE>"],
        ["<0x41>", "<0x42>"],  # these bytes are letters, and would not stand so
        ["<0xED>", "<0xA0>", "<0x80>"],  # half of a character
        ["<0xC3>", "\ud800<0xA9>"],
    ],
)
def test_bytes_that_are_no_text_stay_bytes(tokens: list[str]) -> None:
    drawn = heat_tokens(tokens, [1.0] * len(tokens), 1.0)

    assert [token.text for token in drawn] == list(shown(tokens))


def test_after_bytes_that_are_no_text_characters_are_whole_again() -> None:
    drawn = heat_tokens(["<0xF0>", "<0xD7>", "<0xA9>", "<0xD7><0x9C>", "<0xD7>"], [1.0] * 5, 1.0)

    assert [token.text for token in drawn] == ["<0xF0>", "ש", "<0xD7><0x9C>", "<0xD7>"]
