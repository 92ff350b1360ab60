"""The questions to a model that judges, as the study has it asked.

Put here: which of the method's layouts is used. Keep out: asking them (`judges.py`), what they say (`method/judging/`).
"""

from collections.abc import Iterator, Sequence

from neuron_assets.judge_sections import HostedJudge, LocalJudge
from neuron_assets.method.judging.alternatives import alternatives_question
from neuron_assets.method.judging.asking import Scorer, judging_questions
from neuron_assets.method.judging.examples import ShownExcerpt
from neuron_assets.method.questions import Prompt, Question

AskedJudge = HostedJudge | LocalJudge


def judge_questions(
    section: AskedJudge, scorer: Scorer, explanation: str, excerpts: Sequence[ShownExcerpt], *, about: str
) -> Iterator[Question[tuple[float, ...]]]:
    """Their answers, one after the other, are one for each excerpt."""
    if isinstance(section, HostedJudge) and section.method == "logprobs":
        for number, excerpt in enumerate(excerpts, 1):
            yield alternatives_question(scorer, explanation, excerpt, about=f"{about} excerpt {number}")
    else:
        yield from judging_questions(scorer, explanation, excerpts, section.plan, about=about)


def sample_prompt(section: AskedJudge, scorer: Scorer, explanation: str, tokens: tuple[str, ...]) -> Prompt:
    """To measure how long prompts are: about as many excerpts as are shown at once, all alike, with a mark in each."""
    excerpts = [ShownExcerpt(tokens, frozenset({0}))] * section.plan.shown_at_once
    return next(judge_questions(section, scorer, explanation, excerpts, about="a sample")).prompt
