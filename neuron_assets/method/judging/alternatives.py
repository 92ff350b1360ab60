"""The question to a judge that is read by its probabilities: how likely yes is beside no in the place of an answer.

The prompt ends with a mark in the place of the answer, and the server says what else might have stood there. So a model
that only completes text can judge, and says how sure it is without being asked. One excerpt a question: the answers on
several could only be read one given the other.

Here: the text and the reading of its echo. Not here: JSON (`asking.py`), finding tokens in an echo
(`simulating/echoed.py`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from neuron_assets.errors import UnreadableReply
from neuron_assets.method.judging.asking import (
    SURE,
    SYSTEM,
    VERSION,
    Scorer,
    excerpt_text,
    fenced,
    prompt_marks,
    right_answer,
    task,
)
from neuron_assets.method.judging.examples import JUDGED_NEURONS, ShownExcerpt
from neuron_assets.method.questions import EchoPrompt, Question, Reply
from neuron_assets.method.simulating.echoed import token_starts

MARK = "?"
"""In the place of the answer that is asked for; no common tokenizer reads it together with the tab before it."""

_ANSWER = "After each question stands the answer: {yes} for yes, {no} for no."


@dataclass(frozen=True, slots=True)
class AnswerTexts:
    """The two answers, exactly as the model's tokens are written; each has to be one token after a tab."""

    yes: str = "1"
    no: str = "0"


NUMERALS = AnswerTexts()


def alternatives_question(
    scorer: Scorer, explanation: str, excerpt: ShownExcerpt, *, about: str, answers: AnswerTexts = NUMERALS
) -> Question[tuple[float, ...]]:
    """Asks about one excerpt; the reply is read as the probability of a yes, 0 to 1, in a tuple of one.

    Raises ValueError where the excerpt has no tokens.
    """
    if not excerpt.tokens:
        raise ValueError("There is nothing to judge: the excerpt has no tokens.")
    fence, highlight = prompt_marks(explanation, [excerpt])
    told = _ANSWER.format(yes=answers.yes, no=answers.no)
    parts = [SYSTEM.format(task=task(scorer, highlight), answer=told, start=fence.start, end=fence.end)]
    for neuron in JUDGED_NEURONS:
        for example in neuron.examples:
            asked = fenced(scorer, neuron.explanation, [excerpt_text(scorer, example.excerpt, highlight)], fence)
            answer = answers.yes if right_answer(scorer, example) > SURE / 2 else answers.no
            parts.append(f"{asked}\t{answer}")
    parts.append(f"{fenced(scorer, explanation, [excerpt_text(scorer, excerpt, highlight)], fence)}\t")
    before = "\n\n".join(parts)
    prompt = EchoPrompt(before + MARK, f"{scorer}_alternatives/{VERSION}", places=(len(before),))
    read = partial(read_alternatives, prompt=prompt, answers=answers)
    return Question(prompt, read, f"{about} {scorer}")


def read_alternatives(reply: Reply, *, prompt: EchoPrompt, answers: AnswerTexts) -> tuple[float, ...]:
    """The probability of yes, of yes and no together; whatever else the model might have said is left out.

    Raises UnreadableReply where the echo is not the prompt, no token of the model begins in the place of the answer,
    and where its alternatives hold neither answer, or a log-probability of one that is none.
    """
    starts = token_starts([token.text for token in reply.echoed], prompt.text)
    (place,) = prompt.places
    found = [token for start, token in zip(starts, reply.echoed, strict=True) if start == place and token.text]
    if not found:
        raise UnreadableReply("no token of the model begins in the place of the answer", prompt.text[-20:])
    return (probability_of_yes(found[0].alternatives, answers),)


def probability_of_yes(alternatives: Mapping[str, float], answers: AnswerTexts) -> float:
    """P(yes) / (P(yes) + P(no)) from log-probabilities in nats; an answer that is not among them has probability 0.

    Taken in logarithms: however small both are, their ratio stands. Raises UnreadableReply as `read_alternatives`.
    """
    yes, no = (alternatives.get(text, -math.inf) for text in (answers.yes, answers.no))
    shown = str(dict(alternatives))
    if any(math.isnan(value) or value == math.inf for value in (yes, no)):
        raise UnreadableReply("a log-probability is NaN or infinite", shown)
    if yes == no == -math.inf:
        raise UnreadableReply(f"neither {answers.yes!r} nor {answers.no!r} among the alternatives", shown)
    return float(np.exp(yes - np.logaddexp(yes, no)))
