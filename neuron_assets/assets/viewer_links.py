"""The way from Dagster's pages to the viewer's: a study, a layer, a neuron.

Put here: links. Keep out: what the viewer's addresses look like (`viewer/places.py`), where it is (`project.py`).
"""

import dagster as dg

from neuron_assets.method.records import NeuronId
from neuron_assets.project import current_project
from neuron_assets.study import Study
from neuron_assets.tables.layer_keys import layer_index
from neuron_assets.viewer.places import layer_url, neuron_url, study_url


def study_link(study: Study) -> str:
    """In Markdown."""
    return f"[Look at {study.name} in the viewer]({_viewer()}{study_url(study.name)})"


def layer_link(study: Study, key: str) -> dict[str, dg.UrlMetadataValue]:
    """For the metadata of a layer."""
    return {"viewer": dg.MetadataValue.url(_viewer() + layer_url(study.name, layer_index(key)))}


def linked_name(study: Study, neuron: NeuronId) -> str:
    """What people read for a neuron, in Markdown that leads to its page."""
    return f"[{study.unit_name(neuron)}]({_viewer()}{neuron_url(study.name, neuron)})"


def _viewer() -> str:
    return current_project().viewer
