"""The code location: every study that the project can see, in one Definitions object.

Put here: the assembly. Keep out: everything else.
"""

import logging

import dagster as dg

from neuron_assets.assets.study_component import build_study, table_resources
from neuron_assets.errors import StudyError
from neuron_assets.project import Project, current_project

_LOG = logging.getLogger(__name__)


def build_definitions(project: Project) -> dg.Definitions:
    """All studies of the project that can be read, sharing one place for tables."""
    studies = []
    for name in project.study_files():
        try:
            studies.append(build_study(project.study(name)))
        except StudyError:
            _LOG.exception("The study %s is left out", name)  # one bad file must not take the others away
    # In one process: a layer's steps take less time than starting a process for each would.
    shared = dg.Definitions(resources=table_resources(project.tables), executor=dg.in_process_executor)
    return dg.Definitions.merge(*studies, shared)


@dg.definitions
def defs() -> dg.Definitions:
    return build_definitions(current_project())
