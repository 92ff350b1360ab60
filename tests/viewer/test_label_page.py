"""Explaining a neuron, and rating explanations: what is shown before and after, and what is kept."""

import html
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from neuron_assets.method.controls import SHUFFLED_CONTROL
from neuron_assets.method.labels import PersonsExplanation, PersonsRating
from neuron_assets.project import Project
from neuron_assets.viewer.given import explanation_id
from tests.viewer.labelling import Asked, asked_in, fields, read, squeezed

WRITTEN = {"person": "Ann", "text": "names of  things\r\nthat are read"}


@pytest.fixture
def asked(made: Project, explained: tuple[int, int], tmp_path: Path) -> Asked:
    shutil.copytree(Path(made.tables).parent, tmp_path / "own", ignore=shutil.ignore_patterns("history", "storage"))
    return asked_in(tmp_path / "own", explained)


def test_before_saving_there_are_excerpts_of_train_only(asked: Asked) -> None:
    page = asked.get("label?all=1")
    heats = re.findall(r'<div class="heat".*?>(.*?)</div>', page.text, re.DOTALL)
    seen = {squeezed(html.unescape(re.sub(r"<[^>]*>", "", heat))) for heat in heats}

    assert page.status_code == 200
    assert seen
    assert seen <= asked.drawn("train")
    for pool in ("calibration", "valid", "test"):
        assert not seen & (asked.drawn(pool) - asked.drawn("train"))


@pytest.mark.parametrize("address", ["label", "label?all=1", "label?saved=Nobody", "label?saved="])
def test_before_saving_nobodys_explanation_is_shown(asked: Asked, address: str) -> None:
    page = read(asked.get(address))

    assert "you have seen what others say" in page
    assert all(place in page for place in ("this neuron's page", "its layer's page", "the study's", "a search"))
    for text in asked.candidates()["explanation"].drop_nulls():
        assert text[:40] not in page


def test_what_a_person_writes_is_kept_and_then_others_are_shown(asked: Asked) -> None:
    answer = asked.post("label", WRITTEN)
    page = read(asked.client.get(answer.headers["location"]))

    assert answer.status_code == 303
    assert [(each.author, each.text) for each in asked.kept.of(PersonsExplanation)] == [
        ("human:Ann", "names of things that are read")
    ]
    assert "names of things that are read" in page
    assert asked.candidates()["explanation"][0] in page


def test_the_page_of_what_a_person_saved_opens_in_their_own_browser_only(asked: Asked) -> None:
    asked.post("label", WRITTEN)
    same = read(asked.get("label?saved=ANN"))
    asked.client.cookies.clear()
    nobody = read(asked.get("label?saved=Ann"))
    asked.post("label", {"person": "Bob", "text": "something else"})
    other = asked.get("label?saved=Ann")

    assert "names of things that are read" in same
    for page in (nobody, read(other)):
        assert "names of things" not in page
        assert asked.candidates()["explanation"][0] not in page
    assert fields(other)["person"] == "Bob"


def test_a_label_that_is_not_scored_yet_says_what_to_run(asked: Asked) -> None:
    page = read(asked.client.get(asked.post("label", WRITTEN).headers["location"]))

    assert "neuron-assets materialize tiny --layers 2" in page
    assert "--neurons all" not in page


def test_a_label_of_a_neuron_that_is_not_explained_says_that_it_waits(asked: Asked) -> None:
    other = asked_in(Path(asked.project.tables).parent, (2, 0 if asked.neuron.neuron_index else 1))
    page = read(other.client.get(other.post("label", WRITTEN).headers["location"]))

    assert "scored as any other" not in page
    assert "neuron-assets materialize tiny --layers 2 --neurons all" in page


def test_where_the_simulator_reads_rules_it_is_told_before_and_after_writing(asked: Asked) -> None:
    told = "docs/rules.md"
    written = asked.post("label", WRITTEN).headers["location"]
    assert told in read(asked.get("label"))
    assert told in read(asked.client.get(written))

    path = asked.project.study_files()["tiny"]
    model = {"provider": "openai_compatible", "model": "any", "base_url": "http://127.0.0.1:9/v1"}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"simulator": model}))
    assert told not in read(asked.get("label"))
    assert told not in read(asked.client.get(written))


def test_a_disk_that_takes_nothing_is_told_with_what_was_typed(asked: Asked) -> None:
    (Path(asked.project.tables) / "tiny" / "labels" / "entries").write_text("a file where a folder should be")
    for below, form in (("label", WRITTEN), ("rate", _rating(asked))):
        page = asked.post(below, form)

        assert page.status_code == 500
        assert "send it again" in read(page)
        assert "materialize again" not in read(page)
        assert 'value="Ann"' in page.text


