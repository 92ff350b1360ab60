"""What planted units do: functions from the tokens of one excerpt to activations.

Here: the functions, and how they are put together. Not here: which of them are units, and what is said of them
(`planted.py`).
"""

import hashlib
from collections.abc import Callable, Sequence
from statistics import NormalDist

from neuron_assets.method.rules.language import NEAR

FIRE = 10.0

Function = Callable[[Sequence[str]], list[float]]
"""From the tokens of an excerpt to as many activations, 0 to about 10; told by the tokens alone."""


def everywhere(strength: Callable[[Sequence[str], int], float]) -> Function:
    return lambda tokens: [float(strength(tokens, place)) for place in range(len(tokens))]


def where(holds: Callable[[Sequence[str], int], bool]) -> Function:
    return everywhere(lambda tokens, place: FIRE * holds(tokens, place))


def before(tokens: Sequence[str], place: int) -> str | None:
    return tokens[place - 1] if place > 0 else None


def recent(tokens: Sequence[str], place: int) -> Sequence[str]:
    return tokens[max(0, place - NEAR) : place]


def graded(strengths: dict[str, float]) -> Function:
    return everywhere(lambda tokens, place: strengths.get(tokens[place], 0.0))


def is_capitals(token: str) -> bool:
    bare = token.strip()
    return bare.isalpha() and bare.isupper() and len(bare) > 1


def for_or_if_not(tokens: Sequence[str], place: int) -> float:
    if tokens[place] == " not" and before(tokens, place) == " if":
        return FIRE
    return 8.0 if tokens[place] == " for" else 0.0


def chance(tokens: Sequence[str], place: int) -> float:
    """Between 0 and 1, both excluded; told by the text and the place alone."""
    digest = hashlib.blake2b(f"{place} {tokens!r}".encode(errors="surrogatepass"), digest_size=6).digest()
    return (int.from_bytes(digest) + 0.5) / 2**48


def noisy_equals(tokens: Sequence[str], place: int) -> float:
    noise = NormalDist(0.0, 3.0).inv_cdf(chance(tokens, place))
    return max(0.0, FIRE * (tokens[place] == " =") + noise)


def by_commas(holds: Callable[[int], bool]) -> Function:
    """Active where it holds of the number of commas before."""
    return where(lambda tokens, place: holds("".join(tokens[:place]).count(",")))


def seen_before(tokens: Sequence[str], place: int) -> bool:
    return len(tokens[place].strip()) > 1 and tokens[place] in tokens[:place]


def comes(tokens: Sequence[str], place: int, n_ahead: int) -> bool:
    """Whether an equals sign after a space comes within so many tokens."""
    return " =" in tokens[place + 1 : place + 1 + n_ahead]


def in_comment(tokens: Sequence[str], place: int) -> bool:
    """After a comment mark on the same line; a token with a line break begins a line."""
    if "\n" in tokens[place]:
        return False
    for token in reversed(tokens[:place]):
        if "#" in token:
            return "\n" not in token[token.rindex("#") :]
        if "\n" in token:
            return False
    return False


def number_or_after_not(tokens: Sequence[str], place: int) -> float:
    if tokens[place].strip().isdigit():
        return FIRE
    return 7.0 if before(tokens, place) == " not" else 0.0


TROUBLE = {" failed": 10.0, " failure": 9.0, " error": 8.0, " invalid": 7.0, " warning": 4.0, " not": 2.0}
