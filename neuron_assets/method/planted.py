"""Units whose rule is known, to test the whole chain: a score is right if a true explanation is told from a false one.

Here: the units, each with a true text and false ones in the grammar of docs/rules.md, or in words where the grammar has
none. Not here: the functions that they are (`planted_functions.py`), and scoring them. Most of them lie in the space of
that grammar, so a score of 1 speaks for the plumbing (alignment, pools, parsing, scoring), not for insight; some are
there because they must not reach 1.
"""

from dataclasses import dataclass

from neuron_assets.method.planted_functions import (
    FIRE,
    TROUBLE,
    Function,
    before,
    by_commas,
    chance,
    comes,
    everywhere,
    for_or_if_not,
    graded,
    in_comment,
    is_capitals,
    noisy_equals,
    number_or_after_not,
    recent,
    seen_before,
    where,
)
from neuron_assets.method.rules.language import NEAR


@dataclass(frozen=True, slots=True)
class Claim:
    """What may be said of a unit in words that the grammar does not have."""

    text: str
    expected: Function
    """What whoever takes the text at its word expects of the unit."""


@dataclass(frozen=True, slots=True)
class PlantedUnit:
    """A unit that someone thought up."""

    name: str
    function: Function
    true_explanation: str | None
    """None where the grammar cannot say what the unit does."""
    false_explanations: tuple[str, ...]
    """Texts of the grammar that speak of something else."""
    over_broad: str | None = None
    """A text of the grammar that says all that the unit does, and more."""
    too_narrow: str | None = None
    """A text of the grammar that says a part of what the unit does, and nothing else."""
    claims: tuple[Claim, ...] = ()
    """For language models only, where the grammar has no words: the true one, a wrong one, one too broad, one too
    narrow."""

    @property
    def expressible(self) -> bool:
        """Whether a text of the grammar can say all of it (but for noise)."""
        return self.true_explanation is not None

    @property
    def nearly_true(self) -> tuple[str, ...]:
        """The texts of the grammar that are neither true nor far from it."""
        return tuple(text for text in (self.over_broad, self.too_narrow) if text is not None)


