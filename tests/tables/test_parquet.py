"""A table's file is whole or not there, says what it was made from, and is refused when it is not what it should be."""

import errno
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from upath import UPath

from neuron_assets.errors import ChangedInput, FailedWrite, ForeignLineage, InvalidTable, MissingTable, UnreadableTable
from neuron_assets.tables.parquet import TableFacts, content_hash, read_facts, read_table, write_table
from neuron_assets.tables.rows import frame
from neuron_assets.tables.store import TableStore
from neuron_assets.tables.validation import checked, problems

FACTS = TableFacts("explanations", "abc", {"tiny/activations/L00.parquet": "0123"}, {"study": "tiny"})


def table(**changes: Any) -> pl.DataFrame:
    columns: dict[str, Any] = {
        "layer_index": 0,
        "neuron_index": [0, 1, 2],
        "sample": 0,
        "explainer": "rules/1",
        "explanation": ["a", None, "c"],
        "failure": [None, "no reply", None],
    }
    return frame("explanations", columns | changes)


def test_what_was_written_is_read_with_its_facts(tmp_path: Path) -> None:
    path = UPath(tmp_path / "deep" / "L00.parquet")
    written = write_table(path, table(), FACTS)

    assert table().equals(read_table(path, "explanations"))
    assert written == read_facts(path)
    assert content_hash(table()) == written.content
    assert [file.name for file in path.parent.iterdir()] == ["L00.parquet"]


def test_a_part_of_a_table_can_be_read(tmp_path: Path) -> None:
    path = UPath(tmp_path / "L00.parquet")
    write_table(path, table(), FACTS)

    assert read_table(path, "explanations", pl.col("neuron_index") == 1)["neuron_index"].to_list() == [1]


def test_equal_tables_give_equal_bytes_and_hashes(tmp_path: Path) -> None:
    paths = [UPath(tmp_path / name) for name in ("a.parquet", "b.parquet")]
    hashes = [write_table(path, table(), FACTS).content for path in paths]

    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert hashes[0] == hashes[1]
    lists = [pl.DataFrame({"a": pl.Series([[0.5], [float(i), 2.0]], dtype=pl.List(pl.Float32))}) for i in range(9)]
    for path, rechunk in zip(paths, (True, False), strict=True):
        write_table(path, pl.concat(lists, rechunk=rechunk), FACTS)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert content_hash(table(explanation=["a", None, "d"])) != hashes[0]


def test_the_hash_is_of_the_rows_however_they_were_made(tmp_path: Path) -> None:
    path = UPath(tmp_path / "a.parquet")
    made = write_table(path, table(), FACTS).content
    under_null = table(explanation=["a", "hidden", "c"]).with_columns(
        pl.when(pl.col("failure").is_null()).then("explanation").alias("explanation")
    )

    assert content_hash(read_table(path, "explanations")) == made
    assert content_hash(table()[[2, 0, 1]][[1, 2, 0]]) == made
    assert content_hash(under_null) == made
    assert content_hash(table().with_columns(pl.lit(None, pl.String).alias("explanation"))) != made


@pytest.mark.parametrize("lists", [[[1.0], []], [[], [1.0]], [None, [1.0]], [[1.0, 2.0], []]])
def test_lists_of_other_lengths_have_another_hash(lists: list[list[float] | None]) -> None:
    frames = [pl.DataFrame({"a": pl.Series(each, dtype=pl.List(pl.Float32))}) for each in (lists, [[1.0], None])]

    assert content_hash(frames[0]) != content_hash(frames[1])


def test_tables_can_lie_on_any_file_system_that_fsspec_knows() -> None:
    path = UPath("memory://bucket/tiny/explanations/L00.parquet")
    write_table(path, table(), FACTS)

    assert table().equals(read_table(path, "explanations"))
    assert path.exists()
    assert [file.name for file in path.parent.iterdir()] == ["L00.parquet"]


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "foreign"])
def test_a_damaged_or_foreign_file_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    path = UPath(tmp_path / "L00.parquet")
    write_table(path, table(), FACTS)
    content = path.read_bytes()
    if damage == "foreign":
        pl.DataFrame({"a": [1]}).write_parquet(str(path))
    else:
        path.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "text": b"no parquet"}[damage])

    with pytest.raises(UnreadableTable, match=r"L00\.parquet"):
        read_table(path, "explanations")


def test_a_file_with_a_damaged_page_is_refused(tmp_path: Path) -> None:
    path = UPath(tmp_path / "L00.parquet")
    write_table(path, table(neuron_index=list(range(3))), FACTS)
    content = bytearray(path.read_bytes())
    content[4:120] = b"\xff" * 116
    path.write_bytes(bytes(content))

    with pytest.raises(UnreadableTable, match=r"L00\.parquet"):
        read_table(path, "explanations")


def test_another_tables_file_is_refused(tmp_path: Path) -> None:
    path = UPath(tmp_path / "L00.parquet")
    write_table(path, table(), FACTS)

    with pytest.raises(UnreadableTable, match="it holds the table explanations, not scores"):
        read_table(path, "scores")


def test_a_missing_file_says_what_to_materialize(tmp_path: Path) -> None:
    with pytest.raises(MissingTable, match="Materialize explanations/L00 first"):
        read_table(UPath(tmp_path / "explanations" / "L00.parquet"), "explanations")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(FailedWrite, match="what stood there before is untouched"):
        write_table(UPath(tmp_path / "file" / "L00.parquet"), table(), FACTS)


