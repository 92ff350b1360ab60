"""What people add is kept as it was written, whatever happens beside it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from upath import UPath

from neuron_assets.errors import LabelNotWritten
from neuron_assets.method.labels import HandSimulation, Label, PersonsExplanation, PersonsRating, ReadExcerpt
from neuron_assets.method.records import NeuronId
from neuron_assets.tables.label_store import LabelStore
from neuron_assets.tables.leftovers import broken_off, folders_of_tables
from neuron_assets.tables.parquet import TableFacts, write_table
from neuron_assets.tables.schemas import empty
from neuron_assets.tables.store import TableStore

NEURON = NeuronId(3, 307)
THEN = datetime(2026, 5, 1, 12, tzinfo=UTC)


def explained(text: str = "names of rivers", minutes: int = 0, neuron: NeuronId = NEURON) -> PersonsExplanation:
    return PersonsExplanation(person="Åsa", neuron=neuron, written_at=THEN + timedelta(minutes=minutes), text=text)


RATED = PersonsRating(person="Åsa", neuron=NEURON, written_at=THEN, text="rivers", rating="partly")
SIMULATED = HandSimulation(
    person="李 明",
    neuron=NEURON,
    written_at=THEN,
    text="rivers",
    excerpt=ReadExcerpt(excerpts="0123", excerpt_index=7, document="a.txt", tokens=("The", " Rhône", "\x00<b>")),
    values=(0, 10, 3),
)


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return LabelStore(TableStore.at(str(tmp_path)), "mine")


def files(tmp_path: Path) -> list[Path]:
    return sorted(path for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("label", [explained(), RATED, SIMULATED])
def test_what_was_added_is_read_again(store: LabelStore, label: Label) -> None:
    store.add(label)

    assert store.of_neuron(NEURON).labels == (label,)


def test_labels_come_in_the_order_of_time(store: LabelStore) -> None:
    for minutes in (3, 1, 2):
        store.add(explained(f"text {minutes}", minutes))

    assert [label.text for label in store.of_neuron(NEURON).labels] == ["text 1", "text 2", "text 3"]


def test_a_label_is_never_overwritten(store: LabelStore, tmp_path: Path) -> None:
    store.add(explained("one"))
    (first,) = files(tmp_path)
    before = first.stat()
    store.add(explained("one"))
    store.add(explained("another"))
    after = first.stat()

    assert len(files(tmp_path)) == 2
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_the_layers_explanations_are_those_of_all_its_neurons_and_no_other(store: LabelStore) -> None:
    for neuron in (NeuronId(3, 1), NeuronId(3, 20), NeuronId(33, 1), NeuronId(0, 3)):
        store.add(explained(f"of {neuron}", neuron=neuron))
    store.add(RATED)

    assert {label.text for label in store.explanations(3).labels} == {"of L3N1", "of L3N20"}


def test_only_a_new_explanation_makes_a_new_version_of_the_layer(store: LabelStore) -> None:
    assert store.version(3) is None
    store.add(RATED)
    store.add(SIMULATED)
    assert store.version(3) is None
    store.add(explained())
    first = store.version(3)
    store.add(SIMULATED)
    assert first == store.version(3)
    store.add(explained("another"))

    assert store.version(3) not in {None, first}


def test_a_damaged_file_is_named_and_takes_no_other_away(store: LabelStore, tmp_path: Path) -> None:
    store.add(explained("whole"))
    for text in ("cut off", "not JSON", "of another neuron"):
        store.add(explained(text, minutes=1))
    by_text = {path: path.read_text() for path in files(tmp_path)}
    cut, other = (next(path for path, text in by_text.items() if part in text) for part in ("cut off", "of another"))
    cut.write_bytes(cut.read_bytes()[:20])
    elsewhere = other.parent.parent / "N5" / other.name
    elsewhere.parent.mkdir()
    other.rename(elsewhere)
    kept, of_other = store.of_neuron(NEURON), store.of_neuron(NeuronId(3, 5))

    assert {label.text for label in kept.labels} == {"whole", "not JSON"}
    assert [each.name for each in kept.damaged] == [f"mine/labels/entries/L3/N307/{cut.name}"]
    assert "cut off, or changed by hand" in str(kept.damaged[0])
    assert of_other.labels == ()
    assert "it lies elsewhere than labels of L3N307 do" in str(of_other.damaged[0])


def test_what_else_lies_in_the_folder_is_left_alone(store: LabelStore, tmp_path: Path) -> None:
    store.add(explained())
    (folder,) = {path.parent for path in files(tmp_path)}
    (folder / ".explanation.0123abcd.partial").write_bytes(b"{")
    (folder / "notes.json").write_bytes(b"{")

    assert len(store.of_neuron(NEURON).labels) == 1
    assert store.of_neuron(NEURON).damaged == ()


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("in the way")
    with pytest.raises(LabelNotWritten, match="send it again"):
        LabelStore(TableStore.at(str(tmp_path)), "mine").add(explained())


def test_labels_are_kept_wherever_fsspec_reaches() -> None:
    store = LabelStore(TableStore(UPath("memory://labels-of-people")), "mine")
    name = store.add(explained())

    assert name.startswith("mine/labels/entries/L3/N307/explanation-")
    assert store.of_neuron(NEURON).labels == store.explanations(3).labels == (explained(),)
    assert store.explanations(4).labels == ()


def test_people_who_write_at_once_lose_nothing(store: LabelStore) -> None:
    labels = [explained(f"text {number}", minutes=number) for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(store.add, [*labels, *labels]))

    assert len(set(names)) == 20
    assert store.of_neuron(NEURON).labels == tuple(labels)


def test_a_label_is_no_table_and_outlives_its_study(store: LabelStore, tmp_path: Path) -> None:
    name = store.add(explained())
    write_table(UPath(tmp_path / "mine" / "labels" / "L03.parquet"), empty("labels"), TableFacts("labels", "0"))
    begun = (tmp_path / name).with_name(f".{Path(name).name}.0123abcd.partial")
    begun.write_bytes(b"{")
    (folder,) = folders_of_tables(UPath(tmp_path), lambda _name: True)
    left = list(broken_off(UPath(tmp_path), datetime.now(UTC) + timedelta(days=1)))

    assert [file.path.name for file in folder.tables] == ["L03.parquet"]
    assert [path.name for path in folder.foreign] == [Path(name).name]
    assert [file.path.name for file in left] == [begun.name]
