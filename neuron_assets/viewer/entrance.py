"""The entrance: where who asks from another machine gives the token.

Here: the form, and the cookie that it sets. Not here: which pages ask for it (`guarding.py`).
"""

import re
from typing import cast

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from neuron_assets.viewer.guarding import COOKIE, ENTRANCE, Access
from neuron_assets.viewer.posted import posted
from neuron_assets.viewer.templating import page

_OF_THIS_VIEWER = re.compile(r"/(?![/\\])[^\x00-\x1f]*")


def ask(request: Request) -> Response:
    return page(request, "entrance.html", {"to": _to(request.query_params.get("to", "/")), "told": None})


async def enter(request: Request) -> Response:
    """Leads to where the person wanted to go, or asks again."""
    access, form = cast("Access", request.app.state.access), await posted(request)
    to = _to(form.get("to", "/"))
    if not access.is_token(form.get("token", "").strip().encode()):
        return page(request, "entrance.html", {"to": to, "told": "This is not the token."}, 401)
    answer = RedirectResponse(to, 303)
    is_secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, access.pass_of_cookie(), secure=is_secure, httponly=True, samesite="strict")
    return answer


def _to(wanted: str) -> str:
    return wanted if _OF_THIS_VIEWER.fullmatch(wanted) else "/"


ROUTES = (Route(ENTRANCE, ask), Route(ENTRANCE, enter, methods=["POST"]))
