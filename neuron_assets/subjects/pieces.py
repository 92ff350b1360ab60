"""The pieces of text that a subject model reads.

Here: text to token ids, and token ids to what a reader is shown, for tokenizers that write bytes (GPT-2's kind),
pieces of text with a mark for a space (SentencePiece's kind), or pieces as they stand. Not here: what the model does
with them.
"""

import json
import re
from collections.abc import Callable, Sequence
from itertools import takewhile

from tokenizers import Tokenizer, models

_SPACE_MARK = "\N{LOWER ONE EIGHTH BLOCK}"
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class Pieces:
    """A tokenizer, read by a person.

    A document is text and nothing else: where it spells out a special token such as <|endoftext|>, that is read as
    letters, so that no document can end itself.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Takes the tokenizer over: its truncation, padding and special tokens are switched off."""
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self._bytes_of = reader = _reader(tokenizer)
        added = tokenizer.get_added_tokens_decoder()
        # Special tokens stand in the vocabulary as they read, and no added token is in the byte alphabet.
        self._bytes = {
            token_id: token.content.encode() if token.special or reader is _of_byte_alphabet else reader(token.content)
            for token_id, token in added.items()
        }
        self._strings: dict[int, str] = {}
        unknown = _unknown_id(tokenizer)
        self._never = {token_id for token_id, token in added.items() if token.special and token_id != unknown}

    def tokenize(self, text: str) -> list[int]:
        """The token ids of a text, nothing added and nothing cut.

        A vocabulary that can write a special token in no other way leaves it out.
        """
        token_ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        if self._never.isdisjoint(token_ids):
            return token_ids
        return [token_id for token_id in token_ids if token_id not in self._never]

    def token_strings(self, token_ids: Sequence[int]) -> list[str]:
        """What a reader sees of each token; an id that the tokenizer does not know shows as <token 50300>."""
        return [self._string(token_id) for token_id in map(int, token_ids)]

    def text(self, token_ids: Sequence[int]) -> str:
        """What the tokens say together; only bytes that are torn off at an end stand as <0xE2>."""
        return readable(b"".join(map(self._piece, map(int, token_ids))))

    def _string(self, token_id: int) -> str:
        if token_id not in self._strings:  # vocabularies are large, and few of their tokens are ever shown
            self._strings[token_id] = readable(self._piece(token_id))
        return self._strings[token_id]

    def _piece(self, token_id: int) -> bytes:
        if token_id not in self._bytes:
            piece = self._tokenizer.id_to_token(token_id) if token_id >= 0 else None
            self._bytes[token_id] = f"<token {token_id}>".encode() if piece is None else self._bytes_of(piece)
        return self._bytes[token_id]


def readable(piece: bytes) -> str:
    """The text of some bytes; those that are no UTF-8 by themselves stand as <0xE2>, one by one."""
    text = ""
    while True:
        try:
            return text + piece.decode("utf-8")
        except UnicodeDecodeError as error:
            torn = "".join(f"<0x{byte:02X}>" for byte in piece[error.start : error.end])
            text += piece[: error.start].decode("utf-8") + torn
            piece = piece[error.end :]


def tokens_before_text(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The token ids that a tokenizer by itself puts before any text: what the model was trained to read first."""
    encoded = tokenizer.encode("a")
    before = takewhile(lambda pair: pair[1] == 1, zip(encoded.ids, encoded.special_tokens_mask, strict=True))
    return tuple(token_id for token_id, _ in before)


def _reader(tokenizer: Tokenizer) -> Callable[[str], bytes]:
    """From a piece as the vocabulary writes it to its bytes; how it writes them, its decoder tells."""
    steps = "" if tokenizer.decoder is None else json.dumps(json.loads(tokenizer.decoder.__getstate__()))
    if '"ByteLevel"' in steps:
        return _of_byte_alphabet
    if '"Metaspace"' in steps or json.dumps(_SPACE_MARK) in steps:
        return _of_marked_spaces
    return str.encode


def _of_marked_spaces(piece: str) -> bytes:
    byte = _BYTE.fullmatch(piece)
    return bytes.fromhex(byte[1]) if byte else piece.replace(_SPACE_MARK, " ").encode()


def _of_byte_alphabet(piece: str) -> bytes:
    try:
        return bytes(_BYTE_ALPHABET[character] for character in piece)
    except KeyError:
        return piece.encode()


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's way to write any byte as a visible character: most stand for themselves, the others from U+0100 on."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(0x100) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(0x100 + place): byte for place, byte in enumerate(hidden)}


_BYTE_ALPHABET = _byte_alphabet()


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    """Of the token that stands for what the vocabulary cannot write; that is text, though it counts as special."""
    if isinstance(tokenizer.model, models.Unigram):
        unknown_id: int | None = json.loads(tokenizer.model.__getstate__())["unk_id"]  # it has no public name
        return unknown_id
    unknown = getattr(tokenizer.model, "unk_token", None)
    return None if unknown is None else tokenizer.token_to_id(unknown)
