"""Units whose rule is known, to test the whole chain: a score is right if a true explanation is told from a false one.

Here: functions from the tokens of one excerpt to activations, each with a true text and false ones in the grammar of
docs/rules.md. Not here: scoring them. Most of them lie in the space of that grammar, so a score of 1 speaks for the
plumbing (alignment, pools, parsing, scoring), not for insight; the last ones are there because they must not reach 1.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from neuron_assets.method.rules.language import NEAR

_FIRE = 10.0


@dataclass(frozen=True, slots=True)
class PlantedUnit:
    """A unit that someone thought up."""

    name: str
    function: Callable[[Sequence[str]], list[float]]
    """From the tokens of an excerpt to as many activations, 0 to about 10; told by the tokens alone."""
    true_explanation: str | None
    """None where the grammar cannot say what the unit does."""
    false_explanations: tuple[str, ...]

    @property
    def expressible(self) -> bool:
        """Whether a text of the grammar can say all of it (but for noise)."""
        return self.true_explanation is not None


def _everywhere(strength: Callable[[Sequence[str], int], float]) -> Callable[[Sequence[str]], list[float]]:
    return lambda tokens: [float(strength(tokens, place)) for place in range(len(tokens))]


def _where(holds: Callable[[Sequence[str], int], bool]) -> Callable[[Sequence[str]], list[float]]:
    return _everywhere(lambda tokens, place: _FIRE * holds(tokens, place))


def _before(tokens: Sequence[str], place: int) -> str | None:
    return tokens[place - 1] if place > 0 else None


def _recent(tokens: Sequence[str], place: int) -> Sequence[str]:
    return tokens[max(0, place - NEAR) : place]


def _graded(strengths: dict[str, float]) -> Callable[[Sequence[str]], list[float]]:
    return _everywhere(lambda tokens, place: strengths.get(tokens[place], 0.0))


def _is_capitals(token: str) -> bool:
    bare = token.strip()
    return bare.isalpha() and bare.isupper() and len(bare) > 1


def _for_or_if_not(tokens: Sequence[str], place: int) -> float:
    if tokens[place] == " not" and _before(tokens, place) == " if":
        return _FIRE
    return 8.0 if tokens[place] == " for" else 0.0


def _chance(tokens: Sequence[str], place: int) -> float:
    """Between 0 and 1, both excluded; told by the text and the place alone."""
    digest = hashlib.blake2b(f"{place} {tokens!r}".encode(errors="surrogatepass"), digest_size=6).digest()
    return (int.from_bytes(digest) + 0.5) / 2**48


def _noisy_equals(tokens: Sequence[str], place: int) -> float:
    noise = NormalDist(0.0, 3.0).inv_cdf(_chance(tokens, place))
    return max(0.0, _FIRE * (tokens[place] == " =") + noise)


def _alternating(tokens: Sequence[str]) -> list[float]:
    """Active between every other pair of commas."""
    n_commas = 0
    activations = []
    for token in tokens:
        activations.append(_FIRE * (n_commas % 2))
        n_commas += token.count(",")
    return activations


PLANTED_UNITS: tuple[PlantedUnit, ...] = (
    PlantedUnit(
        "one token",
        _where(lambda tokens, place: tokens[place] == " self"),
        'Activates on " self" (10). Otherwise about 0.',
        ('Activates on "self" (10). Otherwise about 0.', "Activates on Python keywords (10). Otherwise about 0."),
    ),
    PlantedUnit(
        "a token soon after another",
        _where(lambda tokens, place: tokens[place] == " return" and " if" in _recent(tokens, place)),
        f'Within {NEAR} tokens after " if": " return" (10). Otherwise about 0.',
        (f'Within {NEAR} tokens after " return": " if" (10). Otherwise about 0.',),
    ),
    PlantedUnit(
        "a token right after another",
        _where(lambda tokens, place: tokens[place] == " None" and _before(tokens, place) == " is"),
        'Right after " is": " None" (10). Otherwise about 0.',
        ('Activates on " is" (10). Otherwise about 0.', 'Right after " None": " is" (10). Otherwise about 0.'),
    ),
    PlantedUnit(
        "graded tokens",
        _graded({" import": 10.0, "import": 10.0, " from": 6.0, " as": 3.0}),
        'Activates on " import", "import" (10), " from" (6), " as" (3). Otherwise about 0.',
        ('Activates on " as" (10), " in" (6). Otherwise about 0.',),
    ),
    PlantedUnit(
        "two meanings",
        _everywhere(_for_or_if_not),
        'Activates on " for" (8). Right after " if": " not" (10). Otherwise about 0.',
        ('Activates on " if" (10). Right after " for": " not" (8). Otherwise about 0.',),
    ),
    PlantedUnit(
        "numbers",
        _where(lambda tokens, place: tokens[place].strip().isdigit()),
        "Activates on numbers (10). Otherwise about 0.",
        (
            "Activates on punctuation (10). Otherwise about 0.",
            "Activates on capitalised words (10). Otherwise about 0.",
        ),
    ),
    PlantedUnit(
        "words in capitals",
        _where(lambda tokens, place: _is_capitals(tokens[place])),
        "Activates on words in capitals (10). Otherwise about 0.",
        ("Activates on lower-case words after a space (10). Otherwise about 0.",),
    ),
    PlantedUnit(
        "anything right after a token",
        _where(lambda tokens, place: _before(tokens, place) == "."),
        'Right after ".": any token (10). Otherwise about 0.',
        ('Activates on "." (10). Otherwise about 0.', 'Right after ",": any token (10). Otherwise about 0.'),
    ),
    PlantedUnit(
        "the first token",
        _where(lambda _, place: place == 0),
        "At the start of the excerpt: any token (10). Otherwise about 0.",
        ("Activates on line breaks (10). Otherwise about 0.",),
    ),
    PlantedUnit(
        "a token with an exception",
        _where(lambda tokens, place: tokens[place] == "self" and _before(tokens, place) != "("),
        'Activates on "self" (10). Right after "(": "self" (0). Otherwise about 0.',
        ('Right after "(": "self" (10). Otherwise about 0.',),
    ),
    PlantedUnit(
        "a token in noise",
        _everywhere(_noisy_equals),
        'Activates on " =" (10). Otherwise about 1.',
        ('Activates on "=" (10). Otherwise about 1.', 'Right after " =": any token (10). Otherwise about 1.'),
    ),
    PlantedUnit(
        "a state: every other stretch between commas",
        _alternating,
        None,
        ("Activates on commas (10). Otherwise about 0.",),
    ),
    PlantedUnit(
        "a token seen before in the excerpt",
        _where(lambda tokens, place: len(tokens[place].strip()) > 1 and tokens[place] in tokens[:place]),
        None,
        ("Activates on numbers (10). Otherwise about 0.",),
    ),
    PlantedUnit(
        "noise",
        _everywhere(lambda tokens, place: _FIRE * _chance(tokens, place) ** 8),
        None,
        ("Activates on words (10). Otherwise about 0.",),
    ),
)
"""From plain to impossible."""
