"""The page on which a person simulates a neuron: one explanation, unseen excerpts of `valid`, marks from 0 to 10.

Here: what is shown when, and keeping it. Not here: the form of one excerpt (`marking.py`), which excerpts are left and
scores (`tables/hand_simulated.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from neuron_assets.errors import InvalidLabel, LabelNotWritten
from neuron_assets.method.labels import LONGEST_NAME, HandSimulation, ReadExcerpt, check_name, known_as, tidied
from neuron_assets.method.records import LARGEST
from neuron_assets.tables.hand_simulated import PersonsSimulation, excerpts_to_simulate, human_simulations
from neuron_assets.tables.label_store import LabelStore
from neuron_assets.viewer.given import EXPLAINED_ANEW, Given, explanation_id, given_explanations, labels_of
from neuron_assets.viewer.marking import Sheet, blank, filled, handed_out
from neuron_assets.viewer.neuron import Desk
from neuron_assets.viewer.neuron_excerpts import see_excerpts
from neuron_assets.viewer.places import NEURON, neuron_of, neuron_url
from neuron_assets.viewer.posted import posted
from neuron_assets.viewer.steady import steady
from neuron_assets.viewer.templating import page
from neuron_assets.viewer.who import leading_to

_DONE_BEFORE = "You have simulated these excerpts already, and the first time counts. Nothing was kept."
_CUT_ANEW = "The corpus was cut anew since this page was made, so these excerpts are gone. Nothing was kept."
_GONE = "These excerpts are none of this neuron's any more. Nothing was kept."
_UNREADABLE = "Nothing was kept: it cannot be told which excerpts these are."


class _NotKept(Exception):
    """What was sent is answered by the page again, with the reason."""

    def __init__(self, told: str, status: int) -> None:
        self.told = told
        self.status = status


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who is to simulate what."""

    desk: Desk
    person: str
    """Empty while nobody said who they are."""
    given: Given | None
    """The one explanation that is shown."""

    def left(self) -> tuple[ReadExcerpt, ...] | None:
        """Of several with the same tokens the first; None where that cannot be told, and then the desk says why."""
        study, neuron = self.desk.study, self.desk.neuron
        key = study.key(neuron.layer_index)
        found = self.desk.tried(lambda: excerpts_to_simulate(study.store, study.name, key, neuron, self.person), None)
        if found is None:
            return None
        return tuple({each.tokens: each for each in reversed(found)}.values())[::-1]

    def done(self, cut: str) -> frozenset[str]:
        """The numbers of the excerpts of that cut that this person simulated."""
        made = labels_of(self.desk).of(HandSimulation)
        own = (one.excerpt for one in made if one.by == known_as(self.person))
        return frozenset(str(excerpt.excerpt_index) for excerpt in own if excerpt.excerpts == cut)

    def results(self) -> Sequence[PersonsSimulation]:
        """What this person's simulations by this explanation are worth."""
        study, neuron = self.desk.study, self.desk.neuron
        key, scoring = study.key(neuron.layer_index), study.study.scoring
        found = self.desk.tried(
            lambda: human_simulations(study.store, study.name, key, neuron, seed=scoring.seed, n_draws=scoring.draws),
            tuple[PersonsSimulation, ...](),
        )
        text = None if self.given is None else self.given.text
        whose = known_as(self.person), text
        return [each for each in found if (known_as(each.person), each.explanation) == whose]

    def url(self, **more: object) -> str:
        state = {"person": self.person, "candidate": self.given.candidate if self.given else None} | more
        told = {key: value for key, value in state.items() if value not in {None, ""}}
        return f"{neuron_url(self.desk.study.name, self.desk.neuron, 'simulate')}?{urlencode(told)}"


def simulate(request: Request) -> Response:
    """?person=NAME hands out excerpts; ?candidate=N another explanation than the one that stands."""
    desk, person = Desk(*neuron_of(request)), tidied(request.query_params.get("person", ""))
    number = request.query_params.get("candidate", "")
    given = next((each for each in _with_number(desk) if _is_asked(each, number)), None)
    if wrong := _wrong_name(person) if person else "":
        return _page(request, _Asked(desk, "", given), (), (wrong, 422))
    asked = _Asked(desk, person, given)
    if given is None or not person:
        return _page(request, asked, ())
    seen = see_excerpts(desk, "valid", None).excerpts
    left = (asked.left() if seen else None) or ()
    top = frozenset(each.excerpt_index for each in seen if each.kind == "top")
    return _page(request, asked, [blank(excerpt) for excerpt in handed_out(left, top)], n_left=len(left))


