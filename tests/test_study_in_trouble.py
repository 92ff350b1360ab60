"""Studies whose server changes, refuses the key, or whose process is killed: nothing is paid twice, nothing is told.

The server is our own (`language_models/misbehaving_server.py`), so that every request is seen.
"""

import os
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from starlette.responses import Response

from neuron_assets.assets.study_component import table_resources
from neuron_assets.errors import KeyRefused
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.project import Project
from neuron_assets.running import Run, Wanted, materialize
from neuron_assets.study import Study
from tests.counting_proxy import is_look
from tests.language_models.misbehaving_server import (
    Behaviour,
    Body,
    MisbehavingServer,
    as_json,
    chat_answer,
    refusal,
    running,
)
from tests.scenario import make_project

pytestmark = pytest.mark.slow

KEY_ENV, KEY = "TINY_STUDY_KEY", "sk-planted-8d1f07c2a94be653"
LAYER = 1
AT_ONCE = 4


def hosted(url: str, **more: object) -> dict[str, object]:
    return {"provider": "openai_compatible", "model": "parrot", "base_url": url, **more}


def good(body: Body, said: str = "words about files") -> str:
    """What a model says that does as it is told."""
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
    if schema is None:
        return f"{said}, kind {sha256(str(body['messages']).encode()).hexdigest()[:4]}"
    return "{" + ",".join(f'"{position}":{int(position) % 11}' for position in schema["required"]) + "}"


def served_as(server: MisbehavingServer) -> Behaviour:
    return lambda body, _number: as_json(chat_answer(good(body), server.served))


def asked(server: MisbehavingServer) -> Counter[str]:
    """How often each question was asked; to see who is there is no question."""
    return Counter(str(body) for body in server.bodies if not is_look(body))


def world(root: Path, server: MisbehavingServer, **more: object) -> tuple[Project, Study]:
    """A study whose one layer the server explains and simulates."""
    model = hosted(server.url, **more)
    asking = {"most_at_once": AT_ONCE}
    return make_project(root, explainer=model, simulator=model, asking=asking, layers=[LAYER])


def make(project: Project, study: Study) -> list[Run]:
    runs: list[Run] = []
    resources: Any = table_resources(project.tables, project.requests)
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        materialize(Wanted(study, (LAYER,)), instance, resources, runs.append)
    return runs


def test_another_model_behind_the_same_name_is_asked_everything_once(tmp_path: Path) -> None:
    with running() as server:
        server.behaviour = served_as(server)
        project, study = world(tmp_path, server)
        make(project, study)
        first = asked(server)
        server.bodies.clear()
        server.served = "parrot-2"
        runs = make(project, study)
        second = asked(server)
        server.bodies.clear()

        assert make(project, study) == []
        assert asked(server) == Counter()
    assert [run.tables[0] for run in runs] == ["explanations", "layer_summary"]
    assert {1} == set(first.values())
    assert first == second


