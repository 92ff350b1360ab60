"""Models that stand ready to be asked: how often, at what price, and that nothing of it hangs on their weights."""

import shutil
from pathlib import Path

import pytest

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.books import Books, Errand
from neuron_assets.assets.spending import spending_of
from neuron_assets.errors import UnreadableReply
from neuron_assets.language_models.asker import Requested
from neuron_assets.language_models.database import Database
from neuron_assets.language_models.model import Usage
from neuron_assets.method.questions import ChatPrompt, Message, Question, Reply
from neuron_assets.model_sections import HostedExplainer, LocalExplainer
from neuron_assets.project import Project
from neuron_assets.study import Study
from tests.language_models.tiny_models import tiny_llama, tiny_tokenizer
from tests.scenario import make_project

ERRAND = Errand("explanations", 0, None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a model that can be read."""
    tokenizer = tiny_tokenizer()
    for part in (tiny_llama(tokenizer), tokenizer):
        part.save_pretrained(str(tmp_path / "model"))
    return tmp_path / "model"


def explained_by(root: Path, folder: Path, temperature: float) -> tuple[Project, Study, LocalExplainer]:
    section = {"provider": "local", "model": str(folder), "device": "cpu", "temperature": temperature}
    project, study = make_project(root, explainer=section)
    assert isinstance(study.explainer, LocalExplainer)
    return project, study, study.explainer


def ask_what_cannot_be_read(project: Project, study: Study, section: LocalExplainer) -> int:
    """How often it is asked."""

    def read(reply: Reply) -> str:
        raise UnreadableReply("nothing can be read", reply.text)

    question = Question(ChatPrompt((Message("user", "the wren"),), "test/1", longest_reply=4), read, "L0N0")
    with RequestDesk(project.requests).opened(study, section, ERRAND) as asked:
        list(asked.answers([question]))
        return int(asked.facts()["requests"])


@pytest.mark.parametrize(("temperature", "times"), [(0.0, 1), (1.0, 3)])
def test_a_model_that_would_say_the_same_again_is_asked_once(
    folder: Path, tmp_path: Path, temperature: float, times: int
) -> None:
    assert ask_what_cannot_be_read(*explained_by(tmp_path, folder, temperature)) == times


def test_a_model_in_this_process_costs_nothing_and_its_ledger_outlives_its_folder(folder: Path, tmp_path: Path) -> None:
    project, study, section = explained_by(tmp_path, folder, temperature=0)
    ask_what_cannot_be_read(project, study, section)
    shutil.rmtree(folder)
    rows = spending_of(study, project.requests)

    assert [(row.requests, row.money, row.n_without_price) for row in rows] == [(1, 0.0, 0)]


def test_a_price_under_the_name_that_the_study_gives_is_the_price_of_who_answers(tmp_path: Path) -> None:
    hosted = {"provider": "openai_compatible", "model": "anthropic/claude-sonnet-4", "base_url": "http://127.0.0.1:9"}
    prices = {"anthropic/claude-sonnet-4": {"tokens_in": 3, "tokens_out": 15}}
    project, study = make_project(tmp_path, explainer=hosted, prices=prices)
    assert isinstance(study.explainer, HostedExplainer)
    database = Database.open(project.requests)
    books = Books(study, study.explainer, ERRAND, database)
    who = "anthropic/claude-4-sonnet-20250522@127.0.0.1:9"
    books.record([Requested("L0N0", who, Usage(1_000_000, 100_000), 1.0, "answered")])
    database.close()

    assert books.facts()["dollars"] == 4.5
    assert [row.money for row in spending_of(study, project.requests)] == [4.5]
