"""The page of the neurons that are most like one: by what is said of them, and by the excerpts on which they fire.

Here: the two lists. Not here: finding them (`search.py`).
"""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from neuron_assets.errors import TableError
from neuron_assets.method.records import NeuronId
from neuron_assets.viewer.places import NEURON, neuron_of
from neuron_assets.viewer.search import Found, alike_in_firing, alike_in_words
from neuron_assets.viewer.shelf import OpenStudy
from neuron_assets.viewer.templating import page

_MOST = 25


def similar(request: Request) -> Response:
    study, neuron = neuron_of(request)
    context = {
        "study": study,
        "neuron": neuron,
        "name": study.study.unit_name(neuron),
        "in_words": _tried(lambda: alike_in_words(study, neuron, most=_MOST)),
        "in_firing": _tried(lambda: alike_in_firing(study, neuron, most=_MOST)),
        "is_explained": _has_rows(study, neuron, "candidates"),
        "is_harvested": study.has("activations", neuron.layer_index),
    }
    return page(request, "similar.html", context)


def _tried(look: Callable[[], Found]) -> Found:
    """With a table that cannot be read nothing is found, and that is told."""
    try:
        return look()
    except TableError as error:
        return Found((), 0, (str(error),))


def _has_rows(study: OpenStudy, neuron: NeuronId, table: str) -> bool:
    try:
        rows = study.rows(table, neuron, ["neuron_index"])
    except TableError:
        return True  # nobody knows; that it cannot be read is told beside
    return rows is not None and rows.height > 0


ROUTES = (Route(f"{NEURON}/similar", similar),)
