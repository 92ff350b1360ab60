"""Code that stands beside a model is never run, whatever is typed when the library asks for leave."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMIT = "0" * 40
EVIL = "from pathlib import Path\nPath({mark!r}).touch()\n"
TRIES = """
from neuron_assets.errors import UnusableModel
from neuron_assets.language_models.local import open_local_model
from neuron_assets.language_models.local_identity import who_is

for use in (open_local_model, who_is):
    for name in {names!r}:
        try:
            print(use.__name__, use(name))
        except UnusableModel as error:
            print(use.__name__, error)
"""


@pytest.mark.slow
def test_code_beside_a_model_is_not_run_even_on_yes(tmp_path: Path) -> None:
    mark = tmp_path / "it_ran"
    folder, cached = tmp_path / "folder", tmp_path / "hub" / "models--some--evil"
    for place in (folder, cached / "snapshots" / COMMIT):
        _write_evil(place, mark)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(COMMIT)
    tries = TRIES.format(names=[str(folder), "some/evil"])
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_MODULES_CACHE": str(tmp_path / "code")}

    done = subprocess.run(
        [sys.executable, "-c", tries],
        input="y\n" * 9,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **offline},
    )

    assert not mark.exists()
    assert done.stdout.count("custom code") == 3, done.stdout  # the identity of a folder reads no code
    assert done.stdout.count("Mend `model` in the study, or let a server run it.") == 3
    assert "[y/N]" not in done.stdout + done.stderr


def _write_evil(folder: Path, mark: Path) -> None:
    folder.mkdir(parents=True)
    classes = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    tokenizers = {"AutoTokenizer": ["evil.Slow", "evil.Fast"]}
    (folder / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": classes}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Evil", "auto_map": tokenizers}))
    (folder / "evil.py").write_text(EVIL.format(mark=str(mark)))
