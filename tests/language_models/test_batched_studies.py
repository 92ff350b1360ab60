"""A study in batches pays half, or says at once why it cannot."""

import logging
from pathlib import Path

import pytest

from neuron_assets.assets.asked import RequestDesk, log_answers
from neuron_assets.assets.books import Errand
from neuron_assets.errors import (
    InvalidStudy,
)
from neuron_assets.language_models.database import Database
from neuron_assets.language_models.ledger import Ledger
from neuron_assets.language_models.prices import Price
from neuron_assets.model_sections import HostedExplainer
from neuron_assets.study import read_study
from tests.language_models.asked_numbers import questions, values
from tests.language_models.batch_server import batch_server
from tests.language_models.misbehaving_server import MODEL
from tests.scenario import make_project, write_study


@pytest.mark.slow
def test_a_study_in_batches_pays_half_and_another_run_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "run")
    with batch_server() as server:
        explainer = {"provider": "openai_compatible", "model": MODEL, "base_url": server.url}
        price = {MODEL: {"tokens_in": 1.0, "tokens_out": 1.0}}
        asking = {"mode": "batch", "most_in_batch": 4}
        _, study = make_project(tmp_path, explainer=explainer, prices=price, asking=asking)
        assert isinstance(study.explainer, HostedExplainer)
        desk = RequestDesk(str(tmp_path / "requests.sqlite"))
        facts = []
        for _ in range(2):
            tell = log_answers(logging.getLogger("run"), "explanations")
            with desk.opened(study, study.explainer, Errand("explanations", 0, "run", tell)) as asked:
                answers = list(asked.answers(questions(9)))
                facts.append(asked.facts())
        database = Database.open(desk.store)
        spent = Ledger(database, {MODEL: Price(1.0, 1.0)}).spent(study.name)
        database.close()

    assert values(answers) == list(range(9))
    assert [len(server.lines(number)) for number in range(len(server.batches))] == [4, 4]
    assert (spent.requests, facts[0]["requests"]) == (10, 9)  # and one to see who answers
    assert spent.money == pytest.approx(14e-6 * (1 + 1 + 8 / 2))
    assert facts[0]["dollars"] == pytest.approx(14e-6 * (1 + 8 / 2))
    assert facts[1]["requests"] == 0
    told = [record.message for record in caplog.records if record.name == "run"]
    news = "4 requests submitted as batch batch-0; it goes on if this run is stopped"
    assert told[0] == f"explanations: 1 done, 5 asked, 0 failed; {news}"
    assert len(told) == len(set(told)) == 6


@pytest.mark.parametrize(
    ("section", "what"),
    [
        ({"explainer": {"provider": "local", "model": "gpt2"}}, "the explainer is a local one"),
        (
            {"simulator": {"provider": "openai_compatible", "model": MODEL, "method": "logprobs"}},
            "write `method: json`",
        ),
    ],
)
def test_a_study_says_at_once_what_cannot_go_by_batches(tmp_path: Path, section: dict[str, object], what: str) -> None:
    with pytest.raises(InvalidStudy, match=what):
        read_study(write_study(tmp_path, asking={"mode": "batch"}, **section))
