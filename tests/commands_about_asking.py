"""Projects that ask a server, and the command line on them: what the tests of the commands about asking share."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neuron_assets.cli import main
from neuron_assets.language_models.ledger import Entry, Outcome
from neuron_assets.language_models.model import Usage
from tests.language_models.misbehaving_server import MODEL

NOWHERE = "http://127.0.0.1:9/v1"
PRICES = {MODEL: {"tokens_in": 2.0, "tokens_out": 8.0}}


def use(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the project at `root` the current one; the environment says nothing else."""
    monkeypatch.setenv("DAGSTER_HOME", str(root / "dagster_home"))
    for name in ("NEURON_ASSETS_DATA", "NEURON_ASSETS_STUDIES", "NEURON_ASSETS_REQUESTS", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def entry(model: str, usage: Usage, outcome: Outcome = "answered") -> Entry:
    return Entry("tiny", "explanations", 11, model, 119.94, outcome, usage)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def words(result: Result, line: str) -> list[str]:
    """The words of the first line that begins so."""
    assert result.exit_code == 0, result.output
    return next(each for each in result.output.splitlines() if each.strip().startswith(line)).split()
