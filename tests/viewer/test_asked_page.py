"""What was asked about a neuron, word for word, as a reader sees it: and what nobody is shown."""

import html
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import yaml
from starlette.testclient import TestClient

from neuron_assets.language_models.asked_for import Cut, Notes
from neuron_assets.language_models.asker import Used
from neuron_assets.language_models.model import Replied, Usage
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.method.questions import ChatPrompt, EchoedToken, EchoPrompt, Message, Prompt, Reply
from neuron_assets.method.revising.sentences import TEST_SENTENCES
from neuron_assets.project import Project
from neuron_assets.tables.parquet import TableFacts, read_facts, read_table, write_table
from neuron_assets.tables.store import TableStore
from neuron_assets.viewer.app import create_app
from tests.language_models.misbehaving_server import running
from tests.learning_model import FIRES, FIRST, SELF, TRUTH, learner, make, revised_by
from tests.viewer import hostile

CHAT = ChatPrompt((Message("system", "Say what it likes."), Message("user", " the\t10\n cat\t0")), "pairs/1", 60)
REPLIED = Replied(Reply("words for cats"), Usage(812, 31, 400), "tiny-2@127.0.0.1")


def asking(project: Project) -> TestClient:
    return TestClient(create_app(project), base_url="http://127.0.0.1:8787")


def seen(project: Project, explained: tuple[int, int], query: str = "") -> str:
    """The text of the page, without markup, white space in prompts as it is."""
    layer, neuron = explained
    got = asking(project).get(f"/tiny/{layer}/{neuron}/asked{query}")
    assert got.status_code == 200
    assert not [live for live in hostile.LIVE if live in got.text]
    return html.unescape(re.sub("<[^>]*>", "", got.text))


@pytest.fixture
def own(made: Project, tmp_path: Path) -> Project:
    """A copy of the project that a test may harm, with a request store in which nothing is."""
    root = tmp_path / "own"
    shutil.copytree(made.dagster_home.parent, root, ignore=shutil.ignore_patterns("history", "storage", "logs"))
    project = Project.from_environment({}, root)
    for path in Path(project.requests).parent.glob("requests.sqlite*"):
        path.unlink()
    RequestStore.open(project.requests).close()
    return project


def cut_of(project: Project) -> Cut:
    store = TableStore.at(project.tables)
    activations = read_facts(store.path("tiny", "activations", "L02"))
    return Cut(read_facts(store.path("tiny", "excerpts")).content, activations.lineage)


def keep(
    project: Project,
    about: str,
    *,
    asset: str = "explanations",
    prompt: Prompt = CHAT,
    replied: Replied = REPLIED,
    cut: Cut | None = None,
    study: str = "tiny",
) -> None:
    """Keeps an answer under a key of its own, and the note of whom it was for."""
    with RequestStore.open(project.requests) as store:
        key = f"{len(store):064}"
        store.put(key, prompt, replied, seconds=1.5, parameters={"temperature": 0.7}, about=about)
        notes = Notes(store.database, study, asset, cut or cut_of(project))
        notes.note(Used(key, about))
        notes.write()


def with_explainer(project: Project) -> None:
    """From now on the study asks a model."""
    path = project.dagster_home.parent / "studies" / "tiny" / "study.yaml"
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    hosted = {"provider": "openai_compatible", "model": "tiny-2", "base_url": "http://127.0.0.1:9/v1"}
    path.write_text(yaml.safe_dump({**said, "explainer": hosted}), encoding="utf-8")


def test_a_prompt_and_its_reply_stand_there_as_they_were_sent(own: Project, explained: tuple[int, int]) -> None:
    keep(own, "L2N247".replace("247", str(explained[1])))
    page = seen(own, explained)

    assert "Say what it likes." in page
    assert " the\t10\n cat\t0" in page
    assert "words for cats" in page
    assert "tiny-2@127.0.0.1" in page
    assert "812 tokens in, 400 of them cached, 31 out" in page
    assert '"temperature": 0.7' in page