def test_controls_are_not_among_what_others_say(asked: Asked) -> None:
    page = read(asked.client.get(asked.post("label", WRITTEN).headers["location"]))
    rows = asked.candidates()
    own = set(rows.filter(rows["author"] != SHUFFLED_CONTROL)["explanation"].drop_nulls())

    assert all(text not in page for text in set(rows["explanation"].drop_nulls()) - own)


def test_the_same_label_is_kept_once_and_another_changes_nothing(asked: Asked) -> None:
    asked.post("label", WRITTEN)
    first = asked.files()
    asked.post("label", WRITTEN)
    assert asked.files() == first

    asked.post("label", WRITTEN | {"text": "something else"})
    assert first.items() < asked.files().items()
    assert len(asked.files()) == 2


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"person": ""}, "name"),
        ({"person": "x" * 41}, "40"),
        ({"person": "<script>"}, "letters, digits"),
        ({"text": " \n "}, "explanation"),
        ({"text": "x" * 2001}, "2000"),
        ({"text": "bell \x07"}, "control characters"),
    ],
)
def test_what_cannot_be_kept_is_told_with_what_was_typed(asked: Asked, wrong: Mapping[str, str], told: str) -> None:
    typed = {"person": "Ann", "text": "typed with care", **wrong}
    page = asked.post("label", typed)
    there = fields(page) | {
        "text": html.unescape(re.findall(r"<textarea.*?>(.*?)</textarea>", page.text, re.DOTALL)[0])
    }

    assert page.status_code == 422
    assert told in read(page)
    assert {name: there[name].strip() for name in typed} == {name: text.strip() for name, text in typed.items()}
    assert not asked.files()


def test_a_label_from_another_site_is_not_kept(asked: Asked) -> None:
    assert asked.post("label", WRITTEN, Origin="http://evil.example").status_code == 403
    assert not asked.files()


def test_old_excerpts_are_not_explained(asked: Asked) -> None:
    asked.cut_anew()

    assert "made from other content than" in read(asked.get("label"))
    assert asked.post("label", WRITTEN).status_code == 409
    assert not asked.files()


def test_a_layer_that_was_not_harvested_says_what_to_run(asked: Asked) -> None:
    shutil.rmtree(Path(asked.project.tables) / "tiny" / "activations")

    assert "neuron-assets materialize tiny --layers 2" in read(asked.get("label"))


def _rating(asked: Asked, **changes: str) -> dict[str, str]:
    text = asked.candidates()["explanation"][0]
    return {"person": "Ann", "explanation": explanation_id(text), "rating": "partly", "back": "label"} | changes


def test_a_rating_is_kept_once_and_a_later_one_counts(asked: Asked) -> None:
    asked.post("label", WRITTEN)
    asked.post("rate", _rating(asked))
    asked.post("rate", _rating(asked))
    answer = asked.post("rate", _rating(asked, rating="wrong"))

    assert [each.rating for each in asked.kept.of(PersonsRating)] == ["partly", "wrong"]
    assert "You said: wrong." in read(asked.client.get(answer.headers["location"]))


def test_a_rating_on_the_neurons_page_leads_back_to_it(asked: Asked) -> None:
    answer = asked.post("rate", _rating(asked, back=""))

    assert (answer.status_code, answer.headers["location"]) == (303, f"/tiny/2/{asked.neuron.neuron_index}")


@pytest.mark.parametrize(
    ("wrong", "status"),
    [({"rating": "superb"}, 422), ({"rating": ""}, 422), ({"person": ""}, 422), ({"explanation": "0" * 16}, 409)],
)
def test_a_rating_of_nothing_is_refused(asked: Asked, wrong: Mapping[str, str], status: int) -> None:
    page = asked.post("rate", _rating(asked, **wrong))

    assert (page.status_code, asked.files()) == (status, {})


@pytest.mark.parametrize("missing", ["person", "rating", "explanation"])
def test_a_rating_without_one_of_its_fields_is_refused(asked: Asked, missing: str) -> None:
    page = asked.post("rate", {name: text for name, text in _rating(asked).items() if name != missing})

    assert page.status_code == (409 if missing == "explanation" else 422)
    assert not asked.files()


def test_a_damaged_label_is_named_and_the_others_stand(asked: Asked) -> None:
    asked.post("label", WRITTEN)
    asked.post("label", WRITTEN | {"text": "another one"})
    first = min(asked.files())
    first.write_bytes(b"{")
    page = read(asked.get("label?saved=Ann"))

    assert first.name in page
    assert ("names of things" in page) != ("another one" in page)
