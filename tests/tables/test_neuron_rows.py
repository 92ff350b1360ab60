"""One neuron's rows are read without the others, from a disk and from elsewhere, while the file is being replaced."""

import threading
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from upath import UPath

from neuron_assets.errors import MissingTable, UnreadableTable
from neuron_assets.tables.neuron_rows import excerpt_rows, rows_of
from neuron_assets.tables.parquet import TableFacts, read_table, write_table
from neuron_assets.tables.rows import frame

FACTS = TableFacts("activations", "abc")
N_NEURONS, N_ROWS, N_TOKENS = 200, 10, 64


def activations(shift: float = 0.0, order: str = "sorted") -> pl.DataFrame:
    """`N_ROWS` excerpts of each neuron; their activations are the neuron's number and the shift."""
    neurons = [neuron for neuron in range(N_NEURONS) for _ in range(N_ROWS)]
    if order == "scattered":
        neurons = list(range(N_NEURONS)) * N_ROWS
    columns: dict[str, Any] = {
        "layer_index": 0,
        "neuron_index": neurons,
        "split": "train",
        "kind": "top",
        "rank": 0,
        "excerpt_index": list(range(len(neurons))),
        "peak": [neuron + shift for neuron in neurons],
        "activations": [[neuron + shift] * N_TOKENS for neuron in neurons],
    }
    return frame("activations", columns)


def excerpts(n: int = 1000) -> pl.DataFrame:
    columns: dict[str, Any] = {
        "excerpt_index": list(range(n)),
        "document_index": 0,
        "document": "a book",
        "split": "train",
        "text": [f"text {number}" for number in range(n)],
        "token_ids": [[number] for number in range(n)],
        "tokens": [[f"text {number}", "", "\u2028"] for number in range(n)],
    }
    return frame("excerpts", columns)


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> UPath:
    return UPath(tmp_path) if request.param == "disk" else UPath(f"memory://{tmp_path.name}")


@pytest.mark.parametrize("order", ["sorted", "scattered"])
def test_a_neurons_rows_are_those_that_a_scan_finds(folder: UPath, order: str) -> None:
    path = folder / "L00.parquet"
    write_table(path, activations(order=order), FACTS)
    scanned = read_table(path, "activations", pl.col("neuron_index") == 123)

    assert scanned.equals(rows_of(path, "activations", "neuron_index", [123]))
    assert scanned.schema == rows_of(path, "activations", "neuron_index", [123]).schema
    assert rows_of(path, "activations", "neuron_index", [123], ["peak"])["peak"].to_list() == [123.0] * N_ROWS


def test_a_neuron_that_is_not_there_has_no_rows(folder: UPath) -> None:
    path = folder / "L00.parquet"
    write_table(path, activations(), FACTS)

    assert rows_of(path, "activations", "neuron_index", [N_NEURONS]).equals(activations().clear())


def test_excerpts_are_found_by_their_numbers(folder: UPath) -> None:
    path = folder / "excerpts.parquet"
    write_table(path, excerpts(), TableFacts("excerpts", "abc"))
    found = excerpt_rows(path, [999, 3, 3, 5000], ["tokens", "document"])

    assert found.rows() == [(["text 3", "", "\u2028"], "a book"), (["text 999", "", "\u2028"], "a book")]
    assert rows_of(path, "excerpts", "text", ["text 5"])["excerpt_index"].to_list() == [5]


def test_of_a_large_table_few_row_groups_can_hold_one_neuron(tmp_path: Path) -> None:
    path = UPath(tmp_path / "L00.parquet")
    many = pl.concat([activations().with_columns(pl.col("neuron_index") + N_NEURONS * part) for part in range(5)])
    write_table(path, many, FACTS)
    footer = pq.read_metadata(path)
    groups = [footer.row_group(group) for group in range(footer.num_row_groups)]
    holding = [each for each in groups if each.column(1).statistics.min <= 500 <= each.column(1).statistics.max]

    assert len(groups) >= 3
    assert len(holding) <= 2
    assert sum(each.total_byte_size for each in holding) < 2 << 20


def test_row_groups_lie_alike_however_memory_holds_the_rows(tmp_path: Path) -> None:
    paths = [UPath(tmp_path / name) for name in ("a.parquet", "b.parquet")]
    rows = activations()
    parts = [rows[:7], rows[7:1500], rows[1500:]]
    written = [write_table(path, each, FACTS) for path, each in zip(paths, (rows, pl.concat(parts)), strict=True)]

    assert written[0] == written[1]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_footer_is_read_once_and_again_when_the_file_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read, real = UPath(tmp_path / "L00.parquet"), [], pq.read_metadata

    def counting(file: Any) -> pq.FileMetaData:
        read.append(file)
        return real(file)

    monkeypatch.setattr(pq, "read_metadata", counting)
    write_table(path, activations(), FACTS)
    for neuron_index in range(3):
        rows_of(path, "activations", "neuron_index", [neuron_index])
    n_before = len(read)
    write_table(path, activations(shift=0.5), FACTS)

    assert n_before == 1
    assert rows_of(path, "activations", "neuron_index", [7])["peak"][0] == 7.5
    assert len(read) == 2


def test_a_table_that_is_being_replaced_gives_the_old_or_the_new(tmp_path: Path) -> None:
    path = UPath(tmp_path / "L00.parquet")
    write_table(path, activations(), FACTS)

    def replace() -> None:
        for turn in range(20):
            write_table(path, activations(shift=0.5 * (turn % 2)), FACTS)

    writer = threading.Thread(target=replace)
    writer.start()
    seen: set[float] = set()
    while writer.is_alive():
        rows = rows_of(path, "activations", "neuron_index", [9])
        assert rows.height == N_ROWS
        seen.update(rows["peak"].unique())
        assert len(rows["peak"].unique()) == 1
    writer.join()

    assert seen <= {9.0, 9.5}


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "foreign", "page"])
def test_what_cannot_be_read_is_named(folder: UPath, damage: str) -> None:
    path = folder / "L00.parquet"
    write_table(path, activations(), FACTS)
    content = path.read_bytes()
    broken = content[:4] + b"\xff" * 20000 + content[20004:]
    if damage == "foreign":
        with path.open("wb") as file:
            pl.DataFrame({"neuron_index": [1]}).write_parquet(file)
    else:
        path.write_bytes({"truncated": content[:5000], "empty": b"", "text": b"no parquet", "page": broken}[damage])

    with pytest.raises(UnreadableTable, match=r"L00\.parquet"):
        rows_of(path, "activations", "neuron_index", [0])


def test_another_tables_file_and_one_that_is_not_there_are_refused(folder: UPath) -> None:
    path = folder / "L00.parquet"
    write_table(path, activations(), FACTS)

    with pytest.raises(UnreadableTable, match="it holds the table activations, not scores"):
        rows_of(path, "scores", "neuron_index", [0])
    with pytest.raises(MissingTable):
        rows_of(folder / "L01.parquet", "activations", "neuron_index", [0])
