"""Facts on studies that have a language model revise: whom they ask, what they wait for, and when they begin anew."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from starlette.responses import Response

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.pools import pools_of
from neuron_assets.assets.question_lengths import longest_question
from neuron_assets.assets.refreshing import outdated_layers, recorded
from neuron_assets.assets.specs import asset_key
from neuron_assets.assets.study_component import table_resources
from neuron_assets.errors import InvalidStudy, KeyMissing, QuestionTooLong
from neuron_assets.lineage import REVISED, inputs_of
from neuron_assets.model_sections import HostedExplainer
from neuron_assets.study import Study
from neuron_assets.subjects.bundled.opening import open_bundled
from neuron_assets.subjects.subject import Subject
from tests.language_models.batch_server import Course, batch_server
from tests.language_models.misbehaving_server import MODEL, Body, running
from tests.learning_model import (
    NUMBERS,
    ROUNDS,
    SELF,
    SPLITS,
    explained_of,
    kind_of,
    learner,
    make,
    read,
    revised_by,
    said,
)
from tests.scenario import STUDY, make_project

NOWHERE = "http://127.0.0.1:9/v1"


@pytest.mark.slow
def test_of_several_samples_the_first_that_can_be_read_is_revised(tmp_path: Path) -> None:
    n_about_numbers = 0

    def one_declines(body: Body, number: int) -> Response | None:
        nonlocal n_about_numbers
        if kind_of(body) == "explanation" and explained_of(body) == NUMBERS:
            n_about_numbers += 1
            if n_about_numbers == 1:
                return said("I am sorry, I cannot say.")
        return learner(body, number)

    with running(behaviour=one_declines) as server:
        make(*(world := revised_by(tmp_path, server.url, explainer={"samples": 2}, asking={"most_at_once": 1})))
    own = read(world[0], "candidates").filter(pl.col("author").is_in([MODEL, "revision"]))
    parents = own.group_by("neuron_index").agg(pl.col("parent").sort_by("candidate"))
    chosen = read(world[0], "scores").filter("chosen").select("neuron_index", "author")

    assert n_about_numbers == 2
    assert dict(parents.iter_rows()) == {SELF: [None, None, 0, 2], NUMBERS: [None, None, 1, 2]}
    assert own.filter(pl.col("author") == "revision")["failure"].null_count() == 2 * ROUNDS
    assert set(chosen.iter_rows()) == {(SELF, "revision"), (NUMBERS, "revision")}


@pytest.mark.slow
def test_another_explainer_has_the_revisions_made_again(tmp_path: Path) -> None:
    with running(behaviour=learner) as server:
        make(*revised_by(tmp_path, server.url))
        project, study = revised_by(tmp_path, server.url, explainer={"seed": 1})
        resources: Any = table_resources(project.tables, project.requests)
        now = resources["desk"].explainer(study)
        with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
            outdated, before = outdated_layers(instance, study, "explainer", now), revisers(instance, study)
        runs = make(project, study)
        with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
            after = revisers(instance, study)

    assert outdated == ["L00"]
    assert len(before) == 1
    assert before != after == {now}
    assert runs[0].tables[:3] == ("explanations", *REVISED)
    assert set(read(project, "revised_explanations")["explainer"]) == {now}


@pytest.mark.slow
def test_by_provider_batches_the_same_comes_of_it(tmp_path: Path) -> None:
    def learned(body: Body) -> tuple[int, Body]:
        reply = learner(body, 0) or said("Hello")
        return 200, json.loads(bytes(reply.body))

    with batch_server(answer=learned, course=lambda _: Course(n_waits=0)) as server:
        worlds = [revised_by(tmp_path / mode, server.url, asking={"mode": mode}) for mode in ("direct", "batch")]
        for world in worlds:
            assert not server.batches
            make(*world)
        n_batches = len(server.batches)

    for table in (*REVISED, "scores"):
        directly, in_batches = (read(project, table) for project, _ in worlds)
        assert directly.height > 0
        assert_frame_equal(directly, in_batches)
    assert n_batches >= 2 * ROUNDS


@pytest.mark.slow
def test_the_neurons_of_a_layer_are_heard_in_that_layer(tmp_path: Path) -> None:
    layer = 4
    with running(behaviour=learner) as server:
        project, study = revised_by(
            tmp_path, server.url, subject=STUDY["subject"], neurons={"per_layer": 2}, revision={"rounds": 1}
        )
        make(project, study, layer=layer)
    rows, subject = read(project, "counterexamples", layer=layer), open_bundled()
    maxima = read(project, "neuron_statistics", layer=layer).select("neuron_index", "maximum")

    assert set(rows["neuron_index"]) == set(study.neuron_indices(layer))
    assert set(rows["layer_index"]) == {layer}
    for row in rows.to_dicts():
        heard = alone(subject, row["sentence"], layer, row["neuron_index"])
        fired = max(heard) > 0.1 * dict(maxima.iter_rows())[row["neuron_index"]]
        assert row["activations"] == pytest.approx(heard, rel=1e-4, abs=1e-5)
        assert row["fault"] == (None if fired == row["should_fire"] else "silent" if fired else "fires")
    assert rows["peak"].n_unique() > 2


def alone(subject: Subject, text: str, layer: int, neuron: int) -> list[float]:
    heard: list[float] = []

    def receive(_layer: int, activations: torch.Tensor) -> None:
        heard.extend(activations[0, :, neuron].tolist())

    subject.run(np.array([subject.tokenize(text)]), [layer], receive)
    return heard


def revisers(instance: dg.DagsterInstance, study: Study) -> set[str]:
    """Who made the layer's tables, as their metadata tell."""
    return {recorded(instance, asset_key(study, table))["L00"].whose["explainer"] for table in REVISED}