def command(project: Project, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NEURON_", "DAGSTER_"))}
    return subprocess.Popen(
        [sys.executable, "-c", "from neuron_assets.cli import main; main()", *arguments],
        env={
            **kept,
            "DAGSTER_HOME": str(project.dagster_home),
            "PYTHONPATH": str(Path(__file__).parents[1]),
            **environ,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    with running() as server:
        good_answer = served_as(server)

        def silent_after_25(body: Body, number: int) -> Response | None:
            server.seconds = 600 if number == 25 else server.seconds
            return good_answer(body, number)

        server.behaviour = silent_after_25
        project, _ = world(tmp_path, server)
        killed = command(project, "materialize", "tiny")
        wait_until(lambda: server.seconds > 0 or killed.poll() is not None)
        killed.kill()
        told, _ = killed.communicate()
        before = sum(asked(server).values())
        server.seconds, server.behaviour = 0, good_answer
        again = command(project, "materialize", "tiny")
        output, _ = again.communicate(timeout=600)
        every = asked(server)

    assert killed.returncode == -9, told
    assert again.returncode == 0, output
    assert before < len(every)
    assert sum(every.values()) <= len(every) + AT_ONCE
    assert len(every) == needed(project)


def needed(project: Project) -> int:
    """The questions behind the tables, as far as they differ."""
    folder = Path(project.tables) / "tiny"
    explanations, candidates, simulations = (
        pl.read_parquet(folder / table / f"L{LAYER:02d}.parquet")
        for table in ("explanations", "candidates", "simulations")
    )
    excerpts = pl.read_parquet(folder / "excerpts.parquet")
    asked = simulations.join(candidates, on=("layer_index", "neuron_index", "candidate"))
    return explanations.height + asked.join(excerpts, on="excerpt_index").select("explanation", "text").unique().height


def wait_until(is_so: Callable[[], bool], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def guarded() -> Iterator[MisbehavingServer]:
    """A server that wants the key, and tells everybody what it got."""
    with running() as server:

        def behave(body: Body, number: int) -> Response:
            got = server.headers[number].get("authorization")
            if got != f"Bearer {KEY}":
                return refusal(401, f"Incorrect API key provided: {got}.", code="invalid_api_key")
            return as_json(chat_answer(good(body, f"words about files, sent with {got}"), server.served))

        server.behaviour = behave
        yield server


def test_the_key_is_written_nowhere(
    guarded: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(KEY_ENV, KEY)
    project, study = world(tmp_path, guarded, api_key_env=KEY_ENV)
    with caplog.at_level("DEBUG"):
        make(project, study)
    written = everything_in(tmp_path, project)

    assert guarded.n_requests > 30
    assert "words about files, sent with" in written["explanations"]
    assert "words about files, sent with" in written["requests"]
    assert "parrot" in written["dagster_home"]
    assert [place for place, text in written.items() if KEY in text] == []
    assert KEY not in caplog.text


def test_a_key_that_is_refused_ends_the_run_at_once_and_is_not_told(guarded: MisbehavingServer, tmp_path: Path) -> None:
    wrong = KEY[::-1]
    project, _ = world(tmp_path, guarded, api_key_env=KEY_ENV)
    run = command(project, "materialize", "tiny", **{KEY_ENV: wrong})
    output, _ = run.communicate(timeout=600)

    assert run.returncode == 1
    assert "refuses the key" in output
    assert "Traceback" not in output
    assert guarded.n_requests == 1
    assert wrong not in output
    assert [place for place, text in everything_in(tmp_path, project).items() if wrong in text] == []


def test_a_key_that_is_refused_in_the_middle_is_in_no_error_and_no_log_of_the_run(
    guarded: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster keeps the whole chain of errors of a run that fails."""
    wrong = KEY[::-1]
    monkeypatch.setenv(KEY_ENV, wrong)
    project, study = world(tmp_path, guarded, api_key_env=KEY_ENV)
    strict = guarded.behaviour
    guarded.behaviour = lambda body, number: strict(body, number) if asked(guarded) else as_json(chat_answer("Hello"))

    with pytest.raises(KeyRefused) as caught:
        make(project, study)

    assert wrong not in "".join(traceback.format_exception(caught.value))
    written = everything_in(tmp_path, project)
    assert "KeyRefused" in written["dagster_home"]
    assert [place for place, text in written.items() if wrong in text] == []


def everything_in(root: Path, project: Project) -> dict[str, str]:
    """All that stands in a project, by place: files as they are, and what is packed in tables and store."""
    written: dict[str, str] = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        place = path.relative_to(root).parts[0]
        if path.suffix == ".parquet":
            place = path.relative_to(project.tables).parts[1].removesuffix(".parquet")
            written[place] = written.get(place, "") + str(pl.read_parquet(path).to_dicts())
        written[place] = written.get(place, "") + path.read_bytes().decode("utf-8", "replace")
    with RequestStore.open(project.requests) as store:
        store.export(root / "exported.jsonl")
    return written | {"requests": (root / "exported.jsonl").read_text(encoding="utf-8")}
