"""Facts on judges that are read by their probabilities."""

import hashlib
import math
import re
from pathlib import Path

import numpy as np
import pytest
from starlette.responses import Response

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.books import Errand
from neuron_assets.assets.claims import Claim
from neuron_assets.assets.judges import open_judge
from neuron_assets.method.judging.alternatives import alternatives_question
from neuron_assets.method.judging.asking import Scorer
from neuron_assets.method.judging.cases import Cases
from neuron_assets.method.questions import EchoPrompt
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens
from neuron_assets.study import read_study
from tests.language_models.misbehaving_server import Body, as_json, running, usage
from tests.scenario import write_study

STRINGS = ("rain", " fell", " on", " 10", " roofs", ".")
OTHERS = "bcdefghijklmn"


def alternatives(before: str) -> dict[str, float]:
    """What this model might say next: it hangs on all that stands before."""
    one = int(hashlib.sha256(before.encode()).hexdigest()[:4], 16) / 65536
    return {"a": -0.5, "1": -1.0 - one, "0": -2.0, **dict.fromkeys(OTHERS, -4.0)}


def completing(body: Body, _number: int) -> Response | None:
    """A model whose tokens are single characters, but for 10; with true alternatives of a prompt."""
    prompt = body["prompt"]
    tokens = re.findall("10|.", prompt, re.DOTALL) if body.get("echo") else []
    starts = np.cumsum([0, *map(len, tokens)]).tolist()
    new = ["a"] * body["max_tokens"]
    tops = [alternatives(prompt[:start]) for start in starts[: len(tokens)]] + [alternatives(prompt)] * len(new)
    said = [top.get(token, -9.0) for token, top in zip([*tokens, *new], tops, strict=True)]
    if tokens:
        tops[0], said[0] = None, None  # type: ignore[call-overload]  # as servers do it
    logprobs = {"tokens": [*tokens, *new], "top_logprobs": tops, "token_logprobs": said}
    choice = {"index": 0, "finish_reason": "stop", "text": prompt * bool(tokens) + "a" * len(new), "logprobs": logprobs}
    return as_json(
        {
            "id": "1",
            "object": "text_completion",
            "model": "tiny",
            "choices": [choice],
            "usage": usage(max(len(tokens), 1)),
        }
    )


def cases(scorer: Scorer, neuron_index: int) -> Cases:
    codes = np.random.default_rng(neuron_index).integers(len(STRINGS), size=(4, 5))
    numbers = np.arange(4, dtype=np.int32)
    activations = np.zeros(codes.shape, np.float32)
    exemplars = Exemplars(Tokens(codes, STRINGS), activations, np.zeros(4, bool), numbers, numbers)
    marked = np.zeros(codes.shape, bool)
    marked[:, 2] = scorer == "fuzzing"
    return Cases(scorer, NeuronRecord(NeuronId(1, neuron_index), exemplars), np.zeros(4, np.int64), marked)


def test_a_judge_without_chat_is_read_by_its_probabilities_of_yes_and_no(tmp_path: Path) -> None:
    claims = [
        Claim(0, "water that falls", cases("detection", 3)),
        Claim(1, "numbers", cases("fuzzing", 3)),
        Claim(0, "roofs", cases("detection", 4)),
    ]
    with running(behaviour=completing, served="tiny") as server:
        judge = {"provider": "openai_compatible", "model": "tiny", "base_url": server.url, "method": "logprobs"}
        study = read_study(write_study(tmp_path, judge=judge))
        desk = RequestDesk(str(tmp_path / "requests.sqlite"))
        with open_judge(study, desk, Errand("judgements", 1, None), None) as opened:
            answers = list(opened.judge(iter(claims)))

    assert [len(each) for each in answers] == [4, 4, 4]
    for claim, judged in zip(claims, answers, strict=True):
        for shown, answer in zip(claim.cases.shown(), judged, strict=True):
            assert claim.cases.scorer != "embedding"
            prompt = alternatives_question(claim.cases.scorer, claim.explanation, shown, about="it").prompt
            assert isinstance(prompt, EchoPrompt)
            next_ = alternatives(prompt.text[: prompt.places[0]])
            yes, no = math.exp(next_["1"]), math.exp(next_["0"])
            assert answer.failure is None
            assert answer.value == pytest.approx(yes / (yes + no), abs=1e-5)
    assert len({answer.value for judged in answers for answer in judged}) > 4
