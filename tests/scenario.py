"""The one small world of the tests: two dozen short documents, and a study of the bundled subject over them."""

from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from neuron_assets.assets.study_component import build_study
from neuron_assets.project import Project
from neuron_assets.study import Study, read_study

_SUBJECTS = (
    "The parser",
    "A socket",
    "This module",
    "Every thread",
    "The cache",
    "A generator",
    "The loader",
    "An index",
)
_VERBS = ("returns", "raises", "reads", "keeps", "closes", "writes", "opens", "counts")
_OBJECTS = ("None if file {} is missing", "a new list of names", "the value of self.count", "an error at line {}")

DOCUMENTS = {
    f"{number:02d}.txt": "\n".join(
        f"{_SUBJECTS[(number + line) % 8]} {_VERBS[(number * 3 + line) % 8]} "
        f"{_OBJECTS[(number + 2 * line) % 4].format(number)}."
        for line in range(8)
    )
    for number in range(24)
}
"""Each gives four or five excerpts of 16 tokens."""

CORPUS: dict[str, object] = {"provider": "text_files", "folder": "texts", "excerpt_length": 16}
STUDY: dict[str, object] = {
    "subject": {"provider": "bundled", "n_layers": 6, "n_neurons": 768},
    "corpus": CORPUS,
    "neurons": {"per_layer": 3},
    "splits": {
        "fewest_documents": 5,
        "train": {"top": 5, "random": 6},
        "calibration": {"top": 2, "random": 2},
        "valid": {"top": 5, "random": 6},
        "test": {"top": 2, "random": 2},
        "natural": 8,
    },
    "scoring": {"top": 3, "random": 3, "draws": 100},
    "controls": {"over_broad": False},
}


ALL_MAY_FAIL = {"most_failures": 1.0}
"""The `checks` of a study whose failures are what is tested: however many, they stop nothing."""


def write_study(root: Path, name: str = "tiny", /, **changes: object) -> Path:
    """A study file in the project at `root`, with its texts; `changes` replace whole sections."""
    folder = root / "studies" / name
    (folder / "texts").mkdir(parents=True, exist_ok=True)
    for document, text in DOCUMENTS.items():
        (folder / "texts" / document).write_text(text, encoding="utf-8")
    content = {key: value for key, value in (STUDY | changes).items() if value is not None}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def make_project(root: Path, **changes: object) -> tuple[Project, Study]:
    """A project at `root` with one tiny study."""
    path = write_study(root, **changes)
    (root / "dagster_home").mkdir(exist_ok=True)
    return Project.from_environment({}, root), read_study(path)


def assets_of(study: Study) -> set[dg.AssetKey]:
    """All that its graph has."""
    definitions: Any = build_study(study).assets
    return {spec.key for each in definitions for spec in each.specs}
