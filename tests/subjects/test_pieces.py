"""Facts on what a reader is shown of tokens."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from neuron_assets.subjects.pieces import Pieces, readable

TORN = re.compile(r"<0x([0-9A-F]{2})>")


def bytes_of(shown: str) -> bytes:
    """Back from what is shown; only for text without a literal <0x..>."""
    parts = TORN.split(shown)
    return b"".join(bytes([int(part, 16)]) if place % 2 else part.encode() for place, part in enumerate(parts))


def test_half_a_character_shows_as_its_bytes() -> None:
    assert readable(b"\xe2\x80") == "<0xE2><0x80>"
    assert readable(b" ok\xe2\x80\x94\xe2") == " ok—<0xE2>"
    assert readable(b"\x80\xff a") == "<0x80><0xFF> a"
    assert readable(b"") == ""


@given(st.binary(max_size=12).filter(lambda piece: b"<0x" not in piece))
def test_what_is_shown_holds_every_byte(piece: bytes) -> None:
    assert bytes_of(readable(piece)) == piece


def test_every_token_can_be_shown(pieces: Pieces, folder: Path) -> None:
    n_tokens = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    shown = pieces.token_strings(range(n_tokens))

    assert len(set(shown)) == n_tokens
    assert {f"<0x{byte:02X}>" for byte in range(0x80, 0x100)} < set(shown)
    assert {chr(byte) for byte in range(0x80)} < set(shown)
    assert not any("�" in string for string in shown)


@pytest.mark.parametrize("place", range(4))
def test_tokens_together_spell_the_text(pieces: Pieces, lines: tuple[str, ...], place: int) -> None:
    shown = pieces.token_strings(pieces.tokenize(lines[place]))

    assert b"".join(map(bytes_of, shown)).decode() == lines[place]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=20).filter(lambda text: "<0x" not in text))
def test_no_text_is_unknown(pieces: Pieces, text: str) -> None:
    shown = pieces.token_strings(pieces.tokenize(text))

    assert b"".join(map(bytes_of, shown)).decode() == text


def test_special_tokens_are_shown_as_they_read(pieces: Pieces) -> None:
    assert pieces.token_strings([0, 1]) == ["<|endoftext|>", "<|fin été|>"]


def test_a_document_cannot_spell_a_special_token(pieces: Pieces) -> None:
    token_ids = pieces.tokenize("one<|endoftext|>two")

    assert 0 not in token_ids
    assert "".join(pieces.token_strings(token_ids)) == "one<|endoftext|>two"


def test_an_unknown_id_is_shown_as_such(pieces: Pieces) -> None:
    assert pieces.token_strings([50300, -1]) == ["<token 50300>", "<token -1>"]


def test_a_long_text_is_not_cut(pieces: Pieces) -> None:
    assert "".join(pieces.token_strings(pieces.tokenize("word " * 5000))) == "word " * 5000


def test_a_character_that_stands_in_several_tokens_is_whole_in_the_text(pieces: Pieces) -> None:
    sentence = "naïve 日本語 🙃 end"
    token_ids = pieces.tokenize(sentence)
    torn = pieces.tokenize("🙃")[:-1]

    assert sentence == pieces.text(token_ids)
    assert any("<0x" in string for string in pieces.token_strings(token_ids))
    assert "<0xF0>" in pieces.text(torn)
