"""For which neuron an answer was used: noted for whoever asks for it, paid or not, and found again."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from neuron_assets.errors import StoreUnusable
from neuron_assets.language_models.asked_for import AskedFor, Cut, Notes, asked_for
from neuron_assets.language_models.asker import Asker
from neuron_assets.language_models.asking import ask_all
from neuron_assets.language_models.database import Database
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.language_models.scripted import Scripted
from neuron_assets.method.questions import Question
from neuron_assets.method.records import NeuronId
from tests.language_models.asked_numbers import echo, question, questions

CUT = Cut("0123456789abcdef", "fedcba9876543210")


def ask(database: Database, asked: Sequence[Question[int]], study: str = "tiny", cut: Cut = CUT) -> None:
    notes = Notes(database, study, "explanations", cut)
    list(ask_all(asked, Asker(Scripted(echo), "scripted", RequestStore(database), used=notes.note)))
    notes.write()


def test_a_neurons_prompts_and_replies_are_found(database: Database) -> None:
    ask(database, questions(3))
    [note] = asked_for(database, "tiny", NeuronId(0, 2))
    request = RequestStore(database).request(note.key)

    assert note == AskedFor("explanations", "", note.key, CUT)
    assert request is not None
    assert (request.about, request.reply.text) == ("L0N2", "2")
    assert request.prompt["messages"] == [{"role": "user", "content": "2"}]
    assert asked_for(database, "tiny", NeuronId(1, 2)) == asked_for(database, "tiny", NeuronId(0, 3)) == ()


def test_a_request_that_two_studies_ask_is_of_both_and_noted_once_of_each(database: Database) -> None:
    for study in ("tiny", "other", "tiny"):
        ask(database, questions(1), study)

    assert len(RequestStore(database)) == 1
    assert len(asked_for(database, "tiny", NeuronId(0, 0))) == len(asked_for(database, "other", NeuronId(0, 0))) == 1


def test_each_cut_of_the_corpus_has_a_note_of_its_own(database: Database) -> None:
    later = replace(CUT, excerpts="another")
    ask(database, questions(1))
    ask(database, questions(1), cut=later)

    assert {note.cut for note in asked_for(database, "tiny", NeuronId(0, 0))} == {CUT, later}


def test_what_is_said_behind_the_neuron_tells_questions_apart(database: Database) -> None:
    ask(database, [replace(question(4), about="L0N7 candidate 1 excerpt 12"), replace(question(5), about="a sample")])

    assert [note.about for note in asked_for(database, "tiny", NeuronId(0, 7))] == ["candidate 1 excerpt 12"]


def test_many_notes_are_written_before_the_end(database: Database) -> None:
    notes = Notes(database, "tiny", "explanations", CUT)
    list(ask_all(questions(501), Asker(Scripted(echo), "scripted", RequestStore(database), used=notes.note)))

    assert len(asked_for(database, "tiny", NeuronId(0, 0))) == 1


def test_what_is_forgotten_has_no_note_any_more(database: Database) -> None:
    ask(database, questions(2))
    RequestStore(database).prune(before=datetime.now(UTC) + timedelta(seconds=60))

    assert asked_for(database, "tiny", NeuronId(0, 0)) == ()


def test_a_store_without_notes_says_nothing(database: Database) -> None:
    ask(database, questions(1))
    with database.transaction() as connection:
        connection.execute(text("DROP TABLE asked_for"))

    assert asked_for(database, "tiny", NeuronId(0, 0)) == ()


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def test_a_store_that_is_read_is_not_changed(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    path = tmp_path / "100 % mine?" / "requests.sqlite"
    url = str(path) if kind == "sqlite" else request.getfixturevalue("postgres").url
    database = Database.open(url)
    for _ in range(2):
        ask(database, questions(1))
    database.close()
    with RequestStore.open_to_read(url) as store:
        assert len(asked_for(store.database, "tiny", NeuronId(0, 0))) == len(store) == 1
        with pytest.raises(StoreUnusable, match=r"read-?only"):
            store.prune(before=datetime.now(UTC))


@pytest.mark.parametrize("harm", [shutil.rmtree, lambda folder: (folder / "requests.sqlite").write_text("none" * 5000)])
def test_a_store_that_cannot_be_read_says_so_and_is_not_made(harm: Callable[[Path], object], tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    RequestStore.open(str(folder / "requests.sqlite")).close()
    harm(folder)
    existed = folder.exists()
    with pytest.raises(StoreUnusable), RequestStore.open_to_read(str(folder / "requests.sqlite")) as store:
        len(store)

    assert folder.exists() == existed
