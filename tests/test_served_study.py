"""Whole studies against llama.cpp's own server: chat, structured output, many requests at once, and what is kept.

The model behind the server is drawn at random and knows nothing, so what is proven is the way from a study to a server
and back, and that nonsense never turns into a score.
"""

import difflib
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from neuron_assets.errors import NotAnsweredYet, UnreadableReply
from neuron_assets.language_models.answered_requests import AnsweredRequest, read_line
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.method.explaining.reading import read_explanation
from neuron_assets.method.questions import Reply
from neuron_assets.project import Project
from neuron_assets.study import Study, read_study
from neuron_assets.tables.schemas import KEYS
from tests.counting_proxy import CountingProxy, counting
from tests.language_models.tiny_models import tiny_llama, tiny_tokenizer
from tests.llama_server import ALIAS, missing_packages, serving, write_random_llama
from tests.scenario import ALL_MAY_FAIL, DOCUMENTS, make_project
from tests.served_tables import LAYERS, make, metadata, path_of, read

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing_packages()), reason=f"needs the packages {missing_packages()}"),
]

AT_ONCE = 16
TOGETHER = 9
"""So many questions are to be under way at once, however fast the server is."""
ASKING = {"most_at_once": AT_ONCE}
OF_CANDIDATE = ("layer_index", "neuron_index", "candidate")
TABLES = ("explanations", "candidates", "simulations", "scores", "layer_summary")
SPLITS = {
    "fewest_documents": 5,
    "train": {"top": 5, "random": 6},
    "valid": {"top": 3, "random": 3},
    "calibration": {"top": 2, "random": 2},
    "test": {"top": 2, "random": 2},
}
"""As in the one small world, with fewer excerpts to simulate."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    text = (Path(__file__).parents[1] / "neuron_assets" / "few_shot.yaml").read_text(encoding="utf-8")
    write_random_llama(folder / "model.gguf", text + "\n".join(DOCUMENTS.values()))
    with serving(folder / "model.gguf", folder / "server.log", n_at_once=AT_ONCE) as url:
        yield url


@pytest.fixture(scope="module")
def proxy(server: str) -> Iterator[CountingProxy]:
    with counting(server) as found:
        yield found


def hosted(url: str, **more: object) -> dict[str, object]:
    """Replies are drawn: what a random model likes best is one number again and again, and has no correlation."""
    return {"provider": "openai_compatible", "model": ALIAS, "base_url": url, "temperature": 1.0, **more}


@pytest.fixture(scope="module")
def simulated(proxy: CountingProxy, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A project whose explanations were written by hand and simulated by the server; the requests that this took."""
    root = tmp_path_factory.mktemp("simulated")
    project, study = write_explanations(root, proxy.url)
    before = len(proxy.bodies)
    proxy.together = TOGETHER
    make(project, study)
    return root, len(proxy.bodies) - before


def write_explanations(root: Path, url: str) -> tuple[Project, Study]:
    """A project whose explanations are there already, but for one neuron of layer 2; the server simulates."""
    _, study = make_project(root)
    neurons = [f"L{layer}N{index}" for layer in LAYERS for index in study.neuron_indices(layer)]
    texts = {neuron: f"words about files and threads, kind {number}" for number, neuron in enumerate(neurons[:-1])}
    (study.folder / "texts.yaml").write_text(yaml.safe_dump(texts), encoding="utf-8")
    explainer = {"provider": "written", "file": "texts.yaml"}
    more = {"asking": ASKING, "splits": SPLITS, "checks": ALL_MAY_FAIL}
    return make_project(root, explainer=explainer, simulator=hosted(url), **more)


@pytest.fixture
def own(simulated: tuple[Path, int], proxy: CountingProxy, tmp_path: Path) -> tuple[Project, Study]:
    """A copy of the project that a test may harm."""
    shutil.copytree(simulated[0], tmp_path / "own")
    return write_explanations(tmp_path / "own", proxy.url)


