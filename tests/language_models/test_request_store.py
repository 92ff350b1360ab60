"""The request store: an answer that was given stays as it was given."""

import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from neuron_assets.errors import FailedWrite, StoreUnusable, UnreadableExport
from neuron_assets.language_models.model import Replied
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.method.questions import Prompt, Reply
from tests.language_models.kept_answers import CHAT, ECHO, ECHOED, KEY, PARAMETERS, REPLIED, keep


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RequestStore]:
    is_sqlite = request.param == "sqlite"
    url = str(tmp_path / "kept" / "requests.sqlite") if is_sqlite else request.getfixturevalue("postgres").url
    with RequestStore.open(url) as opened:
        with opened.database.transaction() as connection:
            connection.execute(text("DELETE FROM answers"))
            connection.execute(text("DELETE FROM observed"))
        yield opened


@pytest.mark.parametrize(("prompt", "replied"), [(CHAT, REPLIED), (ECHO, ECHOED)])
def test_an_answer_comes_back_as_it_was_given(store: RequestStore, prompt: Prompt, replied: Replied) -> None:
    keep(store, replied=replied, prompt=prompt)

    kept = store.get(KEY)

    assert kept is not None
    assert kept.replied == replied
    assert kept.seconds == 1.5
    assert timedelta(seconds=1.5) <= datetime.now(UTC) - kept.asked_at < timedelta(seconds=60)


def test_what_was_never_asked_is_none(store: RequestStore) -> None:
    keep(store)

    assert store.get("cd" * 32) is None


def test_the_first_answer_stays(store: RequestStore) -> None:
    keep(store)
    keep(store, replied=replace(REPLIED, reply=Reply("something else")))

    kept = store.get(KEY)

    assert len(store) == 1
    assert kept is not None
    assert kept.replied == REPLIED


def test_the_identity_last_observed_is_remembered_for_each_name(store: RequestStore) -> None:
    assert store.observed("tiny") is None

    store.observe("tiny", "tiny-1")
    store.observe("large", "large-9")
    store.observe("tiny", "tiny-2")

    assert (store.observed("tiny"), store.observed("large")) == ("tiny-2", "large-9")


def test_answers_outlive_the_store_that_kept_them(tmp_path: Path) -> None:
    with RequestStore.open(str(tmp_path / "requests.sqlite")) as store:
        keep(store)

    with RequestStore.open(f"sqlite:///{tmp_path}/requests.sqlite") as store:
        assert len(store) == 1


def test_pruning_by_identity_and_age_takes_only_what_meets_both(store: RequestStore) -> None:
    keep(store, "a" * 64)
    keep(store, "b" * 64, replace(REPLIED, identity="tiny-1"))
    now = datetime.now(UTC)

    assert store.prune(before=now - timedelta(hours=1)) == 0
    assert store.prune(before=now - timedelta(hours=1), identity="tiny-1") == 0
    assert store.prune(before=now + timedelta(hours=1), identity="tiny-1") == 1
    assert store.get("b" * 64) is None
    assert store.prune(before=now + timedelta(hours=1)) == 1
    assert len(store) == 0


def test_pruning_everything_by_mistake_is_refused(store: RequestStore) -> None:
    with pytest.raises(ValueError, match="Say what to prune"):
        store.prune()
    with pytest.raises(ValueError, match="time zone"):
        store.prune(before=datetime(2026, 1, 1))  # noqa: DTZ001  # that is what is wrong with it


def test_pruning_gives_the_space_back(tmp_path: Path) -> None:
    with RequestStore.open(str(tmp_path / "requests.sqlite")) as store:
        empty = store.size_bytes()
        for number in range(50):
            keep(store, f"{number:064x}", replace(REPLIED, reply=Reply(os.urandom(4096).hex())))
        full = store.size_bytes()
        store.prune(identity=REPLIED.identity)

        assert full > empty + 50 * 4096
        assert store.size_bytes() <= 2 * empty


def test_exported_answers_are_the_same_in_another_store(store: RequestStore, tmp_path: Path) -> None:
    keep(store)
    keep(store, "cd" * 32, ECHOED, ECHO)

    assert store.export(tmp_path / "shared" / "answers.jsonl") == 2
    with RequestStore.open(str(tmp_path / "other.sqlite")) as other:
        keep(other)
        mine = other.get(KEY)

        assert other.import_(tmp_path / "shared" / "answers.jsonl") == 1
        assert other.get("cd" * 32) == store.get("cd" * 32)
        assert other.get(KEY) == mine
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["answers.jsonl"]


