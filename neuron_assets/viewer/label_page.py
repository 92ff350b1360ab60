"""The page on which a person explains a neuron: excerpts of `train`, and nobody's explanation until theirs is kept.

Here: what is shown when, and keeping it. Not here: ratings (`rate_page.py`), where it is kept (`given.py`).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from neuron_assets.errors import InvalidLabel, LabelNotWritten
from neuron_assets.method.labels import LONGEST_NAME, LONGEST_TEXT, RATINGS, PersonsExplanation, known_as, tidied
from neuron_assets.tables.label_store import LabelStore
from neuron_assets.viewer.excerpts import heat_tokens, strongest
from neuron_assets.viewer.given import explanations_by, given_explanations, labels_of, ratings_by
from neuron_assets.viewer.neuron import Desk
from neuron_assets.viewer.neuron_excerpts import see_excerpts
from neuron_assets.viewer.places import NEURON, neuron_of, saved_url
from neuron_assets.viewer.posted import posted
from neuron_assets.viewer.steady import steady
from neuron_assets.viewer.templating import page
from neuron_assets.viewer.who import leading_to, remembered

_AT_FIRST = {"top": 16, "random": 8}


def label(request: Request) -> Response:
    """?saved=NAME shows what NAME wrote, then what others did, in the browser that wrote it; ?all=1 all of `train`."""
    desk, person = Desk(*neuron_of(request)), remembered(request)
    if person and known_as(request.query_params.get("saved", "")) == known_as(person):
        return _saved(request, desk, person)
    return _blank(request, desk, {"person": person, "text": ""})


async def save_label(request: Request) -> Response:
    form = await posted(request)
    return await run_in_threadpool(_save, request, form)


def _save(request: Request, form: Mapping[str, str]) -> Response:
    desk = Desk(*neuron_of(request))
    typed = {"person": form.get("person", ""), "text": form.get("text", "")}
    try:
        written = PersonsExplanation(
            person=tidied(typed["person"]),
            neuron=desk.neuron,
            written_at=datetime.now(UTC),
            text=tidied(typed["text"]),
        )
        said = {each.text for each in explanations_by(written.person, labels_of(desk))}
        if not see_excerpts(desk, "train", None).excerpts:
            return _blank(request, desk, typed, ("There is nothing to explain here; nothing was kept.", 409))
        if written.text not in said:
            LabelStore(desk.study.store, desk.study.name).add(written)
    except InvalidLabel as error:
        return _blank(request, desk, typed, (str(error), 422))
    except LabelNotWritten as error:
        return _blank(request, desk, typed, (str(error), 500))
    return leading_to(saved_url(desk.study.name, desk.neuron, written.person), written.person)


def _blank(request: Request, desk: Desk, typed: Mapping[str, str], problem: tuple[str, int] = ("", 200)) -> Response:
    """The form, and excerpts of `train`: nothing else of the neuron is read."""
    seen = see_excerpts(desk, "train", None).excerpts
    largest = strongest([excerpt.activations for excerpt in seen])
    kinds = []
    for kind, n_at_first in _AT_FIRST.items():
        of_kind = [excerpt for excerpt in seen if excerpt.kind == kind]
        drawn = of_kind if "all" in request.query_params else of_kind[:n_at_first]
        heated = [(each.document, heat_tokens(each.tokens, each.activations, largest)) for each in drawn]
        kinds.append({"kind": kind, "n": len(of_kind), "excerpts": heated})
    own = explanations_by(remembered(request), labels_of(desk))
    context = {
        "kinds": kinds,
        "typed": typed,
        "told": problem[0],
        "longest": (LONGEST_NAME, LONGEST_TEXT),
        "saved_url": saved_url(desk.study.name, desk.neuron, remembered(request)) if own else None,
    }
    return page(request, "label.html", _of(desk) | context, problem[1])


def _saved(request: Request, desk: Desk, person: str) -> Response:
    """Only where that person did explain the neuron; else the form."""
    kept = labels_of(desk)
    own = explanations_by(person, kept)
    if not own:
        return _blank(request, desk, {"person": person, "text": ""})
    texts = {each.text for each in own}
    others = [each for each in given_explanations(desk, kept) if each.text not in texts and not each.is_control]
    context = {"own": own, "others": others, "ratings": ratings_by(person, kept), "choices": RATINGS, "person": person}
    return page(request, "labelled.html", _of(desk) | context)


def _of(desk: Desk) -> dict[str, Any]:
    study, neuron = desk.study, desk.neuron
    return {
        "study": study,
        "neuron": neuron,
        "name": study.study.unit_name(neuron),
        "problems": tuple(dict.fromkeys(desk.told)),
    }


ROUTES = (Route(f"{NEURON}/label", steady(label)), Route(f"{NEURON}/label", save_label, methods=["POST"]))
