"""Who the subject of a study is by its files, and those of its units; what tables note of them.

Here: digests, the names of the notes, sizes. Not here: opening a subject (`subject_opening.py`), reading files
(`subjects/model_files.py`, `subjects/unit_files.py`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from neuron_assets.study import Study
from neuron_assets.subject_sections import HuggingFaceSubject
from neuron_assets.subjects import bundled, model_files, unit_files

TOKENIZER_FILES = "tokenizer_files"
"""Note of `excerpts`: the digest of the tokenizer of a subject that lies in a folder."""
SUBJECT_FILES = "subject_files"
"""Note of `activations` and `neuron_statistics`: the digest of all files of such a subject."""
UNITS = "units"
"""Note of the same, where there are such files: the digest of what units are made from."""


def subject_files(study: Study) -> str | None:
    """Digest of all files of a subject that lies in a folder; None where the study itself tells which it is.

    Raises UnusableSubject.
    """
    return _digest(study, model_files.OF_WEIGHTS + model_files.OF_READING)


def tokenizer_files(study: Study) -> str | None:
    """The same of its tokenizer only."""
    return _digest(study, model_files.OF_READING)


def units_digest(study: Study) -> str | None:
    """Of the files that units are computed from; None where there are none. Raises UnusableUnits."""
    files = study.units.files(study.folder, study.subject.n_layers)
    return unit_files.files_digest(files) if files else None


def noted(digests: Mapping[str, str | None]) -> dict[str, str]:
    """Those that are to be noted in a file: of what the study itself tells there is none."""
    return {note: digest for note, digest in digests.items() if digest is not None}


FORWARD_NOTES: Mapping[str, Callable[[Study], str | None]] = {SUBJECT_FILES: subject_files, UNITS: units_digest}
"""What `activations` and `neuron_statistics` note of such files, and how it is now."""


def forward_notes(study: Study) -> dict[str, str]:
    """These as they are now; raises UnusableSubject, UnusableUnits."""
    return noted({note: now(study) for note, now in FORWARD_NOTES.items()})


def _digest(study: Study, kinds: tuple[str, ...]) -> str | None:
    subject = study.subject
    if not isinstance(subject, HuggingFaceSubject) or not subject.is_folder:
        return None
    return model_files.files_digest(study.folder / subject.model, kinds)


def weights_bytes(study: Study) -> int | None:
    """What a subject's weights take on this machine's disk; None where they are not there, or not known."""
    folder = _folder(study)
    return None if folder is None else model_files.weights_bytes(folder)


def _folder(study: Study) -> Path | None:
    """Where the weights lie; nothing is fetched."""
    subject = study.subject
    if not isinstance(subject, HuggingFaceSubject):
        return Path(bundled.__path__[0])
    if subject.is_folder:
        return study.folder / subject.model
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(subject.model, revision=subject.revision, local_files_only=True))
    except OSError:  # it was never fetched
        return None
