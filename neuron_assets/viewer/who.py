"""Who labels: a name that a browser keeps, so that it need not be typed for each neuron.

Here: keeping and reading it. Not here: who may ask (`guarding.py`), which names there may be (`method/labels.py`).
"""

from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import RedirectResponse

from neuron_assets.method.labels import LONGEST_NAME

_COOKIE = "neuron_assets_person"
_A_YEAR = 365 * 24 * 3600


def remembered(request: Request) -> str:
    """The name that this browser gave last; empty where it gave none."""
    return unquote(request.cookies.get(_COOKIE, ""))[:LONGEST_NAME]


def leading_to(url: str, person: str) -> RedirectResponse:
    """After a form: another page is asked for, so that reloading sends nothing twice."""
    answer = RedirectResponse(url, 303)
    answer.set_cookie(_COOKIE, quote(person, safe=""), max_age=_A_YEAR, httponly=True, samesite="strict")
    return answer
