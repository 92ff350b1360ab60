"""Studies whose explanations a language model judges: from questions to a server to metrics, and what is kept."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from starlette.responses import Response

from neuron_assets.assets.estimating import Estimate, estimate
from neuron_assets.assets.question_lengths import CHARACTERS_A_TOKEN
from neuron_assets.assets.spending import spending_of
from neuron_assets.errors import InvalidStudy, QuestionTooLong
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.method.fencing import Marks, escaped
from neuron_assets.method.judging.asking import excerpt_text
from neuron_assets.method.judging.examples import ShownExcerpt
from neuron_assets.project import Project
from neuron_assets.sections import SampledNeurons
from neuron_assets.study import Study
from neuron_assets.tables.schemas import KEYS
from neuron_assets.tables.store import TableStore
from tests.language_models.misbehaving_server import MODEL, Body, MisbehavingServer, as_json, chat_answer, running
from tests.polite_server import characters, is_a_probe
from tests.scenario import ALL_MAY_FAIL, STUDY, make_project
from tests.served_tables import LAYERS, make, metadata, path_of, read

pytestmark = pytest.mark.slow

PERCENT = {"answer": "percent", "shown_at_once": 3}
ASKED = re.compile(r"Excerpt \d+:\n<start>\n(.*)\n<end>")
SCORERS = ("detection", "fuzzing")
MARKED = Marks("«", "»")
PLAN = {"active": 6, "plain": 4, "hard": 2}
World = tuple[Project, Study]


def percent(explanation: str, text: str) -> int:
    """What the server says: always the same of the same, and something else of all else."""
    return int(hashlib.sha256(f"{explanation}|{text}".encode()).hexdigest()[:6], 16) % 101


def verdicts(body: Body, _number: int) -> Response | None:
    if is_a_probe(body):
        return None
    text = body["messages"][-1]["content"]
    explanation = text.split("\n")[2]
    said = [percent(explanation, excerpt) for excerpt in ASKED.findall(text)]
    schema = body["response_format"]["json_schema"]["schema"]
    if "enum" in schema["$defs"]["answer"]:
        said = [int(each > 50) for each in said]
    return as_json(chat_answer(json.dumps(dict(zip(schema["required"], said, strict=True)))))


def partly_unreadable(body: Body, number: int) -> Response | None:
    """On excerpts that hold the word index it has much to say."""
    asked = "" if is_a_probe(body) else "".join(ASKED.findall(body["messages"][-1]["content"]))
    return as_json(chat_answer("It depends on the index.")) if "index" in asked else verdicts(body, number)


@pytest.fixture(scope="module")
def server() -> Iterator[MisbehavingServer]:
    with running(behaviour=verdicts) as server:
        yield server


@dataclass(frozen=True)
class Told:
    """A study that was estimated, made, and estimated again."""

    root: Path
    project: Project
    study: Study
    before: Estimate
    after: Estimate
    asked: list[Body]


@pytest.fixture(scope="module")
def told(server: MisbehavingServer, tmp_path_factory: pytest.TempPathFactory) -> Told:
    root = tmp_path_factory.mktemp("world")
    project, study = judged_by(root, server)
    before = estimated(project, study)
    make(project, study)
    return Told(root, project, study, before, estimated(project, study), asked(server))


@pytest.fixture
def root(told: Told, tmp_path: Path) -> Path:
    """A copy that a test may harm."""
    shutil.copytree(told.root, tmp_path / "own")
    return tmp_path / "own"


def estimated(project: Project, study: Study) -> Estimate:
    neurons = {layer: study.neuron_indices(layer) for layer in LAYERS}
    (found,) = estimate(study, neurons, project.requests, TableStore.at(project.tables))
    return found


def judged_by(root: Path, server: MisbehavingServer, **more: object) -> World:
    judge = {"provider": "openai_compatible", "model": MODEL, "base_url": server.url, "asks": 1, **more}
    return make_project(
        root,
        judge=judge,
        judging={"active_share": 0.3, "detection": PLAN, "fuzzing": {**PLAN, "beside": 2}},
        scoring={**dict(STUDY["scoring"]), "scorers": ["simulation", *SCORERS]},  # type: ignore[call-overload]
        splits={**dict(STUDY["splits"]), "natural": 16},  # type: ignore[call-overload]
        checks=ALL_MAY_FAIL,
    )


def asked(server: MisbehavingServer) -> list[Body]:
    return [body for body in server.bodies if not is_a_probe(body)]


def expected_percents(project: Project, rows: pl.DataFrame) -> list[int]:
    tokens = pl.read_parquet(path_of(project, "excerpts", 1)).select("excerpt_index", "tokens")
    found = []
    for row in rows.join(tokens, on="excerpt_index", maintain_order="left").to_dicts():
        shown = ShownExcerpt(tuple(row["tokens"]), frozenset(row["marked"]))
        found.append(percent(escaped(row["explanation"]), excerpt_text(row["scorer"], shown, MARKED)))
    return found


def test_each_excerpt_has_the_verdict_that_the_server_gave_of_it(told: Told) -> None:
    rows = read(told.project, "judgements")

    assert rows["failure"].null_count() == rows.height
    assert rows["probability"].to_list() == [float(each > 50) for each in expected_percents(told.project, rows)]
    assert {one.split("?")[0].split("@")[0] for one in rows["judge"]} == {f"openai_compatible/{MODEL}={MODEL}"}


def test_metrics_are_there_of_the_explanation_and_its_controls(told: Told) -> None:
    metrics = read(told.project, "metrics")

    assert set(metrics["scorer"]) == set(SCORERS)
    assert set(metrics["author"]) == {"rules", "shuffled_control"}
    assert metrics["value"].count() > 0
    assert set(metrics["simulator"]) == {"none"}


def test_as_much_is_asked_as_was_told(told: Told) -> None:
    sent = [characters(body) for body in told.asked]

    assert told.before.requests >= len(sent) == told.after.requests
    assert (told.before.is_exact, told.after.is_exact) == (False, True)
    assert told.before.tokens_in * CHARACTERS_A_TOKEN / told.before.requests == pytest.approx(
        sum(sent) / len(sent), rel=told.before.error
    )
    booked = spending_of(told.study, told.project.requests)
    assert sum(row.requests for row in booked if row.asset == "judgements") == len(sent)
    requests = [metadata(told.project, told.study, "judgements", layer)["requests"] for layer in LAYERS]
    assert sum(requests) == len(sent)


def test_nothing_is_asked_twice(root: Path, server: MisbehavingServer) -> None:
    project, study = judged_by(root, server)
    n_before, table = len(asked(server)), read(project, "judgements")

    assert make(project, study) == []
    for layer in LAYERS:
        path_of(project, "judgements", layer).unlink()
    make(project, study, offline=True)
    assert len(asked(server)) == n_before
    assert table.equals(read(project, "judgements"))


def test_several_at_once_are_told_apart(root: Path, server: MisbehavingServer) -> None:
    n_before = len(asked(server))
    project, study = judged_by(root, server, **PERCENT)
    runs = make(project, study)
    rows = read(project, "judgements")
    n_claims = rows.select("layer_index", "neuron_index", "candidate", "scorer").unique().height

    assert runs[0].tables == ("judgements", "metrics")
    assert rows["probability"].to_list() == [each / 100 for each in expected_percents(project, rows)]
    assert 0 < len(asked(server)) - n_before <= rows.height / 3 + n_claims


def test_a_reply_that_cannot_be_read_is_a_row_without_a_verdict_and_leaves_no_metric(root: Path) -> None:
    with running(behaviour=partly_unreadable) as server:
        project, study = judged_by(root, server)
        make(project, study)
    rows, whose = read(project, "judgements"), ["layer_index", "neuron_index", "candidate", "scorer"]
    failed = rows.filter(pl.col("failure").is_not_null())
    spoilt = failed.select(whose).unique()
    metrics = read(project, "metrics").join(spoilt, on=whose, how="semi")

    assert 0 < failed.height < rows.height
    assert failed["probability"].count() == 0
    assert metrics.height >= 2 * spoilt.height
    assert metrics["value"].count() == 0
    assert metrics["failure"].str.contains("have no verdict").all()


def test_more_neurons_keep_what_was_judged(root: Path, server: MisbehavingServer) -> None:
    project, study = judged_by(root, server)
    whole = read(project, "judgements")
    with RequestStore.open(project.requests) as store:
        store.prune(before=datetime.now(UTC))
    n_before = len(asked(server))
    make(project, study.model_copy(update={"neurons": SampledNeurons(per_layer=4)}))
    now = read(project, "judgements")
    same = now.join(whole, on=[*KEYS["judgements"], "explanation"], how="semi")

    assert same.height > 0
    assert 0 < len(asked(server)) - n_before <= now.height - same.height


def test_a_judge_that_could_not_read_the_longest_question_is_not_asked(root: Path, server: MisbehavingServer) -> None:
    n_before = len(server.bodies)
    project, study = judged_by(root, server, context_length=100, seed=3)

    with pytest.raises(QuestionTooLong, match=f"The judge {MODEL} reads 100 tokens"):
        make(project, study)
    assert len(server.bodies) == n_before


def test_probabilities_are_read_of_one_excerpt_at_once(server: MisbehavingServer, tmp_path: Path) -> None:
    with pytest.raises(InvalidStudy, match="one excerpt at once"):
        judged_by(tmp_path, server, method="logprobs", shown_at_once=2)