def test_an_exported_line_says_what_was_asked_of_whom_and_what_came_of_it(store: RequestStore, tmp_path: Path) -> None:
    keep(store)
    store.export(tmp_path / "answers.jsonl")

    (line,) = (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    told = json.loads(line)

    assert told.pop("asked_at").endswith("+00:00")
    assert told == {
        "key": KEY,
        "identity": "tiny-2@127.0.0.1",
        "seconds": 1.5,
        "about": "L3N307",
        "parameters": PARAMETERS,
        "prompt": {
            "kind": "chat",
            "messages": [
                {"role": "system", "content": "Say what the neuron likes."},
                {"role": "user", "content": "rouge\t10\n\ud800 é"},
            ],
            "layout": "pairs/1",
            "longest_reply": 60,
            "schema": {"properties": {"b": {"type": "string"}, "a": {"type": "string"}}},
        },
        "reply": {
            "text": "words for colours",
            "reasoning": "Red, blue ...",
            "finish_reason": "stop",
            "refusal": None,
            "echoed": [],
        },
        "usage": {"tokens_in": 90, "tokens_out": 5, "tokens_cached": 40, "is_estimated": False},
    }


def test_an_answer_of_before_estimates_were_told_apart_is_a_count(store: RequestStore, tmp_path: Path) -> None:
    keep(store)
    store.export(tmp_path / "answers.jsonl")
    older = (tmp_path / "answers.jsonl").read_text(encoding="utf-8").replace(',"is_estimated":false', "")
    (tmp_path / "older.jsonl").write_text(older.replace(KEY, "cd" * 32), encoding="utf-8")

    assert store.import_(tmp_path / "older.jsonl") == 1

    kept = store.get("cd" * 32)

    assert kept is not None
    assert kept.replied == REPLIED


def test_who_was_observed_is_exported_too_and_replaces_nobody(store: RequestStore, tmp_path: Path) -> None:
    store.observe("tiny@there", "tiny-2@there")
    store.observe("big@there", "big-1@there")
    store.export(tmp_path / "answers.jsonl")
    with RequestStore.open(str(tmp_path / "other.sqlite")) as other:
        other.observe("big@there", "big-2@there")

        assert other.import_(tmp_path / "answers.jsonl") == 0
        assert (other.observed("tiny@there"), other.observed("big@there")) == ("tiny-2@there", "big-2@there")


def test_an_export_that_fails_leaves_nothing_behind(store: RequestStore, tmp_path: Path) -> None:
    keep(store)
    (tmp_path / "answers.jsonl").mkdir()

    with pytest.raises(FailedWrite):
        store.export(tmp_path / "answers.jsonl")

    assert not list(tmp_path.glob(".answers*"))


@pytest.mark.parametrize(
    "mend",
    [
        lambda line: "{not json",
        lambda line: "[]",
        lambda line: line.replace(KEY, "a key of ours"),
        lambda line: line.replace("+00:00", ""),
        lambda line: line.replace('"tokens_in":90', '"tokens_in":"many"'),
        lambda line: line.replace('"text":"words for colours",', ""),
    ],
)
def test_a_file_with_a_line_that_is_no_answer_changes_nothing(store: RequestStore, tmp_path: Path, mend: Any) -> None:
    keep(store)
    path = tmp_path / "answers.jsonl"
    store.export(path)
    good = path.read_text(encoding="utf-8")
    path.write_text(good.replace(KEY, "cd" * 32) + mend(good.strip()) + "\n", encoding="utf-8")

    with pytest.raises(UnreadableExport, match="line 2 is not an answered request"):
        store.import_(path)

    assert len(store) == 1


def test_a_stored_answer_that_cannot_be_read_is_an_error_that_names_it(store: RequestStore) -> None:
    keep(store)
    for damaged in (b"no zlib", zlib.compress(b"[1, 2]"), zlib.compress(b'{"reply": {}}')):
        with store.database.transaction() as connection:
            connection.execute(text("UPDATE answers SET body = :body"), {"body": damaged})

        with pytest.raises(StoreUnusable, match=KEY):
            store.get(KEY)


def test_a_parameter_that_is_named_like_a_secret_is_not_kept(store: RequestStore) -> None:
    for parameters in ({"api_key": "sk-1"}, {"extra_headers": {"Authorization": "Bearer sk-1"}}):
        with pytest.raises(StoreUnusable, match="seems to be a secret") as raised:
            store.put(KEY, CHAT, REPLIED, seconds=1.0, parameters=parameters, about="L0N0")
        assert "sk-1" not in str(raised.value)
    assert len(store) == 0
