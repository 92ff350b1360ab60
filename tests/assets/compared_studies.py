"""Studies to be compared, for tests: what they have in common, and how one of them is written."""

from pathlib import Path
from typing import Any

from neuron_assets.study import Study, read_study
from tests.language_models.misbehaving_server import MODEL
from tests.scenario import STUDY, write_study

SCORING = {**dict(STUDY["scoring"]), "scorers": ["simulation", "calibrated"]}  # type: ignore[call-overload]
SECTIONS: dict[str, Any] = {"scoring": SCORING, "neurons": {"per_layer": 5}, "layers": [1, 2, 3]}
HOSTED = {"provider": "openai_compatible", "model": MODEL}
SHORT = {"provider": "rules", "n_rules": 1}


def study_of(root: Path, name: str, **changes: object) -> Study:
    return read_study(write_study(root, name, **(SECTIONS | changes)))
