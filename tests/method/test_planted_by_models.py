"""Planted units through the prompts: a scripted model that reads as well as it can gets what the claims deserve."""

import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from jaxtyping import Bool

from neuron_assets.method.fencing import escaped
from neuron_assets.method.judging.activity import known_from
from neuron_assets.method.judging.asking import AskingPlan, Scorer, judging_questions
from neuron_assets.method.judging.choosing import ACTIVE, ChoicePlan, choose_excerpts, marked_tokens
from neuron_assets.method.judging.examples import ShownExcerpt
from neuron_assets.method.planted import PLANTED_UNITS, Claim, PlantedUnit
from neuron_assets.method.questions import ChatPrompt, Prompt, Reply
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens
from neuron_assets.method.scoring import score
from neuron_assets.method.simulating.numbered_json import json_simulation_question

STRINGS = ("self", " word", ",", " =", " x", ")", "\n", " of", " the", "3")
N_TRAIN, N_EXCERPTS, N_TOKENS = 200, 400, 16
PLANS: Mapping[Scorer, ChoicePlan] = {
    "detection": ChoicePlan(n_active=20, n_plain=10, n_hard=10),
    "fuzzing": ChoicePlan(n_active=20, n_plain=10, n_hard=10, n_beside=20),
}
UNITS = [unit for unit in PLANTED_UNITS if unit.claims]


def _codes() -> np.ndarray:
    chances = np.array([6, 6, 5, 2, 8, 3, 4, 8, 8, 3])
    return np.random.default_rng(9).choice(len(STRINGS), (N_EXCERPTS, N_TOKENS), p=chances / chances.sum())


CODES = _codes()
CUT = [tuple(STRINGS[code] for code in codes) for codes in CODES.tolist()]
BY_TEXT = {escaped("".join(tokens)): tokens for tokens in CUT}


class ScriptedReader:
    """Knows what each claim means, and how each excerpt is cut; sees nothing but the prompt."""

    def __init__(self, unit: PlantedUnit) -> None:
        self._expected = {escaped(claim.text): claim.expected for claim in unit.claims}

    def simulate(self, prompt: Prompt) -> Reply:
        lines = _last(prompt)
        tokens = [json.loads(line.split(" ", 1)[1]) for line in lines[lines.index("Tokens:") + 2 : -1]]
        strengths = self._expected[lines[2]](tokens)
        return Reply(json.dumps({str(place): int(value) for place, value in enumerate(strengths, start=1)}))

    def detect(self, prompt: Prompt) -> Reply:
        return self._judge(prompt, lambda line: (BY_TEXT[line], []), any)

    def fuzz(self, prompt: Prompt) -> Reply:
        return self._judge(prompt, _marked, all)

    def _judge(
        self,
        prompt: Prompt,
        read: Callable[[str], tuple[Sequence[str], Sequence[int]]],
        says_yes: Callable[[list[bool]], bool],
    ) -> Reply:
        lines = _last(prompt)
        excerpts = [lines[place + 2] for place, line in enumerate(lines) if line.startswith("Excerpt ")]
        answers = {}
        for number, line in enumerate(excerpts, start=1):
            tokens, places = read(line)
            strengths = self._expected[lines[2]](tokens)
            fires = [strength > 1 for strength in strengths]
            answers[str(number)] = int(says_yes([fires[place] for place in places] if places else fires))
        return Reply(json.dumps(answers))


def _last(prompt: Prompt) -> list[str]:
    assert isinstance(prompt, ChatPrompt)
    return prompt.messages[-1].content.splitlines()


def _marked(line: str) -> tuple[Sequence[str], Sequence[int]]:
    tokens = BY_TEXT[line.replace("«", "").replace("»", "")]
    places = []
    for place, token in enumerate(tokens):
        shown = f"«{escaped(token)}»"
        if line.startswith(shown):
            places.append(place)
        line = line.removeprefix(shown if line.startswith(shown) else escaped(token))
    return tokens, places


def record(unit: PlantedUnit, first: int, last: int) -> NeuronRecord:
    rows = np.arange(first, last)
    activations = np.array([unit.function(tokens) for tokens in CUT[first:last]])
    exemplars = Exemplars(Tokens(CODES[rows], STRINGS), activations, np.zeros(len(rows), np.bool_), rows, rows)
    return NeuronRecord(NeuronId(0, PLANTED_UNITS.index(unit)), exemplars)


def right_share(unit: PlantedUnit, claim: Claim, scorer: Scorer, shown_at_once: int) -> float:
    """Balanced accuracy, told from the replies by hand."""
    known = known_from(record(unit, 0, N_TRAIN).exemplars).value
    assert known is not None
    held_out = record(unit, N_TRAIN, N_EXCERPTS)
    plan = PLANS[scorer]
    chosen = choose_excerpts(held_out, known, plan)
    marked: Bool[np.ndarray, "judged token"] = marked_tokens(held_out, known, chosen, plan)
    shown = [
        ShownExcerpt(CUT[N_TRAIN + row], frozenset(np.flatnonzero(marks).tolist()))
        for row, marks in zip(chosen.rows.tolist(), marked, strict=True)
    ]
    reader = ScriptedReader(unit)
    questions = judging_questions(scorer, claim.text, shown, AskingPlan(shown_at_once=shown_at_once), about="")
    replied = [
        question.read((reader.detect if scorer == "detection" else reader.fuzz)(question.prompt))
        for question in questions
    ]
    verdicts = np.concatenate(replied)
    active = chosen.strata == ACTIVE
    return float((verdicts[active].mean() + 1 - verdicts[~active].mean()) / 2)


def correlation(unit: PlantedUnit, claim: Claim) -> float | None:
    held_out, reader = record(unit, N_TRAIN, N_TRAIN + 60), ScriptedReader(unit)
    questions = [json_simulation_question(claim.text, tokens, [], about="") for tokens in CUT[N_TRAIN : N_TRAIN + 60]]
    simulated = np.stack([question.read(reader.simulate(question.prompt)).expected for question in questions])
    return score(held_out.exemplars.activations, simulated).ev_correlation


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_simulation_puts_the_true_claim_above_each_false_one(unit: PlantedUnit) -> None:
    true, *false = [correlation(unit, claim) for claim in unit.claims]

    assert true == 1.0
    assert len(false) == 3
    assert all(value is None or value < 0.95 for value in false), false


@pytest.mark.slow
@pytest.mark.parametrize("shown_at_once", [1, 4])
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_detection_or_fuzzing_puts_the_true_claim_above_each_false_one(unit: PlantedUnit, shown_at_once: int) -> None:
    scorers: tuple[Scorer, ...] = ("detection", "fuzzing")
    true, *false = [[right_share(unit, claim, scorer, shown_at_once) for scorer in scorers] for claim in unit.claims]

    assert true == [1.0, 1.0]
    for claim, found in zip(unit.claims[1:], false, strict=True):
        assert min(found) < 1.0, claim.text
