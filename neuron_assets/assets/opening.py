"""From what a study names to what a run works with: documents and the subject model.

Put here: the registries that turn a provider's name into the thing itself. Keep out: how each of them works.
Everything heavy is imported when it is opened, so that the graph of assets loads without torch.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from neuron_assets.assets.units import with_units
from neuron_assets.corpora.documents import distinct_documents
from neuron_assets.corpora.standard_library import standard_library_documents
from neuron_assets.corpora.text_files import text_file_documents
from neuron_assets.method.records import Document
from neuron_assets.study import Study

if TYPE_CHECKING:
    from neuron_assets.subjects.subject import Subject


def open_documents(study: Study) -> list[Document]:
    """Each text once; raises NoDocuments."""
    if study.corpus.provider == "standard_library":
        return distinct_documents(standard_library_documents())
    return distinct_documents(text_file_documents(study.folder / str(study.corpus.folder), study.corpus.pattern))


def open_subject(study: Study) -> "Subject":
    """The subject model with the units that the study explains, its sizes checked; raises SubjectMismatch."""
    from neuron_assets.subjects.bundled.opening import open_bundled, open_planted, open_untrained_twin
    from neuron_assets.subjects.subject import check_sizes

    openers: Mapping[str, Callable[[], Subject]] = {
        "bundled": open_bundled,
        "bundled_untrained": lambda: open_untrained_twin(study.subject.seed),
        "planted": open_planted,
    }
    subject = openers[study.subject.provider]()
    check_sizes(subject, n_layers=study.subject.n_layers, n_neurons=study.subject.n_neurons)
    return with_units(study, subject)
