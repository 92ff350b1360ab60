"""The viewer: a web application over the tables of all studies of a project.

Here: which page answers which URL, and what becomes of an error. Not here: the pages.
"""

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from neuron_assets.errors import (
    LayerNotInStudy,
    LayerOutOfRange,
    LayerWithoutUnits,
    MissingTable,
    NeuronAssetsError,
    NeuronOutOfRange,
    StudyNotFound,
)
from neuron_assets.project import Project
from neuron_assets.viewer import (
    asked_page,
    compare_page,
    entrance,
    evidence_page,
    going,
    home_page,
    label_page,
    layer_page,
    neuron_page,
    rate_page,
    search_page,
    similar_page,
    simulate_page,
    study_page,
    text_page,
)
from neuron_assets.viewer.guarding import HEADERS, STATIC, Access, Guard
from neuron_assets.viewer.shelf import Shelf
from neuron_assets.viewer.subject_room import SubjectRoom
from neuron_assets.viewer.templating import page

_PAGES = (
    asked_page,
    compare_page,
    entrance,
    evidence_page,
    going,
    home_page,
    label_page,
    layer_page,
    neuron_page,
    rate_page,
    search_page,
    similar_page,
    simulate_page,
    study_page,
    text_page,
)
_NOT_FOUND = (StudyNotFound, LayerOutOfRange, LayerWithoutUnits, LayerNotInStudy, NeuronOutOfRange, MissingTable)


def create_app(project: Project, access: Access = Access()) -> Starlette:  # noqa: B008 - it is frozen
    """The application; it reads nothing before it is asked."""
    static = Mount(STATIC, StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    routes: list[BaseRoute] = [static, *(route for each in _PAGES for route in each.ROUTES)]
    app = Starlette(
        routes=sorted(routes, key=_is_of_a_study),
        middleware=[Middleware(Guard, access)],
        exception_handlers={HTTPException: _refused, NeuronAssetsError: _failed, Exception: _broken},
    )
    app.state.shelf = Shelf(project)
    app.state.access = access
    app.state.room = SubjectRoom()
    return app


def _is_of_a_study(route: BaseRoute) -> bool:
    """Those come last: /{study}/{layer} would take /-/search for itself."""
    return isinstance(route, Route) and route.path.startswith("/{study}")


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    told = "There is nothing under this address." if error.detail == "Not Found" else error.detail
    return page(request, "error.html", {"status": error.status_code, "told": told}, error.status_code)


def _failed(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, _NOT_FOUND) else 500
    return page(request, "error.html", {"status": status, "told": str(error)}, status)


def _broken(request: Request, _error: Exception) -> Response:
    """An error that nobody foresaw; starlette answers it outside of the guard, and raises it anew for the log."""
    told = "This is a fault of the viewer. What it was stands where the viewer was started; the tables are untouched."
    answer = page(request, "error.html", {"status": 500, "told": told}, 500)
    answer.headers.update(HEADERS)
    return answer
