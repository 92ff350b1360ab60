"""What runs can be told apart by in the UI: the study, and who explains and simulates.

Put here: the tags that every run of a study has. Keep out: those of single runs (`running.py`), and by which process
a run is made (`abandoned_runs.py`).
https://docs.dagster.io/guides/build/assets/metadata-and-tags/tags
"""

from collections.abc import Mapping

import dagster as dg

from neuron_assets.abandoned_runs import maker_tags
from neuron_assets.study import Study

_LONGEST = 63
"""As Dagster bounds the values of an asset's tags."""


def run_tags(study: Study) -> Mapping[str, str]:
    """Short enough for the UI; tables and files tell who it was in full."""
    tags = {"study": study.name, "explainer": study.explainer.label, "simulator": study.simulator.label}
    return {f"neuron_assets/{name}": value[:_LONGEST] for name, value in tags.items()}


def tag_run(context: dg.AssetExecutionContext, study: Study) -> None:
    """Whoever launched the run: the UI gives it no tags of the study, and does not know its process."""
    context.instance.add_run_tags(context.run.run_id, {**run_tags(study), **maker_tags()})
