"""The way from Dagster's pages to the viewer's, and back."""

import pytest

from neuron_assets.assets.specs import description
from neuron_assets.assets.viewer_links import layer_link, linked_name, study_link
from neuron_assets.method.records import NeuronId
from neuron_assets.project import BUNDLED_STUDIES, Project
from neuron_assets.study import Study, read_study


@pytest.fixture
def study() -> Study:
    return read_study(BUNDLED_STUDIES / "bundled" / "study.yaml")


def test_the_page_of_every_asset_links_to_the_viewer(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEURON_ASSETS_VIEWER", raising=False)

    assert study_link(study) == "[Look at bundled in the viewer](http://127.0.0.1:8787/bundled)"
    assert description(study, "scores").endswith(study_link(study))


def test_layers_and_neurons_link_to_the_viewer_that_the_environment_names(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEURON_ASSETS_VIEWER", "https://neurons.example/")

    assert layer_link(study, "L03")["viewer"].value == "https://neurons.example/bundled/3"
    assert linked_name(study, NeuronId(3, 7)) == "[L3N7](https://neurons.example/bundled/3/7)"


@pytest.mark.parametrize("address", ["", "javascript:alert(1)", "neurons.example", "file:///etc"])
def test_an_address_that_is_none_of_the_web_is_linked_to_by_nobody(
    address: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    environ = {"NEURON_ASSETS_DAGSTER": address, "NEURON_ASSETS_VIEWER": address}
    project = Project.from_environment(environ, tmp_path_factory.getbasetemp())

    assert (project.dagster, project.viewer) == (None, "http://127.0.0.1:8787")
