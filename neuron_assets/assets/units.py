"""From what a study says under `units` to a subject of such units, and to what tells whether their files changed.

Put here: the choice of subject. Keep out: how units are computed (`subjects/`), what may be written (`unit_sections`).
"""

from typing import TYPE_CHECKING

from neuron_assets.study import Study
from neuron_assets.subjects.unit_files import files_digest
from neuron_assets.unit_sections import DirectionUnits, NeuronUnits

if TYPE_CHECKING:
    from neuron_assets.subjects.subject import Subject

UNITS = "units"
"""Note of `activations` and `neuron_statistics`, where there are such files: the digest of what units are made from."""


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


def units_digest(study: Study) -> str | None:
    """Of the files that units are computed from; None where there are none. Raises UnusableUnits."""
    files = study.units.files(study.folder, study.subject.n_layers)
    return files_digest(files) if files else None
