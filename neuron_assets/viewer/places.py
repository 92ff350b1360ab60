"""URLs, and what they are of: /STUDY, /STUDY/3 is layer 3, /STUDY/3/307 is L3N307; all that is no study's is below /-/.

Here: from a request to a study, layer or neuron, and back. Not here: what is shown there.
"""

from collections.abc import Mapping
from typing import cast
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request

from neuron_assets.method.records import NeuronId
from neuron_assets.viewer.shelf import OpenStudy, Shelf

LAYER = "/{study}/{layer}"
NEURON = "/{study}/{layer}/{neuron}"
_MOST_DIGITS = 9


def shelf_of(request: Request) -> Shelf:
    return cast("Shelf", request.app.state.shelf)


def study_of(request: Request) -> OpenStudy:
    """The study that the path names; raises StudyNotFound, UnreadableStudy or InvalidStudy."""
    return shelf_of(request).study(request.path_params["study"])


def layer_of(request: Request, study: OpenStudy) -> int:
    """The layer that the path names; raises HTTPException, LayerOutOfRange or LayerWithoutUnits."""
    layer_index = _number(request.path_params["layer"])
    study.study.check_layer(layer_index)
    return layer_index


def neuron_of(request: Request) -> tuple[OpenStudy, NeuronId]:
    """The study and neuron that the path names; raises what the others do, and NeuronOutOfRange."""
    study = study_of(request)
    neuron = NeuronId(layer_of(request, study), _number(request.path_params["neuron"]))
    study.study.check_neuron(neuron)
    return study, neuron


def asked_study(request: Request) -> OpenStudy | None:
    """The study of ?study=NAME, else the first that has tables; None where there is none. Raises StudyNotFound."""
    shelf = shelf_of(request)
    if name := request.query_params.get("study"):
        return shelf.study(name)
    studies, _ = shelf.studies()
    return next((study for study in studies if study.has("excerpts")), None)


def study_url(study: str) -> str:
    return f"/{study}"


def layer_url(study: str, layer_index: int) -> str:
    return f"/{study}/{layer_index}"


def neuron_url(study: str, neuron: NeuronId, below: str = "") -> str:
    """`below` is a page of the neuron's own, such as `label`."""
    return f"/{study}/{neuron.layer_index}/{neuron.neuron_index}" + (f"/{below}" if below else "")


def saved_url(study: str, neuron: NeuronId, person: str) -> str:
    """The page of what a person wrote of a neuron."""
    return f"{neuron_url(study, neuron, 'label')}?{urlencode({'saved': person})}"


def dagster_url(request: Request, study: OpenStudy, layer_index: int | None = None) -> str | None:
    """Dagster's page of the scores of a layer, or of all assets of the study; None where nobody said where it is."""
    dagster = shelf_of(request).project.dagster
    if dagster is None:
        return None
    if layer_index is None:
        return f"{dagster}/assets/{study.name}"
    return f"{dagster}/assets/{study.name}/scores?view=partitions&partition={study.key(layer_index)}"


def tool_url(tool: str, asked: Mapping[str, object] | None = None) -> str:
    """Such as /-/search?q=import."""
    return f"/-/{tool}" + (f"?{urlencode(asked)}" if asked else "")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise HTTPException(404, f"{text[:40]!r} is no number of a layer or neuron; write /STUDY/3/307 for L3N307.")
    return int(text)
