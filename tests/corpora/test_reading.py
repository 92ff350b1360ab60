"""Of a corpus each good text is kept once, and what became of every other row is counted, named and bounded."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_assets.assets.corpus_reading import log_reading
from neuron_assets.corpora.documents import BadRow, Fields, Row, row, row_of_fields
from neuron_assets.corpora.reading import Bounds, Reading
from neuron_assets.errors import TooManyBadRows
from neuron_assets.method.records import Document

ROWS: list[Row] = [
    Document("a", "first text"),
    BadRow("b", "no JSON"),
    Document("c", "  \n "),
    Document("d", "first text"),
    Document("e", "second text"),
    Document("f", "abc"),
]


def test_each_row_is_kept_or_counted_as_what_it_is() -> None:
    reading = Reading("somewhere", ROWS, Bounds(shortest=4, most_bad_rows=0.2))

    assert [document.name for document in reading] == ["a", "e"]
    assert (reading.n_read, reading.n_kept, reading.n_bad) == (6, 2, 1)
    assert (reading.n_too_short, reading.n_repeated) == (2, 1)
    assert reading.first_bad == [BadRow("b", "no JSON")]
    assert str(reading) == "2 documents of 6 rows read, 1 bad, 2 too short, 1 the same as an earlier one"
    assert reading.has_ended


def test_more_bad_rows_than_the_study_allows_are_an_error_that_names_the_first() -> None:
    reading = Reading("somewhere", ROWS, Bounds(most_bad_rows=0.1))

    with pytest.raises(
        TooManyBadRows, match=r"1 of the 6 rows read of the corpus somewhere .* 0\.1 .*\n  - b: no JSON"
    ):
        reading.to_the_end()


def test_bad_rows_are_allowed_up_to_the_share_and_not_beyond() -> None:
    def rows(n_bad: int) -> Iterator[Row]:
        yield from (Document(str(number), f"text {number}") for number in range(100 - n_bad))
        yield from (BadRow(str(number), "bad") for number in range(n_bad))

    assert Reading("somewhere", rows(1), Bounds(most_bad_rows=0.01)).to_the_end().n_bad == 1
    with pytest.raises(TooManyBadRows):
        Reading("somewhere", rows(2), Bounds(most_bad_rows=0.01)).to_the_end()


def test_a_corpus_of_nothing_but_bad_rows_is_not_read_to_its_end() -> None:
    read = []

    def rows() -> Iterator[Row]:
        for number in range(100_000):
            read.append(number)
            yield BadRow(f"docs.jsonl:{number}", "no field 'text'; its fields: body")

    with pytest.raises(TooManyBadRows, match="its fields: body"):
        Reading("somewhere", rows(), Bounds(most_bad_rows=0.5)).to_the_end()
    assert len(read) == 100


def test_reading_stops_where_there_are_enough_documents() -> None:
    def rows() -> Iterator[Row]:
        yield Document("a", "one")
        yield Document("b", "one")
        yield Document("c", "two")
        raise AssertionError("this row is not to be read")

    reading = Reading("somewhere", rows(), Bounds(most_documents=2))

    assert [document.name for document in reading] == ["a", "c"]
    assert reading.n_read == 3


def test_who_listens_hears_each_hundred_rows_and_the_end() -> None:
    heard = []
    rows = [Document(str(number), f"text {number}") for number in range(250)]

    Reading("s", rows, on_progress=lambda now: heard.append((now.n_read, now.has_ended))).to_the_end()

    assert heard == [(100, False), (200, False), (250, True)]


def test_the_log_has_a_line_a_minute_one_at_the_end_and_the_bad_rows(caplog: pytest.LogCaptureFixture) -> None:
    rows: list[Row] = [Document(str(number), f"text {number}") for number in range(499)]
    times = iter([0.0, 30.0, 61.0, 90.0, 122.0, 130.0])
    log = logging.getLogger("reading")

    with caplog.at_level("INFO", "reading"):
        listener = log_reading(log, lambda: next(times))
        Reading("somewhere", [*rows, BadRow("f:500", "no JSON")], on_progress=listener).to_the_end()

    assert [record.getMessage() for record in caplog.records] == [
        "corpus somewhere: 200 documents of 200 rows read",
        "corpus somewhere: 400 documents of 400 rows read",
        "corpus somewhere: 499 documents of 500 rows read, 1 bad",
        "left out: f:500: no JSON",
    ]


@given(st.lists(st.tuples(st.text(min_size=1, max_size=3), st.text(max_size=3)), max_size=20))
def test_the_version_is_that_of_what_is_kept(pairs: list[tuple[str, str]]) -> None:
    reading = Reading("s", [row(name, text) for name, text in pairs], Bounds(most_bad_rows=1))
    kept = list(reading)

    assert reading.version == Reading("s", kept).to_the_end().version
    assert len({document.text for document in kept}) == len(kept)
    assert reading.n_read == reading.n_kept + reading.n_bad + reading.n_too_short + reading.n_repeated == len(pairs)


def test_what_is_pinned_tells_its_version_unread() -> None:
    assert Reading("s", iter(()), pinned="abc").version == "abc"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"caf\xe9", "no UTF-8 at character 3"),
        ("half \ud800", "no UTF-8 at character 5"),
        ("a\0b", "a NUL at character 1"),
        (None, "null, not a text"),
        (3, "a value of type int, not a text"),
        (["a"], "a value of type list, not a text"),
    ],
)
def test_what_is_no_text_is_a_bad_row_that_says_why(text: object, why: str) -> None:
    assert row("docs:1", text) == BadRow("docs:1", why)


def test_a_byte_order_mark_is_no_part_of_a_text() -> None:
    assert row("a", b"\xef\xbb\xbftext") == Document("a", "text")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"body": "x", "id": 7}, Document("7", "x")),
        ({"body": "x", "id": b"seven"}, Document("seven", "x")),
        ({"body": "x", "id": None}, BadRow("f:1", "its 'id' is null, not a name")),
        ({"body": "x", "id": ""}, BadRow("f:1", "its 'id' is an empty name, not a name")),
        ({"text": "x", "id": 7}, BadRow("f:1", "no field 'body'; its fields: text, id")),
        ({"body": "x"}, BadRow("f:1", "no field 'id'; its fields: body")),
        ({"body": None, "id": 7}, BadRow("f:1", "null, not a text")),
    ],
)
def test_fields_give_a_document_or_say_which_of_them_is_wrong(values: dict[str, object], expected: Row) -> None:
    assert row_of_fields(values, Fields("body", "id"), "f:1") == expected
