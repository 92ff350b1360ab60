"""From what a study names to what a run works with: documents and the subject model.

Put here: the registries that turn a provider's name into the thing itself. Keep out: how each of them works.
Everything heavy is imported when it is opened, so that the graph of assets loads without torch.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from neuron_assets.assets.units import with_units
from neuron_assets.corpora.documents import distinct_documents
from neuron_assets.corpora.standard_library import standard_library_documents
from neuron_assets.corpora.text_files import text_file_documents
from neuron_assets.method.records import Document
from neuron_assets.study import Study
from neuron_assets.subject_sections import HuggingFaceSubject, ShippedSubject

if TYPE_CHECKING:
    from neuron_assets.subjects.hugging_face import Source
    from neuron_assets.subjects.pieces import Pieces
    from neuron_assets.subjects.subject import Subject


def open_documents(study: Study) -> list[Document]:
    """Each text once; raises NoDocuments."""
    if study.corpus.provider == "standard_library":
        return distinct_documents(standard_library_documents())
    return distinct_documents(text_file_documents(study.folder / str(study.corpus.folder), study.corpus.pattern))


def open_pieces(study: Study) -> "Pieces":
    """How the subject model reads, without its weights; raises UnusableSubject."""
    from neuron_assets.subjects.bundled.opening import open_pieces as open_bundled_pieces
    from neuron_assets.subjects.hugging_face import open_hugging_face_pieces

    if isinstance(study.subject, HuggingFaceSubject):
        return open_hugging_face_pieces(_source(study.subject, study.folder))
    return open_bundled_pieces()


def open_subject(study: Study, device: str = "auto") -> "Subject":
    """The subject model with the units that the study explains, its sizes checked; raises SubjectError.

    What is shipped is small, and runs on the CPU.
    """
    from neuron_assets.subjects.subject import check_sizes

    subject = (
        _open_hugging_face(study.subject, study.folder, device)
        if isinstance(study.subject, HuggingFaceSubject)
        else _open_shipped(study.subject)
    )
    check_sizes(subject, n_layers=study.subject.n_layers, n_neurons=study.subject.n_neurons)
    return with_units(study, subject)


def _open_shipped(section: ShippedSubject) -> "Subject":
    from neuron_assets.subjects.bundled.opening import open_bundled, open_planted, open_untrained_twin

    openers: Mapping[str, Callable[[], Subject]] = {
        "bundled": open_bundled,
        "bundled_untrained": lambda: open_untrained_twin(section.seed),
        "planted": open_planted,
    }
    return openers[section.provider]()


def _open_hugging_face(section: HuggingFaceSubject, folder: Path, device: str) -> "Subject":
    from neuron_assets.subjects.hugging_face import open_hugging_face

    source = _source(section, folder)
    return open_hugging_face(source, dtype=section.dtype, device=device, beginning=section.beginning_of_text)


def _source(section: HuggingFaceSubject, folder: Path) -> "Source":
    from neuron_assets.subjects.hugging_face import Source

    path = str(folder / section.model) if section.is_folder else section.model
    return Source(section.label, path, section.revision)
