"""What a model cannot read at once is told before anything is computed or asked."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from transformers import LlamaConfig

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.question_lengths import CHARACTERS_A_TOKEN, check_length, context_length, longest_question
from neuron_assets.assets.specs import asset_key
from neuron_assets.cli import main
from neuron_assets.errors import QuestionTooLong
from neuron_assets.few_shot import few_shot_neurons
from neuron_assets.method.questions import ChatPrompt
from neuron_assets.method.simulating.numbered_json import json_simulation_question
from neuron_assets.study import Study
from tests.scenario import CORPUS, make_project

MODEL = {"provider": "openai_compatible", "model": "some-model", "base_url": "http://127.0.0.1:1/v1"}


def asking(root: Path, explainer: object = MODEL, simulator: object = MODEL, *, length: int = 16) -> Study:
    _, study = make_project(root, corpus=CORPUS | {"excerpt_length": length}, explainer=explainer, simulator=simulator)
    return study


@pytest.mark.parametrize("layout", ["pairs", "highlighted"])
def test_the_longest_question_grows_with_what_is_shown(tmp_path: Path, layout: str) -> None:
    def length(name: str, **changes: object) -> int:
        n_tokens = int(str(changes.pop("length", 16)))
        study = asking(tmp_path / name, MODEL | {"layout": layout} | changes, length=n_tokens)
        return longest_question(study, study.explainer)  # type: ignore[arg-type]  # it is a hosted one

    one, two, four = length("a", shown_top=1), length("b", shown_top=1, shown_random=1), length("c", shown_top=4)
    assert one < two < four
    assert four - two == pytest.approx(2 * (two - one), abs=12)
    assert length("d", shown_top=4, length=64) > four


def test_the_longest_question_is_as_long_as_one_that_is_asked(tmp_path: Path) -> None:
    study = asking(tmp_path)
    few_shot = few_shot_neurons()
    tokens = few_shot[0].excerpts[0].tokens[:16]
    prompt = json_simulation_question(few_shot[0].explanation, tokens, few_shot, about="x").prompt
    assert isinstance(prompt, ChatPrompt)

    expected = sum(len(message.content) for message in prompt.messages) / CHARACTERS_A_TOKEN + prompt.longest_reply
    assert longest_question(study, study.simulator) == pytest.approx(expected, rel=0.05)  # type: ignore[arg-type]


def test_a_model_that_is_known_to_read_less_is_refused_with_both_numbers(tmp_path: Path) -> None:
    study = asking(tmp_path, MODEL | {"context_length": 600, "shown_top": 20}, MODEL | {"context_length": 500})

    with pytest.raises(QuestionTooLong, match=r"explainer some-model reads 600 tokens .* about \d,\d{3}\. .*shown_top"):
        check_length(study, study.explainer)
    with pytest.raises(QuestionTooLong, match=r"simulator some-model reads 500 tokens .* Cut shorter ones"):
        check_length(study, study.simulator)


def test_a_model_of_enough_or_unknown_context_and_rules_are_not_refused(tmp_path: Path) -> None:
    study = asking(tmp_path, MODEL | {"context_length": 8192})

    for section in (study.explainer, study.simulator, asking(tmp_path, None, None).explainer):
        check_length(study, section)


def test_a_local_model_tells_its_context_itself(tmp_path: Path) -> None:
    LlamaConfig(max_position_embeddings=777).save_pretrained(tmp_path / "model")
    study = asking(tmp_path, {"provider": "local", "model": str(tmp_path / "model")})

    assert context_length(study.explainer) == 777  # type: ignore[arg-type]  # it is a local one
    LlamaConfig(max_position_embeddings=888).save_pretrained(tmp_path / "model")
    assert context_length(study.explainer) == 888  # type: ignore[arg-type]
    assert context_length(asking(tmp_path, {"provider": "local", "model": "./nowhere"}).explainer) is None  # type: ignore[arg-type]


def test_what_a_model_reads_at_once_changes_no_answer(tmp_path: Path) -> None:
    plain, told = asking(tmp_path / "a"), asking(tmp_path / "b", MODEL | {"context_length": 8192})

    assert plain.explainer_identity == told.explainer_identity


@pytest.mark.parametrize(("table", "role"), [("explanations", "explainer"), ("simulations", "simulator")])
def test_it_is_told_before_the_forward_pass_where_that_step_is_to_be_made(
    tmp_path: Path, table: str, role: str
) -> None:
    _, study = make_project(tmp_path, corpus=CORPUS, **{role: MODEL | {"context_length": 500}})
    desk = RequestDesk(str(tmp_path / "kept"))

    desk.check(study, {asset_key(study, "activations")})
    with pytest.raises(QuestionTooLong, match=role):
        desk.check(study, {asset_key(study, table)})


def test_an_estimate_tells_the_longest_question_and_whether_it_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking(tmp_path, MODEL | {"context_length": 500}, MODEL | {"context_length": 9000})
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster_home"))
    monkeypatch.delenv("NEURON_ASSETS_DATA", raising=False)
    monkeypatch.delenv("NEURON_ASSETS_STUDIES", raising=False)

    said = " ".join(CliRunner().invoke(main, ["estimate", "tiny"]).output.split())

    length = r"longest question, with its answer: about [\d,]+ tokens; it reads"
    assert re.search(rf"{length} 500 at once TOO LONG", said)
    assert re.search(rf"{length} 9,000 at once(?! TOO LONG)", said)
