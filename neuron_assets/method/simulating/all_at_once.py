"""Simulating all tokens of an excerpt at once: the prompt, in parts.

Every line holds a token, a tab and a strength. In worked examples the strengths of the first tokens are unknown and
then known; in the excerpt asked about all of them are unknown. A model that has learnt that the mark for unknown gives
way to numbers at some point puts a part of its probability on numbers in every such place, and so one reading of the
prompt gives all of them (Bills et al. 2023).

The mark is a question mark since no common tokenizer reads it together with the tab before it, as some do with words.

Here: the texts and where the marks stand. Not here: reading a server's echo (`echoed.py`), reading a model in this
process (`language_models/local_simulating.py`), the examples themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from neuron_assets.method.fencing import escaped
from neuron_assets.method.few_shot import FewShotExcerpt, FewShotNeuron
from neuron_assets.method.questions import EchoPrompt, Question
from neuron_assets.method.simulating.echoed import read_echoed
from neuron_assets.method.simulating.simulated import SimulatedExcerpt

LAYOUT = "all_at_once/1"

UNKNOWN = "?"
BEGIN = "<tokens>"
END = "</tokens>"

_INSTRUCTIONS = f"""\
Each neuron below watches a text for one thing and rates every token of it, in the order of reading. A rating is a \
whole number: 0 where nothing of that thing is there, 10 where it could not be clearer. A token is rated by itself and \
by what stands above it, never by what stands below. By far the most ratings are 0.
Between {BEGIN} and {END} each line is one token, a tab and its rating. A line such as
word\t10
says that the neuron saw its thing as clearly as it ever does. A rating that was lost is written {UNKNOWN} instead.
"""


@dataclass(frozen=True, slots=True)
class ExcerptPart:
    """The last part of a prompt: the excerpt that is asked about."""

    text: str
    unknown_offsets: tuple[int, ...]
    """Characters of `text` before the mark of each token."""


def shared_part(few_shot: Sequence[FewShotNeuron]) -> str:
    """What all prompts begin with: the instructions and the worked examples."""
    neurons = [
        explanation_part(neuron.explanation, number) + "".join(_revealed(excerpt) for excerpt in neuron.excerpts)
        for number, neuron in enumerate(few_shot, 1)
    ]
    return _INSTRUCTIONS + "".join(neurons)


def explanation_part(explanation: str, number: int) -> str:
    """What the prompts of one neuron go on with; `number` counts the neurons of a prompt from 1.

    The explanation is put on one line, without its full stop. Raises ValueError where it is empty.
    """
    line = escaped(" ".join(explanation.split())).removesuffix(".")
    if not line:
        raise ValueError("There is nothing to simulate from: the explanation is empty.")
    return f"Neuron {number} watches for: {line}\n"


def excerpt_part(tokens: Sequence[str]) -> ExcerptPart:
    """What each prompt ends with: the tokens of one excerpt, none of them rated. Raises ValueError where none is."""
    if not tokens:
        raise ValueError("There is nothing to simulate: the excerpt has no tokens.")
    text, offsets = f"{BEGIN}\n", []
    for token in tokens:
        text += f"{escaped(token)}\t"
        offsets.append(len(text))
        text += f"{UNKNOWN}\n"
    return ExcerptPart(f"{text}{END}\n", tuple(offsets))


def echo_simulation_question(
    explanation: str, tokens: Sequence[str], few_shot: Sequence[FewShotNeuron], *, about: str
) -> Question[SimulatedExcerpt]:
    """The question how strongly a neuron with this explanation fires on each of the tokens, in one prompt."""
    before = shared_part(few_shot) + explanation_part(explanation, len(few_shot) + 1)
    part = excerpt_part(tokens)
    text = before + part.text
    offsets = tuple(len(before) + offset for offset in part.unknown_offsets)
    prompt = EchoPrompt(text, LAYOUT, places=offsets)
    return Question(prompt, lambda reply: read_echoed(reply, text, offsets, UNKNOWN), about)


def _revealed(excerpt: FewShotExcerpt) -> str:
    ratings = [UNKNOWN] * excerpt.first_revealed + [str(value) for value in excerpt.scaled[excerpt.first_revealed :]]
    lines = [f"{escaped(token)}\t{rating}\n" for token, rating in zip(excerpt.tokens, ratings, strict=True)]
    return f"{BEGIN}\n{''.join(lines)}{END}\n"
