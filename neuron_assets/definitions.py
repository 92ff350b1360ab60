"""The code location: every study that the project can see, in one Definitions object.

Put here: the assembly. Keep out: everything else.
"""

import dagster as dg

from neuron_assets.assets.study_component import build_study, table_resources
from neuron_assets.project import Project, current_project


def build_definitions(project: Project) -> dg.Definitions:
    """All studies of the project, sharing one place for tables; raises what reading a study raises."""
    studies = [build_study(project.study(name)) for name in project.study_files()]
    return dg.Definitions.merge(*studies, dg.Definitions(resources=table_resources(project.tables)))


@dg.definitions
def defs() -> dg.Definitions:
    return build_definitions(current_project())
