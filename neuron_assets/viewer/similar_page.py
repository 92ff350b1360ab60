"""The page of the neurons that are most like one: by what is said of them, and by the excerpts on which they fire.

Here: the two lists. Not here: finding them (`search.py`).
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from neuron_assets.viewer.excerpts import shown_text
from neuron_assets.viewer.neuron import Desk, see_neuron
from neuron_assets.viewer.places import NEURON, neuron_of
from neuron_assets.viewer.search import Found, alike_in_firing, alike_in_words
from neuron_assets.viewer.templating import page

_MOST = 25
_NOTHING = Found((), 0)


def similar(request: Request) -> Response:
    study, neuron = neuron_of(request)
    desk = Desk(study, neuron)
    context = {
        "study": study,
        "neuron": neuron,
        "name": study.study.unit_name(neuron),
        "standing": see_neuron(desk).standing,
        "in_words": desk.tried(lambda: alike_in_words(study, neuron, most=_MOST), _NOTHING),
        "in_firing": desk.tried(lambda: alike_in_firing(study, neuron, most=_MOST), _NOTHING),
        "is_harvested": study.has("activations", neuron.layer_index),
        "problems": desk.told,
        "shown_text": shown_text,
    }
    return page(request, "similar.html", context)


ROUTES = (Route(f"{NEURON}/similar", similar),)
