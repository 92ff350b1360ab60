"""The page on which neurons are searched for: by words of their explanations, and by a token that they fire on.

Here: what was asked, and the lists. Not here: finding (`search.py`).
"""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from neuron_assets.errors import StudyError
from neuron_assets.tables.token_index import MOST_TOKENS
from neuron_assets.viewer.places import asked_study, neuron_url, shelf_of, tool_url
from neuron_assets.viewer.search import Found, search_token, search_words
from neuron_assets.viewer.shelf import OpenStudy
from neuron_assets.viewer.templating import page

KINDS = ("words", "token")
_OF_BOTH = 10
"""Hits of either kind, where both are asked for."""
_OF_ONE = 50
_LONGEST = 500
_MOST_PAGES = 10_000


def search(request: Request) -> Response:
    """?q=TEXT; &in=words or &in=token gives one kind only, by pages (&page=2).

    A neuron in any of its spellings is gone to, unless a token is asked for.
    """
    study, asked = asked_study(request), request.query_params.get("q", "")[:_LONGEST]
    only = request.query_params.get("in", "")
    if only not in KINDS:
        only = ""
    number = _page_number(request.query_params.get("page", ""))
    studies = [each.name for each in shelf_of(request).studies()[0] if each.has("excerpts")]
    context = {
        "study": study,
        "studies": studies,
        "asked": asked,
        "only": only,
        "number": number,
        "n_tokens": MOST_TOKENS,
    }
    if study is None or not (asked if only == "token" else asked.strip()):
        return page(request, "search.html", context | {"lists": ()})
    told = ""
    if only != "token":
        try:
            return RedirectResponse(neuron_url(study.name, study.study.read_neuron(asked)), 303)
        except ValueError:  # it is no neuron, so it is words
            pass
        except StudyError as error:  # nor is it one that the study has
            told = str(error)
    lists = [_listed(study, asked, kind, only, number) for kind in KINDS if only in {"", kind}]
    return page(request, "search.html", context | {"lists": lists, "told": told})


def _listed(study: OpenStudy, asked: str, kind: str, only: str, number: int) -> dict[str, object]:
    """One kind of hits, with the links to more of them."""
    most = _OF_ONE if only else _OF_BOTH
    skip = most * (number - 1)
    variants: tuple[tuple[str, int], ...] = ()
    token = asked
    if kind == "words":
        found = search_words(study, asked, skip=skip, most=most)
    else:
        by_token = search_token(study, asked, skip=skip, most=most)
        found, variants, token = by_token.found, by_token.variants, by_token.token
    return {
        "kind": kind,
        "found": found,
        "token": token,
        "variants": [(text, n, _url(study, text, "token")) for text, n in variants],
        "earlier": _url(study, asked, kind, number - 1) if number > 1 else None,
        "later": _later(study, asked, kind, only, number, found, skip),
        "first": skip + 1,
    }


def _later(  # noqa: PLR0913, PLR0917  # where one is
    study: OpenStudy, asked: str, kind: str, only: str, number: int, found: Found, skip: int
) -> str | None:
    if skip + len(found.hits) >= found.n_total:
        return None
    return _url(study, asked, kind, number + 1 if only else 1)


def _url(study: OpenStudy, asked: str, kind: str, number: int = 1) -> str:
    return tool_url("search", {"study": study.name, "q": asked, "in": kind} | ({"page": number} if number > 1 else {}))


def _page_number(text: str) -> int:
    """1 where the text is no number of a page."""
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(_MOST_PAGES))
    return min(max(int(text), 1), _MOST_PAGES) if is_number else 1


ROUTES = (Route("/-/search", search),)
