"""From what a study names to what a run works with: documents and the subject model.

Put here: the registries that turn a provider's name into the thing itself. Keep out: how each of them works.
Everything heavy is imported when it is opened, so that the graph of assets loads without torch.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from neuron_assets.assets.units import with_units
from neuron_assets.corpora.documents import Fields, Row
from neuron_assets.corpora.files import CorpusFile, find_files, state_of_files
from neuron_assets.corpora.hub_datasets import dataset_rows
from neuron_assets.corpora.json_lines import json_line_rows
from neuron_assets.corpora.parquet_files import parquet_rows
from neuron_assets.corpora.reading import Bounds, Reading
from neuron_assets.corpora.standard_library import standard_library_documents
from neuron_assets.corpora.text_files import text_file_rows
from neuron_assets.corpus_sections import HubDataset, JsonLines, Parquet, StandardLibrary, TextFile, TextFiles
from neuron_assets.errors import NotReplaceable
from neuron_assets.study import Study
from neuron_assets.subject_sections import HuggingFaceSubject, ShippedSubject
from neuron_assets.unit_sections import NeuronUnits

if TYPE_CHECKING:
    from neuron_assets.subjects.hugging_face import DType, Source
    from neuron_assets.subjects.pieces import Pieces
    from neuron_assets.subjects.speaking import SpeakingSubject
    from neuron_assets.subjects.subject import Subject


def open_documents(study: Study, on_progress: Callable[[Reading], None] = lambda _reading: None) -> Reading:
    """The documents, each text once, not read yet; raises CorpusError where they are not there."""
    section = study.corpus
    return Reading(
        section.source,
        _rows(study),
        Bounds(section.most_documents, section.shortest, section.most_bad_rows),
        pinned=section.revision if isinstance(section, HubDataset) else None,
        on_progress=on_progress,
    )


def documents_version(study: Study) -> str:
    """What changes when the documents do; they are read where nothing else tells. Raises CorpusError."""
    documents = open_documents(study)
    return documents.version if documents.pinned else documents.to_the_end().version


def files_state(study: Study) -> str | None:
    """What changes when a file of the corpus is written anew; None where it lies in no files of the study's."""
    files = _files(study)
    return None if files is None else state_of_files(files)


def _rows(study: Study) -> Iterable[Row]:
    section, files = study.corpus, _files(study) or []
    match section:
        case StandardLibrary():
            return standard_library_documents()
        case TextFiles():
            return text_file_rows(files)
        case TextFile():
            return text_file_rows(files, section.separator)
        case JsonLines():
            return json_line_rows(files, Fields(section.text_field, section.name_field))
        case Parquet():
            return parquet_rows(files, Fields(section.text_field, section.name_field))
        case HubDataset():
            place = section.place(str(study.folder / section.dataset))
            return dataset_rows(place, Fields(section.text_field, section.name_field))


def _files(study: Study) -> list[CorpusFile] | None:
    match study.corpus:
        case TextFiles(folder=folder, pattern=pattern):
            return find_files(folder, study.folder, pattern)
        case TextFile(file=file) | JsonLines(file=file) | Parquet(file=file):
            return find_files(file, study.folder)
        case HubDataset(dataset=folder, is_folder=True):
            return find_files(folder, study.folder, "**/*")
        case _:
            return None


def open_pieces(study: Study) -> "Pieces":
    """How the subject model reads, without its weights; raises UnusableSubject."""
    from neuron_assets.subjects.bundled.opening import open_pieces as open_bundled_pieces
    from neuron_assets.subjects.hugging_face import open_hugging_face_pieces

    if isinstance(study.subject, HuggingFaceSubject):
        return open_hugging_face_pieces(_source(study.subject, study.folder))
    return open_bundled_pieces()


def open_subject(study: Study, device: str = "auto") -> "Subject":
    """The subject with the units that the study explains, sizes checked; what is shipped is small, and runs on the CPU.

    Raises SubjectError.
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


def open_speaking(study: Study, device: str = "auto", dtype: "DType | None" = None) -> "SpeakingSubject":
    """The model whose neurons, of one sign or both, the study explains, with its head; sizes checked.

    `dtype` is the study's unless told. Raises NotReplaceable where it explains other units, before anything is opened;
    SubjectWithoutHead, SubjectError.
    """
    from neuron_assets.subjects.bundled.opening import open_speaking_bundled, open_speaking_twin
    from neuron_assets.subjects.hugging_face import open_speaking as open_speaking_hugging_face
    from neuron_assets.subjects.subject import check_sizes

    section = study.subject
    if not isinstance(study.units, NeuronUnits) or section.provider == "planted":
        raise NotReplaceable(study.subject_label)
    if isinstance(section, HuggingFaceSubject):
        subject = open_speaking_hugging_face(
            _source(section, study.folder),
            dtype=dtype or section.dtype,
            device=device,
            beginning=section.beginning_of_text,
        )
    else:
        subject = open_speaking_bundled() if section.provider == "bundled" else open_speaking_twin(section.seed)
    check_sizes(subject, n_layers=section.n_layers, n_neurons=section.n_neurons)
    return subject


def _source(section: HuggingFaceSubject, folder: Path) -> "Source":
    from neuron_assets.subjects.hugging_face import Source

    path = str(folder / section.model) if section.is_folder else section.model
    return Source(section.label, path, section.revision)
