"""Pages that put texts and activations together, of two tables, of which another process may replace one meanwhile.

Here: making such a page again. Not here: which tables stand (`shelf.py`), a table that is replaced (`neuron_rows.py`).
"""

from collections.abc import Callable
from functools import wraps

from starlette.requests import Request
from starlette.responses import Response

from neuron_assets.errors import TableError, UnreadableTable
from neuron_assets.viewer.places import neuron_of
from neuron_assets.viewer.shelf import OpenStudy

TRIES = 3


def steady(page: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """The same page of a neuron, of texts and activations that were there from its beginning to its end.

    It raises UnreadableTable where they are others each time.
    """

    @wraps(page)
    def steadily(request: Request) -> Response:
        study, neuron = neuron_of(request)
        for _ in range(TRIES):
            before = _contents(study, neuron.layer_index)
            try:
                answer = page(request)
            except Exception:
                if before == _contents(study, neuron.layer_index):
                    raise
            else:
                if before == _contents(study, neuron.layer_index):
                    return answer
        path = study.store.path(study.name, "activations", study.key(neuron.layer_index))
        raise UnreadableTable(path, "it or the excerpts are made again and again while they are read")

    return steadily


def _contents(study: OpenStudy, layer_index: int) -> object:
    """Of both tables; of a damaged one, which the page tells of, nothing."""
    try:
        return [study.facts("excerpts"), study.facts("activations", layer_index)]
    except TableError:
        return None
