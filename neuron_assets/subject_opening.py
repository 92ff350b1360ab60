"""From what a study names to the subject model with the units that the study explains.

Here: the registries that turn a provider's name into the thing itself. Not here: how each of them works (`subjects/`),
what may be written (`subject_sections.py`, `unit_sections.py`), who a subject is by its files (`subject_files.py`).
Everything heavy is imported when it is opened, so that the graph of assets loads without torch.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from neuron_assets.errors import NotReplaceable
from neuron_assets.study import Study
from neuron_assets.subject_sections import HuggingFaceSubject, ShippedSubject
from neuron_assets.unit_sections import DirectionUnits, NeuronUnits

if TYPE_CHECKING:
    from neuron_assets.subjects.hugging_face import DType, Source
    from neuron_assets.subjects.pieces import Pieces
    from neuron_assets.subjects.speaking import SpeakingSubject
    from neuron_assets.subjects.subject import Subject


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


def with_units(study: Study, subject: "Subject") -> "Subject":
    """The subject with the study's units in the place of its neurons, their number checked."""
    from neuron_assets.subjects.directions import open_directions
    from neuron_assets.subjects.signed import SignedSubject
    from neuron_assets.subjects.sparse_autoencoders import open_autoencoders
    from neuron_assets.subjects.subject import Listenable, check_sizes

    units = study.units
    if not isinstance(units, NeuronUnits):
        assert isinstance(subject, Listenable)  # the study refuses the others
        if isinstance(units, DirectionUnits):
            subject = open_directions(subject, units.read(study.folder, subject.n_layers), units.at)
        else:
            subject = open_autoencoders(subject, units.read(study.folder, subject.n_layers))
    if units.signed:
        subject = SignedSubject(subject)
    check_sizes(subject, n_layers=study.subject.n_layers, n_neurons=study.n_units)
    return subject


def _source(section: HuggingFaceSubject, folder: Path) -> "Source":
    from neuron_assets.subjects.hugging_face import Source

    path = str(folder / section.model) if section.is_folder else section.model
    return Source(section.label, path, section.revision)
