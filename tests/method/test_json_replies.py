"""Facts on replies that are one JSON object."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_assets.errors import UnreadableReply
from neuron_assets.method.json_replies import read_object
from neuron_assets.method.questions import Reply

KEYS = ("a", "b")


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"b":"x"}',
        ' {"b": "x",\n "a": 1} ',
        '```json\n{"a":1,"b":"x"}\n```',
        '<think>{"a":2}</think>\n{"a":1,"b":"x"}',
    ],
)
def test_an_object_is_read_in_the_order_of_its_keys(text: str) -> None:
    assert list(read_object(Reply(text), KEYS).items()) == [("a", 1), ("b", "x")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("Here you are: {}", "not one JSON object alone"),
        ('{"a":1,"b":2} and more', "not one JSON object alone"),
        ("[" * 100_000, "not one JSON object alone"),
        ('[{"a":1,"b":2}]', "a JSON list instead of an object"),
        ("null", "a JSON null instead of an object"),
        ('{"a":1}', "1 of 2 keys: missing b"),
        ('{"a":1,"b":2,"c":3}', "2 of 2 keys: unknown c"),
        ('{"A":1,"b":2}', "1 of 2 keys: missing a; unknown A"),
        ('{"a":1,"b":2,"a":3}', "'a' twice"),
        ('{"a":NaN,"b":2}', "NaN is no JSON"),
        ("{" + ",".join(f'"{key}":1' for key in "cdefghij") + "}", "unknown c, d, e, f, g, ..."),
    ],
)
def test_anything_else_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(UnreadableReply, match=reason):
        read_object(Reply(text), KEYS)


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    with suppress(UnreadableReply):
        assert list(read_object(Reply(text), KEYS)) == list(KEYS)