def test_a_write_that_fails_half_way_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = UPath(tmp_path / "L00.parquet")
    write_table(path, table(), FACTS)
    before = path.read_bytes()

    def full(_frame: pl.DataFrame, file: Any, **_options: Any) -> None:
        file.write(b"half a table")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(FailedWrite, match="No space left on device"):
        write_table(path, table(explanation=["x", None, "y"]), FACTS)

    assert before == path.read_bytes()
    assert [file.name for file in path.parent.iterdir()] == ["L00.parquet"]


BEGINNER = """
import sys, time
import polars as pl
from upath import UPath
from neuron_assets.tables.parquet import TableFacts, write_table

def stop(frame, file, **options):
    file.write(b"half a table")
    file.flush()
    print("begun", flush=True)
    time.sleep(600)

pl.DataFrame.write_parquet = stop
write_table(UPath(sys.argv[1]), pl.DataFrame({"a": [1]}), TableFacts("explanations", "abc"))
"""


def test_what_a_killed_process_had_begun_to_write_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    path = UPath(tmp_path / "L00.parquet")
    begun = subprocess.Popen([sys.executable, "-c", BEGINNER, str(path)], stdout=subprocess.PIPE)
    assert begun.stdout is not None
    begun.stdout.readline()
    write_table(path, table(), FACTS)
    while_it_lives = len(list(tmp_path.iterdir()))
    begun.kill()
    begun.communicate()
    write_table(path, table(), FACTS)

    assert while_it_lives == 2
    assert [file.name for file in tmp_path.iterdir()] == ["L00.parquet"]


def test_a_disk_that_is_really_full_leaves_the_old_file(tmp_path: Path) -> None:
    """In a process whose files may not grow beyond 4 kB: the write fails in the midst of its bytes."""
    script = f"""
        import resource, signal
        import polars as pl
        from upath import UPath
        from neuron_assets.errors import FailedWrite
        from neuron_assets.tables.parquet import TableFacts, write_table
        path, facts = UPath({str(tmp_path / "L00.parquet")!r}), TableFacts("explanations", "abc")
        write_table(path, pl.DataFrame({{"a": [1]}}), facts)
        before = path.read_bytes()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            write_table(path, pl.DataFrame({{"a": [str(hash(str(i))) for i in range(20000)]}}), facts)
        except FailedWrite as error:
            assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1
            print("kept:", error)
    """
    assert hasattr(resource, "RLIMIT_FSIZE")
    assert hasattr(signal, "SIGXFSZ")
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("kept:"), done.stderr


def test_a_table_of_another_lineage_does_not_stand(tmp_path: Path) -> None:
    store = TableStore(UPath(tmp_path))
    path = store.path("tiny", "explanations", "L00")
    write_table(path, table(), FACTS)

    with pytest.raises(ForeignLineage, match="lineage abc, the study now says def"):
        store.current_facts(path, "def")
    assert store.current("tiny", "explanations", "def", "L00") is None
    assert store.current("tiny", "explanations", "abc", "L00") is not None


def test_a_table_whose_input_has_changed_does_not_stand(tmp_path: Path) -> None:
    store = TableStore(UPath(tmp_path))
    path, upstream = store.path("tiny", "explanations", "L00"), store.path("tiny", "activations", "L00")
    written = write_table(upstream, table(), TableFacts("activations", "abc"))
    write_table(path, table(), TableFacts("explanations", "abc", {store.name(upstream): written.content}))
    store.current_facts(path, "abc")
    write_table(upstream, table(explanation=["x", None, "y"]), TableFacts("activations", "abc"))

    with pytest.raises(ChangedInput, match=r"activations.L00"):
        store.current_facts(path, "abc")


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (table().drop("failure"), "failure"),
        (table().with_columns(extra=pl.lit(1)), "extra"),
        (table().with_columns(pl.col("sample").cast(pl.Int64)), "sample: dtype('Int32')"),
        (table(neuron_index=[0, 1, -1]), "neuron_index: greater_than_or_equal_to(0)"),
        (table(neuron_index=[0, 1, 1]), "2 rows share their key"),
        (table(explanation=["a", "b", "c"]), "an explanation or a failure, never both"),
        (table(explanation=["a", None, None]), "an explanation or a failure, never both"),
    ],
)
def test_a_table_that_breaks_its_schema_is_not_handed_on(bad: pl.DataFrame, problem: str) -> None:
    with pytest.raises(InvalidTable) as caught:
        checked("explanations", bad)

    assert problem in str(caught.value)


def test_nan_breaks_every_schema() -> None:
    statistics = frame(
        "neuron_statistics",
        {
            "layer_index": 0,
            "neuron_index": [0],
            "n_tokens": 10,
            "n_sampled_tokens": 10,
            **dict.fromkeys(
                ("mean", "maximum", "quantile_50", "quantile_90", "quantile_99", "quantile_999", "variance"), 0.0
            ),
            **dict.fromkeys(("share_positive", "share_active", "kurtosis"), 0.0),
            "skewness": float("nan"),
            **dict.fromkeys(("pushes_up", "pushes_up_weights", "pushes_down", "pushes_down_weights")),
        },
    )

    assert problems("neuron_statistics", statistics) == ["skewness: 1 values are NaN"]
    assert problems("neuron_statistics", statistics.with_columns(skewness=pl.lit(None, pl.Float64))) == []