def test_only_requests_of_this_neuron_and_study_are_shown(own: Project, explained: tuple[int, int]) -> None:
    keep(own, "L2N1")
    keep(own, f"L0N{explained[1]}")
    keep(own, f"L2N{explained[1]}", study="other")

    assert "Say what it likes." not in seen(own, explained)


@pytest.mark.parametrize("other", ["excerpts", "activations"])
def test_prompts_of_another_cut_are_not_shown_but_what_was_explained_is(
    own: Project, explained: tuple[int, int], other: str
) -> None:
    cut = replace(cut_of(own), excerpts="0" * 16) if other == "excerpts" else replace(cut_of(own), activations="0" * 16)
    keep(own, f"L2N{explained[1]}", cut=cut)
    page = seen(own, explained)

    assert "Say what it likes." not in page
    assert "1 request about another cut of the corpus is not shown" in page
    assert "words for cats" in page.partition("Earlier explanations")[2]
    assert "other excerpts" in page


def test_nothing_is_shown_while_the_activations_are_of_older_excerpts(own: Project, explained: tuple[int, int]) -> None:
    path = TableStore.at(own.tables).path("tiny", "excerpts")
    facts, rows = read_facts(path), read_table(path, "excerpts")
    write_table(path, rows.with_columns(pl.col("document_index") + 1), TableFacts("excerpts", facts.lineage))
    keep(own, f"L2N{explained[1]}")

    assert "Say what it likes." not in seen(own, explained)


def test_prompts_about_test_wait_for_the_final_report(own: Project, explained: tuple[int, int]) -> None:
    keep(own, f"L2N{explained[1]} candidate 0 excerpt 7", asset="final_simulations")
    hidden = seen(own, explained)
    by_name = seen(own, explained, "?of=final_simulations")
    row = {"excerpts": [cut_of(own).excerpts], "opening": [1]}
    write_table(TableStore.at(own.tables).path("tiny", "openings"), pl.DataFrame(row), TableFacts("openings", "0" * 16))

    assert "Say what it likes." not in hidden + by_name
    assert "1 request about excerpts of test is shown nowhere" in hidden
    assert "Say what it likes." in seen(own, explained)


def test_what_was_said_before_is_listed_and_what_stands_is_not(own: Project, explained: tuple[int, int]) -> None:
    path = TableStore.at(own.tables).path("tiny", "explanations", "L02")
    facts, rows = read_facts(path), read_table(path, "explanations")
    write_table(path, rows.with_columns(explanation=pl.lit("words for cats")), facts)
    for text in ("words for cats", "words for <b>dogs</b>", "I cannot help with that", "words for birds"):
        keep(own, f"L2N{explained[1]}", replied=replace(REPLIED, reply=Reply(text)))
    sentences = replace(CHAT, layout=TEST_SENTENCES)
    keep(own, f"L2N{explained[1]} round 1", asset="revised_explanations", prompt=sentences)
    keep(own, f"L2N{explained[1]} candidate 0", asset="judgements", replied=replace(REPLIED, reply=Reply("hardly")))
    earlier = seen(own, explained).partition("Earlier explanations")[2]

    assert earlier.index("words for birds") < earlier.index("words for <b>dogs</b>")
    assert "words for cats" not in earlier
    assert "cannot" not in earlier
    assert "hardly" not in earlier


def test_where_none_is_kept_the_page_says_so(own: Project, explained: tuple[int, int]) -> None:
    assert "None is kept." in seen(own, explained)


def test_hostile_prompts_and_replies_are_text(own: Project, explained: tuple[int, int]) -> None:
    text = "\n".join(hostile.DOCUMENTS.values()) + "\x00 \ud800"
    said = Reply(text, reasoning=text, refusal=text, finish_reason="<script>document")
    schema = {"properties": {"<script>document": {"type": "string"}}}
    keep(
        own,
        f"L2N{explained[1]} <img src=x>",
        prompt=replace(CHAT, messages=(Message("user", text),), schema=schema),
        replied=replace(REPLIED, reply=said, identity="<iframe src=x>"),
    )
    page = seen(own, explained)

    assert "<script>document.title='owned'</script>" in page
    assert "family \U0001f468\u200d\U0001f469\u200d\U0001f467" in page
    assert "<0x202E>" in page


