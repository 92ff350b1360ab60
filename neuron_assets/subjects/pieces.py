"""The pieces of text that a subject model reads.

Here: text to token ids, and token ids to what a reader is shown. Not here: what the model does with them.
"""

from collections.abc import Sequence

from tokenizers import Tokenizer


class Pieces:
    """A byte-level tokenizer (GPT-2's kind), read by a person.

    A document is text and nothing else: where it spells out a special token such as <|endoftext|>, that is read as
    letters, so that no document can end itself.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Takes the tokenizer over: its truncation, padding and special tokens are switched off."""
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self._bytes = _bytes(tokenizer)
        self._strings = {token_id: readable(piece) for token_id, piece in self._bytes.items()}

    def tokenize(self, text: str) -> list[int]:
        """The token ids of a text, nothing added and nothing cut."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def token_strings(self, token_ids: Sequence[int]) -> list[str]:
        """What a reader sees of each token; an id that the tokenizer does not know shows as <token 50300>."""
        return [self._strings.get(token_id, _unknown(token_id)) for token_id in map(int, token_ids)]

    def text(self, token_ids: Sequence[int]) -> str:
        """What the tokens say together; only bytes that are torn off at an end stand as <0xE2>."""
        return readable(
            b"".join(self._bytes.get(token_id, _unknown(token_id).encode()) for token_id in map(int, token_ids))
        )


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


def _bytes(tokenizer: Tokenizer) -> dict[int, bytes]:
    alphabet = _byte_alphabet()
    pieces = {token_id: _bytes_of(piece, alphabet) for piece, token_id in tokenizer.get_vocab().items()}
    # Added tokens stand in the vocabulary as they read, not in the byte alphabet.
    return pieces | {
        token_id: token.content.encode() for token_id, token in tokenizer.get_added_tokens_decoder().items()
    }


def _bytes_of(piece: str, alphabet: dict[str, int]) -> bytes:
    if all(character in alphabet for character in piece):
        return bytes(alphabet[character] for character in piece)
    return piece.encode()


def _unknown(token_id: int) -> str:
    return f"<token {token_id}>"


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's way to write any byte as a visible character: most stand for themselves, the others from U+0100 on."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(0x100) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(0x100 + place): byte for place, byte in enumerate(hidden)}
