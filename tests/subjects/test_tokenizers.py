"""Facts on the tokenizers of other models than the bundled one."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from neuron_assets.subjects.pieces import Pieces, tokens_before_text
from tests.subjects.small_models import BEGINNING, ENDING, SPACE, TEXTS, byte_level, marked_spaces


def unigram() -> Tokenizer:
    """Pieces with a mark for a space, special tokens among them, that win over letters."""
    words = [(piece, -2.0) for piece in [SPACE, *"abcdefghijklmnopqrstuvwxyz<>/", f"{SPACE}cat"]]
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), (BEGINNING, 0.0), (ENDING, 0.0), *words], 0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<unk>", BEGINNING, ENDING])
    return tokenizer


def whole_words() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "cat": 2}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["[UNK]"])
    return tokenizer


@pytest.mark.parametrize("kind", [byte_level, marked_spaces])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=20).filter(lambda text: "<0x" not in text and SPACE not in text))
@example(text=" ")
@example(text="")
def test_every_text_is_read_and_shown_whole(kind: Callable[[], Tokenizer], text: str) -> None:
    pieces = Pieces(kind())

    shown = pieces.text(pieces.tokenize(text))

    assert shown in {text, f" {text}"}  # some put a space before a text


@pytest.mark.parametrize("kind", [byte_level, marked_spaces])
def test_spaces_lines_tabs_and_torn_characters_are_shown(kind: Callable[[], Tokenizer]) -> None:
    pieces = Pieces(kind())
    token_ids = pieces.tokenize("a cat\n\tsat 日")

    shown = pieces.token_strings(token_ids)

    assert not any(SPACE in string or "�" in string or "\u0120" in string for string in shown)
    assert {"<0xE6>", "<0x97>", "<0xA5>"} <= set(shown)
    assert any(string.startswith(" ") for string in shown)
    assert pieces.text(token_ids).endswith("a cat\n\tsat 日")
    assert pieces.text(token_ids[:-1]).endswith("sat <0xE6><0x97>")


@pytest.mark.parametrize("kind", [byte_level, marked_spaces, unigram])
def test_no_text_can_spell_a_special_token(kind: Callable[[], Tokenizer]) -> None:
    tokenizer = kind()
    special = {tokenizer.token_to_id(BEGINNING), tokenizer.token_to_id(ENDING)}

    token_ids = Pieces(tokenizer).tokenize(f"a {ENDING} cat{BEGINNING}")

    assert len(token_ids) > 3
    assert special.isdisjoint(token_ids)


def test_what_cannot_be_written_is_a_token_all_the_same() -> None:
    for tokenizer, length in [(unigram(), 4), (whole_words(), 2)]:
        pieces = Pieces(tokenizer)
        token_ids = pieces.tokenize("a 日")

        assert len(token_ids) == length
        assert pieces.token_strings(token_ids)[-1] in {"<unk>", "[UNK]"}


def test_marks_of_spaces_stay_where_they_are_no_marks() -> None:
    assert Pieces(byte_level()).text(Pieces(byte_level()).tokenize(f"a{SPACE}b")) == f"a{SPACE}b"


def test_added_tokens_are_shown_as_they_read() -> None:
    for tokenizer, added, shown in [
        (marked_spaces(), SPACE * 2, "  "),
        (marked_spaces(), "\n\n", "\n\n"),
        (byte_level(), "\n\n", "\n\n"),
        (byte_level(), "é\u0120", "é\u0120"),
    ]:
        tokenizer.add_tokens([added])

        assert Pieces(tokenizer).token_strings([tokenizer.get_vocab()[added]]) == [shown]


@pytest.mark.parametrize("kind", [byte_level, marked_spaces])
def test_what_a_tokenizer_puts_before_a_text_is_known_and_not_in_the_text(
    kind: Callable[..., Tokenizer],
) -> None:
    tokenizer = kind(beginning=True)

    before = tokens_before_text(tokenizer)

    assert before == (tokenizer.token_to_id(BEGINNING),)
    assert before[0] not in Pieces(tokenizer).tokenize(TEXTS[0])
    assert tokens_before_text(kind()) == ()


def test_a_large_vocabulary_is_only_read_where_it_is_shown() -> None:
    vocabulary = {f"{SPACE}word{number}": number for number in range(256_000)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, f"{SPACE}word0"))
    tokenizer.decoder = decoders.Metaspace()

    pieces = Pieces(tokenizer)

    assert pieces.token_strings([255_999, 256_000]) == [" word255999", "<token 256000>"]
    assert len(pieces._strings) == 2
