"""Ratings of explanations by people: good, partly, wrong.

Here: keeping one. The form is `templates/rate.html`, on the neuron's page and on that of its labels.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from neuron_assets.errors import InvalidLabel, LabelNotWritten
from neuron_assets.method.labels import PersonsRating, tidied
from neuron_assets.tables.label_store import LabelStore
from neuron_assets.viewer.given import EXPLAINED_ANEW, explanation_id, given_explanations, labels_of, ratings_by
from neuron_assets.viewer.neuron import Desk, see_neuron
from neuron_assets.viewer.places import NEURON, neuron_of, neuron_url, saved_url
from neuron_assets.viewer.posted import posted
from neuron_assets.viewer.templating import page
from neuron_assets.viewer.who import leading_to


async def save_rating(request: Request) -> Response:
    form = await posted(request)
    return await run_in_threadpool(_save, request, form)


def _save(request: Request, form: Mapping[str, str]) -> Response:
    desk = Desk(*neuron_of(request))
    kept = labels_of(desk)
    asked = form.get("explanation", "")
    there = given_explanations(see_neuron(desk).candidates, kept)
    given = next((each for each in there if explanation_id(each.text) == asked), None)
    context = {"study": desk.study, "neuron": desk.neuron, "name": desk.study.study.unit_name(desk.neuron)}
    if given is None:
        return page(request, "rating.html", context | {"told": EXPLAINED_ANEW, "text": None, "form": form}, 409)
    person, chosen = tidied(form.get("person", "")), form.get("rating", "")
    try:
        rating = PersonsRating(
            person=person, neuron=desk.neuron, written_at=datetime.now(UTC), text=given.text, rating=chosen
        )
        if ratings_by(person, kept).get(given.text) != chosen:
            LabelStore(desk.study.store, desk.study.name).add(rating)
    except (InvalidLabel, LabelNotWritten) as error:
        status = 422 if isinstance(error, InvalidLabel) else 500
        return page(request, "rating.html", context | {"told": str(error), "text": given.text, "form": form}, status)
    if form.get("back") == "label":
        return leading_to(saved_url(desk.study.name, desk.neuron, person), person)
    return leading_to(neuron_url(desk.study.name, desk.neuron), person)


ROUTES = (Route(f"{NEURON}/rate", save_rating, methods=["POST"]),)
