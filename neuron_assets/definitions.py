"""The code location: every study that the project can see, in one Definitions object.

Put here: the assembly. Keep out: everything else.
"""

import logging

import dagster as dg

from neuron_assets.assets.study_component import build_study, table_resources
from neuron_assets.assets.trying_again import WAITS
from neuron_assets.errors import NeuronAssetsError
from neuron_assets.project import Project, current_project

_LOG = logging.getLogger(__name__)


def build_definitions(project: Project) -> dg.Definitions:
    """All studies of the project that can be read, sharing one place for tables."""
    studies = []
    for name in project.study_files():
        try:
            studies.append(build_study(project.study(name), tables=project.tables))
        except NeuronAssetsError as error:  # one bad file must not take the others away
            _LOG.exception("The study %s is left out", name)
            studies.append(_in_place_of(name, error))
    # In one process: a layer's steps take less time than starting a process for each would.
    resources = table_resources(project.tables, project.requests, waits=WAITS)
    shared = dg.Definitions(resources=resources, executor=dg.in_process_executor)
    return dg.Definitions.merge(*studies, shared)


def _in_place_of(name: str, error: NeuronAssetsError) -> dg.Definitions:
    """What the UI shows of a study that cannot be read: why, and what to do."""
    spec = dg.AssetSpec(
        [name, "unreadable_study"], group_name=name, description=f"The study cannot be read.\n\n{error}", kinds={"yaml"}
    )
    return dg.Definitions(assets=[spec])


@dg.definitions
def defs() -> dg.Definitions:
    return build_definitions(current_project())