PLANTED_UNITS: tuple[PlantedUnit, ...] = (
    PlantedUnit(
        "one token",
        where(lambda tokens, place: tokens[place] == " self"),
        'Activates on " self" (10). Otherwise about 0.',
        ('Activates on "self" (10). Otherwise about 0.', "Activates on Python keywords (10). Otherwise about 0."),
    ),
    PlantedUnit(
        "a token soon after another",
        where(lambda tokens, place: tokens[place] == " return" and " if" in recent(tokens, place)),
        f'Within {NEAR} tokens after " if": " return" (10). Otherwise about 0.',
        (f'Within {NEAR} tokens after " return": " if" (10). Otherwise about 0.',),
    ),
    PlantedUnit(
        "a token right after another",
        where(lambda tokens, place: tokens[place] == " None" and before(tokens, place) == " is"),
        'Right after " is": " None" (10). Otherwise about 0.',
        ('Activates on " is" (10). Otherwise about 0.', 'Right after " None": " is" (10). Otherwise about 0.'),
    ),
    PlantedUnit(
        "graded tokens",
        graded({" import": 10.0, "import": 10.0, " from": 6.0, " as": 3.0}),
        'Activates on " import", "import" (10), " from" (6), " as" (3). Otherwise about 0.',
        ('Activates on " as" (10), " in" (6). Otherwise about 0.',),
    ),
    PlantedUnit(
        "two meanings",
        everywhere(for_or_if_not),
        'Activates on " for" (8). Right after " if": " not" (10). Otherwise about 0.',
        ('Activates on " if" (10). Right after " for": " not" (8). Otherwise about 0.',),
    ),
    PlantedUnit(
        "numbers",
        where(lambda tokens, place: tokens[place].strip().isdigit()),
        "Activates on numbers (10). Otherwise about 0.",
        (
            "Activates on punctuation (10). Otherwise about 0.",
            "Activates on capitalised words (10). Otherwise about 0.",
        ),
    ),
    PlantedUnit(
        "words in capitals",
        where(lambda tokens, place: is_capitals(tokens[place])),
        "Activates on words in capitals (10). Otherwise about 0.",
        ("Activates on lower-case words after a space (10). Otherwise about 0.",),
    ),
    PlantedUnit(
        "anything right after a token",
        where(lambda tokens, place: before(tokens, place) == "."),
        'Right after ".": any token (10). Otherwise about 0.',
        ('Activates on "." (10). Otherwise about 0.', 'Right after ",": any token (10). Otherwise about 0.'),
    ),
    PlantedUnit(
        "the first token",
        where(lambda _, place: place == 0),
        "At the start of the excerpt: any token (10). Otherwise about 0.",
        ("Activates on line breaks (10). Otherwise about 0.",),
    ),
    PlantedUnit(
        "a token with an exception",
        where(lambda tokens, place: tokens[place] == "self" and before(tokens, place) != "("),
        'Activates on "self" (10). Right after "(": "self" (0). Otherwise about 0.',
        ('Right after "(": "self" (10). Otherwise about 0.',),
    ),
    PlantedUnit(
        "a token in noise",
        everywhere(noisy_equals),
        'Activates on " =" (10). Otherwise about 1.',
        ('Activates on "=" (10). Otherwise about 1.', 'Right after " =": any token (10). Otherwise about 1.'),
    ),
    PlantedUnit(
        "a state: every other stretch between commas",
        by_commas(lambda n: n % 2 == 1),
        None,
        ("Activates on commas (10). Otherwise about 0.",),
        claims=(
            Claim(
                "text from the first comma to the second, from the third to the fourth, and so on",
                by_commas(lambda n: n % 2 == 1),
            ),
            Claim(
                "text up to the first comma, from the second to the third, and so on", by_commas(lambda n: n % 2 == 0)
            ),
            Claim("all text after the first comma", by_commas(lambda n: n > 0)),
            Claim("text from the first comma to the second only", by_commas(lambda n: n == 1)),
        ),
    ),
    PlantedUnit(
        "a token seen before in the excerpt",
        where(seen_before),
        None,
        ("Activates on numbers (10). Otherwise about 0.",),
        claims=(
            Claim("a token of two or more characters that has stood in the excerpt before", where(seen_before)),
            Claim(
                "a token that stands in the excerpt for the first time",
                where(lambda tokens, place: tokens[place] not in tokens[:place]),
            ),
            Claim("any token of two or more characters", where(lambda tokens, place: len(tokens[place].strip()) > 1)),
            Claim(
                'the word "self", where it has stood in the excerpt before',
                where(lambda tokens, place: tokens[place].strip() == "self" and seen_before(tokens, place)),
            ),
        ),
    ),
    PlantedUnit(
        "noise",
        everywhere(lambda tokens, place: FIRE * chance(tokens, place) ** 8),
        None,
        ("Activates on words (10). Otherwise about 0.",),
    ),
    PlantedUnit(
        "any word after a bracket",
        where(lambda tokens, place: (before(tokens, place) or "").strip()[-1:] in ("(", "[", "{")),
        "Right after opening brackets: any token (10). Otherwise about 0.",
        ("Right after closing brackets: any token (10). Otherwise about 0.",),
        over_broad="Right after punctuation: any token (10). Otherwise about 0.",
        too_narrow="Right after opening brackets: words (10). Otherwise about 0.",
    ),
    PlantedUnit(
        "the first line",
        where(lambda tokens, place: not any("\n" in token for token in tokens[: place + 1])),
        "Before the first line break: any token (10). Otherwise about 0.",
        ("On deeply indented lines: any token (10). Otherwise about 0.",),
        over_broad="Before the first line break: any token (10). Activates on words (10). Otherwise about 0.",
        too_narrow="Before the first line break: words (10). Otherwise about 0.",
    ),
    PlantedUnit(
        "comments",
        where(in_comment),
        "In a comment: any token (10). Otherwise about 0.",
        ("Inside quotation marks: any token (10). Otherwise about 0.",),
        over_broad="In a comment: any token (10). Activates on words (10). Otherwise about 0.",
        too_narrow="In a comment: short words after a space (10). Otherwise about 0.",
    ),
    PlantedUnit(
        "words of trouble, some stronger than others",
        graded(TROUBLE),
        'Activates on " failed" (10), " failure" (9), " error" (8), " invalid" (7), " warning" (4), " not" (2). '
        "Otherwise about 0.",
        ('Activates on " success" (10), " correct" (8), " valid" (7), " useful" (4). Otherwise about 0.',),
        over_broad="Activates on lower-case words after a space (10). Otherwise about 0.",
        too_narrow='Activates on " invalid" (7). Otherwise about 0.',
    ),
    PlantedUnit(
        "numbers, and what follows a denial",
        everywhere(number_or_after_not),
        'Activates on numbers (10). Right after " not": any token (7), numbers (10). Otherwise about 0.',
        ('Activates on commas (10). Right after " is": any token (7). Otherwise about 0.',),
        over_broad="Activates on numbers (10). Right after lower-case words after a space: any token (7). "
        "Otherwise about 0.",
        too_narrow="Activates on numbers (10). Otherwise about 0.",
    ),
    PlantedUnit(
        "the token before another",
        where(lambda tokens, place: comes(tokens, place, 1)),
        None,
        ('Right after " =": any token (10). Otherwise about 0.',),
        claims=(
            Claim('the token right before " ="', where(lambda tokens, place: comes(tokens, place, 1))),
            Claim('the token right after " ="', where(lambda tokens, place: before(tokens, place) == " =")),
            Claim('each of the four tokens before " ="', where(lambda tokens, place: comes(tokens, place, 4))),
            Claim(
                'a closing bracket right before " ="',
                where(lambda tokens, place: tokens[place].strip() in (")", "]") and comes(tokens, place, 1)),
            ),
        ),
    ),
)
"""From plain to impossible, then those with nearly true texts. A unit's place is its neuron_index: new ones go last."""
