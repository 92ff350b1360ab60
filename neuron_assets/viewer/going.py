"""Where what is typed into the header goes: to the neuron that it names, else to the search.

Here: reading it. Not here: searching (`search_page.py`).
"""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from neuron_assets.viewer.places import asked_study, neuron_url, tool_url


def go(request: Request) -> Response:
    """?to=L3N307, in any of the spellings of a neuron, or words; ?study=NAME says of which study."""
    study, typed = asked_study(request), request.query_params.get("to", "").strip()
    if study is not None:
        try:
            return RedirectResponse(neuron_url(study.name, study.study.read_neuron(typed)), 303)
        except ValueError:  # it is no neuron, so it is words
            return RedirectResponse(tool_url("search", {"study": study.name, "q": typed}), 303)
    return RedirectResponse("/", 303)


ROUTES = (Route("/-/go", go),)
