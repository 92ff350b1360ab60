"""The page on which a visitor types a text, and sees which neurons fire in it.

Here: the form and its answer, which is a page again: nothing is written, and a text stands in no address. Not here: the
subject (`subject_room.py`), what fires (`heard_text.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from neuron_assets.errors import StudyError, SubjectError
from neuron_assets.method.records import NeuronId
from neuron_assets.subject_files import weights_bytes
from neuron_assets.viewer.excerpts import HeatToken, heat_tokens, shown
from neuron_assets.viewer.heard_text import Followed, HeardText, Wanted, hear
from neuron_assets.viewer.places import asked_study, shelf_of
from neuron_assets.viewer.posted import posted
from neuron_assets.viewer.shelf import OpenStudy
from neuron_assets.viewer.subject_room import SubjectRoom
from neuron_assets.viewer.templating import page
from neuron_assets.viewer.trying_text import Fired

LONGEST = 6000
"""In characters: in any script, what a browser lets type is within what `posted` takes, beside all other fields."""
_A_LAYER = "layer-"
"""Before its number: the name of a layer's box."""


@dataclass(frozen=True, slots=True)
class _Typed:
    """What stands in the form."""

    text: str = ""
    neuron: str = ""
    layers: tuple[int, ...] = ()
    """Those that are ticked; none stands for all of the study."""
    explained: bool = False
    """Whether only neurons that are explained are listed."""

    def follow(self, study: OpenStudy) -> NeuronId | None:
        """Raises ValueError or StudyError."""
        return study.study.read_neuron(self.neuron) if self.neuron.strip() else None


def ask(request: Request) -> Response:
    """The empty form; ?neuron=L3N307 fills in which one to follow."""
    study = asked_study(request)
    return _page(request, study, _Typed(neuron=request.query_params.get("neuron", "")[:100]))


async def answer(request: Request) -> Response:
    """The form with what came of it; 422 where it cannot be read, 503 where the subject cannot be run."""
    fields = await posted(request)
    return await to_thread.run_sync(_answered, request, fields, limiter=_room(request).queue)


def _answered(request: Request, fields: Mapping[str, str]) -> Response:
    study = asked_study(request)
    if study is None:
        return _page(request, None, _Typed())
    layers = tuple(index for index in study.study.layer_indices if f"{_A_LAYER}{index}" in fields)
    text = fields.get("text", "").replace("\r\n", "\n")  # so browsers send every line break
    typed = _Typed(text, fields.get("follow") or fields.get("neuron", ""), layers, "explained" in fields)
    if not text:
        return _page(request, study, typed, told="There is no text yet: type some.", status=422)
    if len(text) > LONGEST:
        told = f"The text has {len(text):,} characters; {LONGEST:,} is the most. Shorten it, and send it again."
        return _page(request, study, typed, told=told, status=422)
    try:
        follow = typed.follow(study)
    except (ValueError, StudyError) as error:
        return _page(request, study, typed, told=str(error), status=422)
    try:
        wanted = Wanted(layers or study.study.layer_indices, follow, explained=typed.explained)
        heard = hear(study, _room(request), text, wanted)
    except SubjectError as error:
        return _page(request, study, typed, told=str(error), status=503)
    return _page(request, study, typed, heard)


def _page(  # noqa: PLR0913, PLR0917  # what is asked, and what comes of it
    request: Request,
    study: OpenStudy | None,
    typed: _Typed,
    heard: HeardText | None = None,
    told: str | None = None,
    status: int = 200,
) -> Response:
    context: dict[str, Any] = {"study": study, "typed": typed, "told": told, "result": None}
    if study is not None:
        n_bytes = weights_bytes(study.study)
        context |= {
            "layers": study.study.layer_indices,
            "most_characters": LONGEST,
            "longest": study.study.corpus.excerpt_length,
            "is_loaded": _room(request).holds(study.study),
            "megabytes": None if n_bytes is None else max(1, round(n_bytes / 1e6)),
            "others": [other.name for other in shelf_of(request).studies()[0] if _is_another(other, study)],
        }
    if study is not None and heard is not None:
        context["result"] = _result(study, heard)
    return page(request, "text.html", context, status)


def _is_another(other: OpenStudy, study: OpenStudy) -> bool:
    return other.name != study.name and other.has("excerpts")


def _result(study: OpenStudy, heard: HeardText) -> dict[str, Any]:
    tokens = shown(heard.tokens)
    return {
        "n_read": len(heard.tokens),
        "n_tokens": heard.n_tokens,
        "problems": heard.problems,
        "peaks": [{**_line(study, heard, one), "token": tokens[one.token]} for one in heard.fired.peaks],
        "rows": [
            {"token": token, "lines": [_line(study, heard, one) for one in row]}
            for token, row in zip(tokens, heard.fired.by_token, strict=bool(heard.fired.by_token))
        ],
        "followed": heard.followed and _followed(study, heard, heard.followed),
    }


def _line(study: OpenStudy, heard: HeardText, fired: Fired) -> dict[str, Any]:
    return {
        "neuron": fired.neuron,
        "name": study.study.unit_name(fired.neuron),
        "share": fired.share,
        "activation": fired.activation,
        "told": heard.told.get(fired.neuron),
    }


def _followed(study: OpenStudy, heard: HeardText, followed: Followed) -> dict[str, Any]:
    maximum = followed.maximum if followed.maximum is not None and followed.maximum > 0 else None
    largest = maximum or max(map(abs, followed.activations))
    heat: tuple[HeatToken, ...] = heat_tokens(heard.tokens, followed.activations, largest)
    return {
        "neuron": followed.neuron,
        "name": study.study.unit_name(followed.neuron),
        "told": heard.told.get(followed.neuron),
        "heat": heat,
        "peak": followed.peak,
        "maximum": maximum,
        "share": None if maximum is None else followed.peak / maximum,
    }


def _room(request: Request) -> SubjectRoom:
    return cast("SubjectRoom", request.app.state.room)


ROUTES = (Route("/-/text", ask), Route("/-/text", answer, methods=["POST"]))
