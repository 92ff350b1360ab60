"""The first page: which studies there are.

Here: a line a study. Not here: what is in one (`study_page.py`).
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from neuron_assets.viewer.places import shelf_of
from neuron_assets.viewer.shelf import OpenStudy
from neuron_assets.viewer.templating import page


def home(request: Request) -> Response:
    """Those that have tables come first."""
    studies, unreadable = shelf_of(request).studies()
    lines = sorted((_line(study) for study in studies), key=lambda line: not line["has_tables"])
    return page(request, "home.html", {"lines": lines, "unreadable": unreadable})


def _line(study: OpenStudy) -> dict[str, Any]:
    said = study.study
    return {
        "name": said.name,
        "description": said.description,
        "subject": said.subject_label,
        "size": f"{len(said.layer_indices)} layers of {said.n_units:,}",
        "explainer": said.explainer.label,
        "simulator": said.simulator.label,
        "has_tables": study.has("excerpts"),
    }


ROUTES = (Route("/", home),)
