"""Whatever stands in a text, a terminal and a picture show it and obey none of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_assets.method.display import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc", "a⏎b⇥c"),
        ("\x1b[31mred", "<0x1B>[31mred"),
        ("\u202eevil", "<0x202E>evil"),
        ("zero\u200bwidth", "zero<0x200B>width"),
        ("naïve 日本 🙃", "naïve 日本 🙃"),
    ],
)
def test_what_has_no_shape_of_its_own_is_shown_as_its_code(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in visible(text))