def test_what_was_echoed_is_shown_with_its_likeliest_tokens(own: Project, explained: tuple[int, int]) -> None:
    echoed = (EchoedToken("The"), EchoedToken(" sky", {" sea": -2.0, " sky": -0.25}))
    keep(
        own,
        f"L2N{explained[1]} candidate 0 excerpt 3",
        asset="simulations",
        prompt=EchoPrompt("The sky is blue", "all_at_once/1"),
        replied=replace(REPLIED, reply=Reply("", echoed=echoed)),
    )
    page = seen(own, explained)

    assert "The sky is blue" in page
    assert '" sky": " sky" -0.25, " sea" -2.00' in page


def test_many_requests_come_in_parts_ordered_by_their_numbers(own: Project, explained: tuple[int, int]) -> None:
    for number in reversed(range(12)):
        keep(own, f"L2N{explained[1]} candidate 0 excerpt {number}", asset="simulations")
    first = seen(own, explained)
    rest = seen(own, explained, "?of=simulations&from=10")

    assert re.findall(r"excerpt (\d+)", first) == [str(number) for number in range(10)]
    assert re.findall(r"excerpt (\d+)", rest) == ["10", "11"]
    assert "All 12" in first


@pytest.mark.parametrize("query", ["?of=nothing", "?of=simulations&from=-1", "?of=simulations&from=9999999999"])
def test_what_is_no_part_is_not_found(own: Project, explained: tuple[int, int], query: str) -> None:
    assert asking(own).get(f"/tiny/{explained[0]}/{explained[1]}/asked{query}").status_code == 404


def test_a_study_by_rules_asks_nobody_and_says_so(made: Project, explained: tuple[int, int]) -> None:
    page = seen(made, explained)

    assert "No language model is asked in this study: rules explains, rules simulates." in page.replace("\n", " ")


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda path: path.unlink(), "there is no such file"),
        (lambda path: path.write_bytes(b"SQLite format 3\x00" + b"\x07" * 40_000), "cannot be used"),
        (lambda _path: None, "says of no request that it was for this neuron"),
    ],
    ids=["missing", "damaged", "empty"],
)
def test_a_store_that_tells_nothing_is_told_of(
    own: Project, explained: tuple[int, int], harm: Callable[[Path], object], told: str
) -> None:
    with_explainer(own)
    harm(Path(own.requests))

    assert told in seen(own, explained)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A study that a model explains and revises, whose server is gone."""
    root = tmp_path_factory.mktemp("learned")
    with running(behaviour=learner) as server:
        project, study = revised_by(root, server.url)
        make(project, study)
    return project


@pytest.mark.slow
def test_all_that_a_study_asks_is_found_by_neuron(learned: Project) -> None:
    page = seen(learned, (0, SELF))

    steps = ["Explaining", "Revising", "Simulating"]
    assert [step for step in steps if re.search(rf"^{step} +\d+ request", page, re.MULTILINE)] == steps
    assert re.search(r"^Explaining +1 request$", page, re.MULTILINE)
    assert re.search(r"^Revising +4 requests$", page, re.MULTILINE)
    assert FIRST[SELF] in page
    assert FIRES[0] in page
    assert "None is kept." in page


@pytest.mark.slow
def test_the_sentences_of_a_model_and_what_the_subject_did_on_them_are_evidence(learned: Project) -> None:
    page = html.unescape(re.sub("<[^>]*>", "", asking(learned).get(f"/tiny/0/{SELF}/evidence").text))

    assert FIRST[SELF] in page
    assert TRUTH[SELF] in page
    assert "Round 2: candidate 1 is put to the test" in page
    assert "written to leave it silent · it fires where the text says that it is silent" in page
    assert FIRES[0] in page