def test_every_simulation_is_whole_numbers_from_0_to_10_or_a_failure(
    simulated: tuple[Path, int], proxy: CountingProxy
) -> None:
    project, _ = write_explanations(simulated[0], proxy.url)
    candidates = read(project, "candidates").select(*OF_CANDIDATE, "explanation")
    rows = read(project, "simulations").join(candidates, on=OF_CANDIDATE)
    told = rows.filter(pl.col("failure").is_null())

    assert rows.height == read(project, "simulations").height
    assert rows.select(OF_CANDIDATE).unique().height == candidates.height == 12
    assert {16} == set(told["simulated"].list.len())
    assert set(told["simulated"].explode()) == set(range(11))
    assert told["explanation"].null_count() == 0
    assert {"texts.yaml has no explanation"} == {
        failure.split(" of ")[0] for failure in rows.filter(pl.col("explanation").is_null())["failure"]
    }


def test_a_simulator_that_knows_nothing_scores_about_zero(simulated: tuple[Path, int], proxy: CountingProxy) -> None:
    """Numbers drawn without looking correlate with n activations by chance alone: about 1 / sqrt(n) either way.

    Simulations of different candidates are drawn apart, so all tokens count together; five such spans are allowed.
    """
    project, _ = write_explanations(simulated[0], proxy.url)
    whole = read(project, "simulations").group_by(OF_CANDIDATE).agg(pl.col("failure").is_null().all())["failure"].sum()
    scores = read(project, "scores").filter((pl.col("scorer") == "simulation") & (pl.col("sample") == "top_and_random"))
    defined = scores.filter(pl.col("failure").is_null())
    mean = defined["ev_correlation"].mean()

    assert defined.height == whole > 0
    assert isinstance(mean, float)
    assert abs(mean) < 5 / int(defined["n_tokens"].sum()) ** 0.5


def test_many_requests_are_under_way_at_once_and_never_more_than_allowed(
    simulated: tuple[Path, int], proxy: CountingProxy
) -> None:
    assert TOGETHER <= proxy.most_at_once <= AT_ONCE


def test_what_was_answered_is_never_asked_again(own: tuple[Project, Study], proxy: CountingProxy) -> None:
    project, study = own
    before, n_before = read(project, "simulations"), len(proxy.bodies)

    assert make(project, study) == []
    forget(project)
    make(project, study)

    assert len(proxy.bodies) == n_before
    assert before.equals(read(project, "simulations"))


def test_offline_the_store_answers_in_place_of_the_server(own: tuple[Project, Study], proxy: CountingProxy) -> None:
    project, study = own
    before = read(project, "simulations")
    forget(project)
    n_before = proxy.n_passed
    make(project, study, offline=True)

    assert proxy.n_passed == n_before
    assert before.equals(read(project, "simulations"))


def test_offline_a_store_that_holds_nothing_says_what_is_missing(own: tuple[Project, Study]) -> None:
    project, study = own
    forget(project)
    with RequestStore.open(project.requests) as store:
        store.prune(before=datetime.now(UTC))

    with pytest.raises(NotAnsweredYet, match=r"\d+ requests .*: L1N\d+ candidate 0 excerpt \d+, "):
        make(project, study, offline=True)
    assert not path_of(project, "simulations", 1).exists()
    with pytest.raises(NotAnsweredYet, match=f"who answers as {ALIAS}@127.0.0.1"):
        make(replace(project, requests=f"{project.requests}.new"), study, offline=True)


def forget(project: Project) -> None:
    """Removes the simulations; what the server said is kept elsewhere."""
    for layer in LAYERS:
        path_of(project, "simulations", layer).unlink()


@pytest.fixture(scope="module")
def explained(proxy: CountingProxy, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Study]:
    """A project whose neurons the server explains, four times each, in words that mean nothing."""
    explainer = hosted(proxy.url, room_to_think=0, shown_top=2, samples=4, asks=1)
    root = tmp_path_factory.mktemp("explained")
    project, study = make_project(root, explainer=explainer, asking=ASKING, checks=ALL_MAY_FAIL)
    make(project, study)
    return project, study


