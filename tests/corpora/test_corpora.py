"""The bundled corpus, and what holds for documents of any: each text once, and a digest of them all."""

from collections.abc import Iterable
from pathlib import Path

from neuron_assets.corpora.documents import Row
from neuron_assets.corpora.reading import Reading
from neuron_assets.corpora.standard_library import SHORTEST, is_held_out, standard_library_documents
from neuron_assets.method.records import Document


def test_the_standard_library_gives_hundreds_of_documents_sources_and_topics() -> None:
    documents = list(standard_library_documents())
    names = [document.name for document in documents]

    assert len(documents) > 300
    assert len(names) == len(set(names))
    assert {"json/decoder.py", "topics/assert"} <= set(names)
    assert not any("/test/" in name or name.startswith("encodings/") for name in names)
    assert min(len(document.text) for document in documents) >= SHORTEST


def test_about_an_eighth_of_the_documents_was_held_out_of_training() -> None:
    documents = list(standard_library_documents())

    assert 0.08 < sum(map(is_held_out, documents)) / len(documents) < 0.16


def test_a_source_in_another_encoding_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "latin.py").write_bytes("# caf\xe9".encode("latin-1") * 100)
    (tmp_path / "good.py").write_text("x = 1\n" * 100, encoding="utf-8")

    assert [document.name for document in standard_library_documents(tmp_path)] == ["good.py"]


def test_documents_of_the_same_text_count_once_and_the_first_stays() -> None:
    documents = [Document("topics/else", "same"), Document("topics/if", "same"), Document("topics/for", "other")]

    assert [document.name for document in Reading("s", documents)] == ["topics/else", "topics/for"]


def test_the_version_tells_every_change_of_a_name_a_text_or_the_order() -> None:
    first, second = Document("a", "bc"), Document("d", "\ud800")
    corpora: list[list[Row]] = [
        [first, second],
        [second, first],
        [first],
        [Document("ab", "c"), second],
        [Document("a", "bc "), second],
    ]

    assert len({_version(corpus) for corpus in corpora}) == len(corpora)
    assert _version([first, second]) == _version(iter([first, second]))


def _version(rows: Iterable[Row]) -> str:
    return Reading("s", rows).to_the_end().version
