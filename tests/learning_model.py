"""A scripted model that explains, writes sentences, revises and simulates, for a subject whose rules are known.

Here: what it says, and studies that ask it. Not here: the server (`language_models/misbehaving_server.py`).
It begins with a wrong text for each neuron. Asked to revise, it says what the marked tokens of the tests have in
common: so whatever is gained is gained from what the subject did on the sentences.
"""

import json
import keyword
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from starlette.responses import Response

from neuron_assets.assets.study_component import table_resources
from neuron_assets.project import Project
from neuron_assets.running import Run, Wanted, materialize
from neuron_assets.study import Study
from neuron_assets.tables.store import TableStore
from tests.language_models.misbehaving_server import MODEL, Body, MisbehavingServer, as_json, chat_answer
from tests.polite_server import is_a_probe
from tests.scenario import STUDY, make_project

SELF, NUMBERS = 0, 5
"""Planted units: ` self`, and numbers."""
TRUTH = {SELF: "the word self", NUMBERS: "numbers in digits"}
FIRST = {SELF: "keywords of Python", NUMBERS: "punctuation"}
NOTHING = "something that I do not know"
TAKEN_AT_ITS_WORD: Mapping[str, Callable[[str], bool]] = {
    TRUTH[SELF]: lambda token: token == " self",
    TRUTH[NUMBERS]: lambda token: token.strip().isdigit(),
    NOTHING: lambda _token: False,
    FIRST[SELF]: lambda token: keyword.iskeyword(token.strip()),
    FIRST[NUMBERS]: lambda token: not any(character.isalnum() for character in token),
}
FIRES = ["if x is None: return the self of it", "count to 42 and while true go on", "import os and 7 more"]
SILENT = ["the value of self is not known", "room 17 lies above", "nothing but plain words"]
SPLITS = {**dict(STUDY["splits"]), "calibration": {"top": 4, "random": 6}}  # type: ignore[call-overload]
ROUNDS = 2
World = tuple[Project, Study]


def kind_of(body: Body) -> str:
    if is_a_probe(body):
        return "probe"
    if "response_format" in body:
        return "sentences" if "fires_1" in last(body) else "simulation"
    return "revision" if "First explanation:" in last(body) else "explanation"


def explained_of(body: Body) -> int:
    """The neuron that an explanation is asked for, by the token on which it was strongest."""
    return NUMBERS if re.search(r"\d\t10", last(body)) else SELF


def last(body: Body) -> str:
    return str(body["messages"][-1]["content"])


def learner(body: Body, _number: int) -> Response | None:
    """Says what it knows, and learns from what was measured."""
    match kind_of(body):
        case "probe":
            return None
        case "sentences":
            keys = [*(f"fires_{n}" for n in (1, 2, 3)), *(f"silent_{n}" for n in (1, 2, 3))]
            return said(json.dumps(dict(zip(keys, FIRES + SILENT, strict=True))))
        case "explanation":
            return said(FIRST[explained_of(body)])
        case "simulation":
            return simulated(last(body))
    tests = last(body).partition("Test 1:")[2]
    fired = set(re.findall(r"«([^«»]*)» \d+", tests))
    if fired and all(token.strip().isdigit() for token in fired):
        return said(TRUTH[NUMBERS])
    return said(TRUTH[SELF] if fired == {" self"} else NOTHING)


def simulated(question: str) -> Response:
    expected = TAKEN_AT_ITS_WORD[question.split("\n")[2]]
    tokens = re.findall(r'^(\d+) (".*")$', question, re.MULTILINE)
    return said(json.dumps({number: 10 * expected(json.loads(token)) for number, token in tokens}))


def said(text: str) -> Response:
    return as_json(chat_answer(text))


def revised_by(root: Path, url: str, *, explainer: dict[str, object] | None = None, **changes: object) -> World:
    hosted = {"provider": "openai_compatible", "model": MODEL, "base_url": url, "asks": 1}
    parts = {
        "subject": {"provider": "planted"},
        "neurons": [SELF, NUMBERS],
        "splits": SPLITS,
        "revision": {"rounds": ROUNDS},
        "explainer": hosted | {"shown_random": 2} | (explainer or {}),
        "simulator": hosted,
        "checks": {"most_failures": 1.0, "most_undefined": 1.0},
    }
    return make_project(root, **parts | changes)


def make(project: Project, study: Study, *, offline: bool = False, layer: int = 0) -> list[Run]:
    runs: list[Run] = []
    resources: Any = table_resources(project.tables, project.requests, offline=offline)
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        materialize(Wanted(study, (layer,)), instance, resources, runs.append)
    return runs


def path_of(project: Project, table: str, layer: int = 0) -> Path:
    key = None if table in {"excerpts", "layer_summary"} else f"L{layer:02d}"
    return Path(str(TableStore.at(project.tables).path("tiny", table, key)))


def read(project: Project, table: str, layer: int = 0) -> pl.DataFrame:
    return pl.read_parquet(path_of(project, table, layer))


def asked(server: MisbehavingServer, *kinds: str) -> list[Body]:
    return [body for body in server.bodies if kind_of(body) in (kinds or ("explanation", "sentences", "revision"))]