def test_a_model_that_could_not_read_the_longest_question_is_refused(tmp_path: Path) -> None:
    def longest(**explainer: object) -> int:
        _, study = revised_by(tmp_path, NOWHERE, explainer=explainer, revision=many)
        assert isinstance(study.explainer, HostedExplainer)
        return longest_question(study, study.explainer)

    many = {"rounds": 0, "counterexamples": 50}
    without = longest()
    many["rounds"] = 1
    between = (without + longest()) // 2
    _, study = revised_by(tmp_path, NOWHERE, explainer={"context_length": between}, revision=many)

    assert without < between < longest()
    with pytest.raises(QuestionTooLong, match=f"The explainer {MODEL} reads {between:,} tokens"):
        RequestDesk(str(tmp_path / "kept")).check(study, {asset_key(study, "revised_explanations")})


def test_a_key_that_is_missing_is_told_where_only_the_revision_is_to_be_made(tmp_path: Path) -> None:
    _, study = revised_by(tmp_path, NOWHERE, explainer={"api_key_env": "NO_SUCH_KEY"})

    with pytest.raises(KeyMissing, match="NO_SUCH_KEY"):
        RequestDesk(str(tmp_path / "kept")).check(study, {asset_key(study, "revised_explanations")})


def test_a_model_writes_as_many_sentences_of_either_kind(tmp_path: Path) -> None:
    with pytest.raises(InvalidStudy, match="write an even number"):
        revised_by(tmp_path, NOWHERE, revision={"rounds": 1, "counterexamples": 5})


def test_only_models_run_the_subject_again(tmp_path: Path) -> None:
    _, asking = revised_by(tmp_path, NOWHERE)
    _, by_rules = make_project(tmp_path, splits=SPLITS, revision={"rounds": 1})

    assert pools_of(asking)["revised_explanations"] == pools_of(asking)["activations"]
    assert "revised_explanations" not in pools_of(by_rules)
    for table in REVISED:
        assert inputs_of(asking, table) == ("excerpts", "activations", "neuron_statistics", "explanations")
        assert inputs_of(by_rules, table) == ("excerpts", "activations", "explanations")
