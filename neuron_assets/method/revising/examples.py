"""Worked examples of a revision: invented neurons whose first explanation is near the truth and wrong.

Here: for each the first explanation, some excerpts, sentences that test it with what the neuron did on them, and the
revised explanation. Not here: how they are written into a prompt (`sentences.py`, `asking.py`).
"""

from dataclasses import dataclass

from neuron_assets.method.explaining.layouts import ShownExcerpt


@dataclass(frozen=True, slots=True)
class MeasuredExample:
    """A sentence with what the neuron did on it, on the scale of its excerpts."""

    shown: ShownExcerpt
    should_fire: bool
    """By the first explanation."""

    @property
    def sentence(self) -> str:
        return "".join(self.shown.tokens)


@dataclass(frozen=True, slots=True)
class RevisionExample:
    first: str
    """Completes a sentence that says what the neuron looks for; no full stop. So does `revised`."""
    excerpts: tuple[ShownExcerpt, ...]
    tests: tuple[MeasuredExample, ...]
    """As many that should fire as that should not, those first."""
    revised: str


def _words(text: str, *numbers: int) -> ShownExcerpt:
    """Tokens parted by |; numbers left out at the end are 0."""
    tokens = tuple(text.split("|"))
    return ShownExcerpt(tokens, (*numbers, *(0,) * (len(tokens) - len(numbers))))


REVISION_EXAMPLES: tuple[RevisionExample, ...] = (
    RevisionExample(
        first="words for boats and ships",
        excerpts=(
            _words("The| ferry| left| the| quay| at| dawn|.", 0, 7, 1, 0, 8),
            _words("Two| tugs| towed| the| wreck| past| the| pier|.", 0, 5, 0, 0, 2, 0, 0, 10),
            _words("She| paid| the| baker| and| went| home|."),
        ),
        tests=(
            MeasuredExample(_words("A| canoe| drifted| down| the| mountain| stream|.", 0, 0), should_fire=True),
            MeasuredExample(_words("The| yacht| was| moored| to| the| jetty|.", 0, 2, 0, 6, 0, 0, 9), should_fire=True),
            MeasuredExample(
                _words("He| sat| on| the| dock| and| mended| a| shirt|.", 0, 0, 0, 0, 9), should_fire=False
            ),
            MeasuredExample(_words("The| lorry| stopped| at| the| red| light|."), should_fire=False),
        ),
        revised="places where ships are moored, such as quays and piers, and less strongly what lies or sails there",
    ),
    RevisionExample(
        first="the keyword return in Python code",
        excerpts=(
            _words("def| area|(|r|):|\n   | return| 3|.|14| *| r", 0, 0, 0, 0, 0, 0, 9),
            _words("   | if| done|:|\n       | return|\n   | step|()", 0, 0, 0, 0, 0, 10),
            _words("print|(|total|)|\n"),
        ),
        tests=(
            MeasuredExample(_words("def| one|():|\n   | return| 1", 0, 0, 0, 0, 9), should_fire=True),
            MeasuredExample(_words("   | while| True|:|\n       | return| None", 0, 0, 0, 0, 0, 10), should_fire=True),
            MeasuredExample(_words("They| return| on| Monday|.", 0, 0), should_fire=False),
            MeasuredExample(
                _words("   | for| x| in| rows|:|\n       | break", 0, 0, 0, 0, 0, 0, 0, 8), should_fire=False
            ),
        ),
        revised="keywords that leave a block of Python code, such as return and break, not the same words in prose",
    ),
)