def test_nonsense_is_a_failure_or_a_text_and_never_a_score(explained: tuple[Project, Study], tmp_path: Path) -> None:
    """A text that is refused is no explanation; one that is not is nothing that the rules could read.

    How many are refused is chance: often all of them.
    """
    project, _ = explained
    rows = read(project, "explanations").select("explanation", "failure").rows()
    simulated = read(project, "scores").filter(pl.col("scorer") == "simulation")
    said = [read_or_refused(reply) for reply in replies(project, tmp_path / "replies.jsonl")]

    assert len(said) == 6 * 4
    assert Counter(rows) == Counter(said)
    assert simulated.height > 0
    assert simulated["ev_correlation"].count() == 0
    assert simulated["failure"].null_count() == 0


def read_or_refused(reply: Reply) -> tuple[str | None, str | None]:
    """The explanation in it, or its failure."""
    try:
        return read_explanation(reply), None
    except UnreadableReply as error:
        return None, f"1 replies could not be read, the last one: {error}"


def replies(project: Project, path: Path) -> list[Reply]:
    """All that the server said, as the request store keeps it."""
    with RequestStore.open(project.requests) as store:
        store.export(path)
    lines = [read_line(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [line.reply for line in lines if isinstance(line, AnsweredRequest)]


def test_failures_are_counted_in_every_layer_and_in_the_summary(explained: tuple[Project, Study]) -> None:
    project, study = explained
    for layer in LAYERS:
        for table in ("explanations", "simulations"):
            rows = read(project, table).filter(pl.col("layer_index") == layer)

            assert metadata(project, study, table, layer)["failures"] == rows["failure"].count()
    own = read(project, "layer_summary").filter(pl.col("author") == ALIAS)

    assert own.height == len(LAYERS) * 2
    assert {(3, 3, None)} == set(own.select("n_neurons", "n_undefined", "mean").iter_rows())


BY_RULES = """\
explainer: &model
  provider: rules
simulator: *model
"""
BY_A_SERVER = """\
explainer: &model
  provider: openai_compatible
  model: drawn-at-random
  base_url: {url}
simulator: *model
"""
BY_A_MODEL_HERE = """\
explainer: &model
  provider: local
  model: {folder}
simulator: *model
"""


def test_three_lines_change_who_explains_and_simulates_and_nothing_else(proxy: CountingProxy, tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    for part in (tiny_llama(tokenizer, context=16384), tokenizer):
        part.save_pretrained(str(tmp_path / "model"))
    make_project(tmp_path, neurons=[5], splits=SPLITS, checks=ALL_MAY_FAIL)
    path = tmp_path / "studies" / "tiny" / "study.yaml"
    rest, seen, runs, before = path.read_text(encoding="utf-8"), [], [], ""
    for text in (BY_RULES, BY_A_SERVER, BY_A_MODEL_HERE):
        now = text.format(url=proxy.url, folder=tmp_path / "model")
        path.write_text(rest + now, encoding="utf-8")
        project = Project.from_environment({}, tmp_path)
        runs.append(make(project, read_study(path)))
        seen.append({table: keyed(project, table) for table in TABLES})
        assert before == "" or n_lines_changed(before, now) <= 3
        before = now

    assert [run[0].tables[0] for run in runs] == ["excerpts", "explanations", "explanations"]
    assert seen[0] == seen[1] == seen[2]


def keyed(project: Project, table: str) -> tuple[Any, ...]:
    """The columns of a table, and the rows that it has, by their keys."""
    frame = read(project, table)
    keys = [key for key in KEYS[table] if key != "author"]
    return frame.schema, sorted(map(str, frame.select(keys).iter_rows()))


def n_lines_changed(before: str, now: str) -> int:
    """Lines that somebody has to write anew or take away."""
    lines = list(difflib.ndiff(before.splitlines(), now.splitlines()))
    return max(sum(line.startswith(sign) for line in lines) for sign in "+-")