async def save_simulation(request: Request) -> Response:
    form = await posted(request)
    return await run_in_threadpool(_save, request, form)


def _save(request: Request, form: Mapping[str, str]) -> Response:
    desk = Desk(*neuron_of(request))
    read = form.get("explanation", "")
    given = next((each for each in _with_number(desk) if explanation_id(each.text) == read), None)
    person = tidied(form.get("person", ""))
    wrong = _wrong_name(person)
    asked = _Asked(desk, "" if wrong else person, given)
    sheets: Sequence[Sheet] = ()
    try:
        sheets = _sheets(asked, form)
        if wrong or any(sheet.problem() for sheet in sheets):
            return _page(request, asked, sheets, (wrong or "Nothing was kept yet: see below.", 422))
        _keep(asked, sheets)
    except _NotKept as error:
        return _page(request, asked, sheets, (error.told, error.status))
    except (InvalidLabel, LabelNotWritten) as error:
        return _page(request, asked, sheets, (str(error), 422 if isinstance(error, InvalidLabel) else 500))
    return leading_to(asked.url(saved=len(sheets)), asked.person)


def _sheets(asked: _Asked, form: Mapping[str, str]) -> Sequence[Sheet]:
    """Those of the form that this person has not simulated yet; raises _NotKept."""
    cut, now = form.get("cut", ""), asked.desk.tried(lambda: asked.desk.study.facts("excerpts"), None)
    if now is not None and now.content != cut:
        raise _NotKept(_CUT_ANEW, 409)
    offered = asked.left()
    if offered is None:
        raise _NotKept(_UNREADABLE, 500)
    if asked.given is None:
        raise _NotKept(EXPLAINED_ANEW, 409)
    left = {str(excerpt.excerpt_index): excerpt for excerpt in offered}
    wanted = dict.fromkeys(form.get("excerpts", "").split())
    sheets = [filled(left[number], form) for number in wanted if number in left]
    if not sheets:
        raise _NotKept(_GONE if asked.done(cut).isdisjoint(wanted) else _DONE_BEFORE, 409)
    return sheets


def _keep(asked: _Asked, sheets: Sequence[Sheet]) -> None:
    assert asked.given is not None
    store, now = LabelStore(asked.desk.study.store, asked.desk.study.name), datetime.now(UTC)
    made = [
        HandSimulation(
            person=asked.person,
            neuron=asked.desk.neuron,
            written_at=now,
            text=asked.given.text,
            excerpt=sheet.excerpt,
            values=sheet.values,
        )
        for sheet in sheets
    ]
    for simulation in made:
        store.add(simulation)


def _wrong_name(person: str) -> str:
    """Why nobody can be called so; empty if one can."""
    try:
        check_name(person)
    except InvalidLabel as error:
        return str(error)
    return ""


def _with_number(desk: Desk) -> tuple[Given, ...]:
    """What is in `candidates`, so that a model simulates it, too."""
    return tuple(each for each in given_explanations(desk, labels_of(desk)) if each.candidate is not None)


def _is_asked(given: Given, number: str) -> bool:
    return str(given.candidate) == number if number else given.stands


def _page(
    request: Request,
    asked: _Asked,
    sheets: Sequence[Sheet],
    problem: tuple[str, int] = ("", 200),
    *,
    n_left: int | None = None,
) -> Response:
    desk = asked.desk
    context = {
        "study": desk.study,
        "neuron": desk.neuron,
        "name": desk.study.study.unit_name(desk.neuron),
        "asked": asked,
        "sheets": sheets,
        "n_left": n_left,
        "results": asked.results() if asked.person else (),
        "n_saved": request.query_params.get("saved", ""),
        "told": problem[0],
        "has_another": asked.given is None and any(each.stands for each in _with_number(desk)),
        "problems": tuple(dict.fromkeys(desk.told)),
        "largest": LARGEST,
        "longest_name": LONGEST_NAME,
        "has_activations": desk.study.has("activations", desk.neuron.layer_index),
    }
    return page(request, "simulate.html", context, problem[1])


ROUTES = (Route(f"{NEURON}/simulate", steady(simulate)), Route(f"{NEURON}/simulate", save_simulation, methods=["POST"]))
