"""What the request store does when processes die, disks are full, URLs are wrong and keys lie about."""

import os
import signal
import sqlite3
import subprocess
import sys
import uuid
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from neuron_assets.errors import StoreUnusable
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.method.questions import Reply
from tests.language_models.kept_answers import KEY, REPLIED, keep


def test_no_key_from_the_environment_gets_into_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = f"sk-{uuid.uuid4().hex}"
    monkeypatch.setenv("OPENAI_API_KEY", planted)
    with RequestStore.open(str(tmp_path / "requests.sqlite")) as store:
        keep(store)
        store.observe("tiny", "tiny-2")
        store.export(tmp_path / "answers.jsonl")
        files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        with sqlite3.connect(tmp_path / "requests.sqlite") as raw:
            bodies = [zlib.decompress(body) for (body,) in raw.execute("SELECT body FROM answers")]

    assert {"requests.sqlite", "requests.sqlite-wal", "answers.jsonl"} <= set(files)
    assert b"words for colours" in bodies[0]
    assert not any(planted.encode() in content for content in [*files.values(), *bodies])


WRITER = """
import sys
from neuron_assets.language_models.model import Replied, Usage
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.method.questions import EchoPrompt, Reply

store = RequestStore.open(sys.argv[1])
for number in range(int(sys.argv[2])):
    replied = Replied(Reply(f"answer {number}"), Usage(1, 1), "tiny-2")
    store.put(f"{number:064x}", EchoPrompt("x", "y/1"), replied, seconds=0.0, parameters={}, about=sys.argv[3])
    print(number, flush=True)
"""


def test_a_killed_process_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    writing = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), "1000000", "L0N0"], stdout=subprocess.PIPE, text=True
    )
    assert writing.stdout is not None
    for line in writing.stdout:
        if int(line) >= 200:
            break
    writing.send_signal(signal.SIGKILL)
    told = [int(line) for line in writing.stdout.read().splitlines() if line.strip()]
    writing.wait()
    n_told = max([200, *told]) + 1

    with RequestStore.open(str(path)) as store:
        found = [store.get(f"{number:064x}") for number in range(n_told)]

        assert all(kept is not None and kept.replied.reply.text == f"answer {i}" for i, kept in enumerate(found))
        assert n_told <= len(store) <= n_told + 1


@pytest.mark.slow
def test_processes_that_open_a_new_store_at_once_and_write_the_same_answers_all_end_well(tmp_path: Path) -> None:
    path = tmp_path / "new" / "requests.sqlite"
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), "60", f"process {i}"], stdout=subprocess.DEVNULL)
        for i in range(4)
    ]

    assert [process.wait() for process in running] == [0, 0, 0, 0]
    with RequestStore.open(str(path)) as store:
        assert len(store) == 60


def test_a_full_disk_is_an_unusable_store_and_what_was_kept_stays(tmp_path: Path) -> None:
    with RequestStore.open(str(tmp_path / "requests.sqlite")) as store:
        keep(store)
        with store.database.transaction() as connection:
            connection.execute(text("PRAGMA max_page_count = 1"))  # SQLite takes it as the size that the file has now

        with pytest.raises(StoreUnusable, match="disk is full"):
            keep(store, "cd" * 32, replace(REPLIED, reply=Reply(os.urandom(50_000).hex())))

        assert store.get(KEY) is not None


def test_a_file_that_is_no_database_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes, " * 100, encoding="utf-8")

    with pytest.raises(StoreUnusable, match=r"notes\.txt cannot be used: file is not a database"):
        RequestStore.open(str(path))

    assert path.read_text(encoding="utf-8") == "my notes, " * 100


def test_a_folder_that_cannot_be_made_is_an_unusable_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(StoreUnusable, match=r"file/requests\.sqlite cannot be used"):
        RequestStore.open(str(tmp_path / "file" / "requests.sqlite"))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:hunter2@127.0.0.1:1/answers",
        "postgresql://me:hunter2@127.0.0.1:1/answers",
        "postgresql+psycopg://me@127.0.0.1:1/answers?password=hunter2",
        "postgresql+psycopg://me:hunter2@127.0.0.1:port/answers",
        "mysql://me:hunter2@127.0.0.1/answers",
        "no such thing://me:hunter2@127.0.0.1/answers",
        "sqlite://",
    ],
)
def test_a_database_that_cannot_be_opened_is_named_without_its_password(url: str) -> None:
    with pytest.raises(StoreUnusable) as raised:
        RequestStore.open(url)

    shown: BaseException | None = raised.value
    while shown is not None:
        assert "hunter2" not in str(shown)
        shown = shown.__cause__


def test_a_missing_driver_names_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(StoreUnusable, match=r"pip install 'neuron-assets\[postgres\]'"):
        RequestStore.open("postgresql+psycopg://me@127.0.0.1:1/answers")
