"""From what a study names to the documents that a run works with.

Put here: the registry that turns a provider's name into the thing itself. Keep out: how each of them works, the subject
model (`subject_opening.py`).
"""

from collections.abc import Callable, Iterable

from neuron_assets.corpora.documents import Fields, Row
from neuron_assets.corpora.files import CorpusFile, find_files, state_of_files
from neuron_assets.corpora.hub_datasets import dataset_rows
from neuron_assets.corpora.json_lines import json_line_rows
from neuron_assets.corpora.parquet_files import parquet_rows
from neuron_assets.corpora.reading import Bounds, Reading
from neuron_assets.corpora.standard_library import standard_library_documents
from neuron_assets.corpora.text_files import text_file_rows
from neuron_assets.corpus_sections import HubDataset, JsonLines, Parquet, StandardLibrary, TextFile, TextFiles
from neuron_assets.study import Study


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
