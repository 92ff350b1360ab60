"""What stands before every page: who may ask, from where, and what a browser may do with the answer.

Here: headers, hosts, cross-site requests, the token. Not here: the page that asks for the token (`entrance.py`).
"""

import hmac
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from neuron_assets.viewer.templating import page

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
ENTRANCE = "/-/enter"
STATIC = "/-/static"
COOKIE = "neuron_assets_view"
THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:@/\\\[\]]+))(?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Access:
    """To whom the viewer answers."""

    hosts: frozenset[str] | None = THIS_MACHINE
    """Names, in small letters, under which a browser may ask; None: any.

    A page elsewhere whose name is made to lead to this machine (DNS rebinding) is the same origin to a browser, but
    asks under its own name.
    """
    token: str | None = None
    """What who asks must know; None: nothing."""

    def admits_host(self, host: str) -> bool:
        """Whether a header Host names one of `hosts`, at whatever port: a tunnel may have another one."""
        named = _HOST.fullmatch(host)
        return named is not None and (self.hosts is None or (named[1] or named[2]).lower() in self.hosts)

    def admits(self, request: Request) -> bool:
        """Whether the request brings the token, or needs none."""
        if self.token is None:
            return True
        kind, _, brought = request.headers.get("authorization", "").partition(" ")
        by_header = kind.lower() == "bearer" and self.is_token(brought.strip().encode("latin-1"))
        by_cookie = hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), self.pass_of_cookie().encode())
        return by_header or by_cookie

    def is_token(self, brought: bytes) -> bool:
        return self.token is not None and hmac.compare_digest(brought, self._secret())

    def pass_of_cookie(self) -> str:
        """What a browser keeps instead of the token, which cannot be read from it."""
        return hmac.digest(self._secret(), b"neuron_assets viewer", "sha256").hex()

    def _secret(self) -> bytes:
        assert self.token is not None
        return self.token.encode(errors="surrogateescape")  # as environments hold what is no text


class Guard:
    """Adds HEADERS to every answer, and lets pass only what may be answered."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        refusal = self._refusal(request)
        if refusal is not None:
            status, told = refusal
            answer: ASGIApp = page(request, "error.html", {"status": status, "told": told}, status)
        elif self._is_open(scope["path"]) or self._access.admits(request):
            answer = self._app
        else:
            asked = scope["path"] + (f"?{request.url.query}" if request.url.query else "")
            answer = page(
                request, "entrance.html", {"to": asked if request.method == "GET" else "/", "told": None}, 401
            )
            answer.headers["WWW-Authenticate"] = "Bearer"
        await answer(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> tuple[int, str] | None:
        """Status and reason, where the request must not be answered whoever asks."""
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self._access.admits_host(hosts[0]):
            names = ", ".join(sorted(self._access.hosts or {"one name"}))
            return 421, f"This viewer answers under {names} only; it was asked as {', '.join(hosts) or 'nothing'}."
        if request.method not in {"GET", "HEAD"} and not _is_same_origin(request, hosts[0]):
            told = "What changes something must come from a page of this viewer (header Origin). Nothing was stored."
            return 403, told
        return None

    @staticmethod
    def _is_open(path: str) -> bool:
        return path == ENTRANCE or path.startswith(f"{STATIC}/")


def _is_same_origin(request: Request, host: str) -> bool:
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return False
    came_from = request.headers.get("origin") or request.headers.get("referer", "")
    try:
        return urlsplit(came_from).netloc.lower() == host.lower()
    except ValueError:
        return False
