"""The viewer in a real browser: a served application, and pages that are watched for what must never happen.

Here: serving and watching. Not here: what is clicked (`test_in_chromium.py`).
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page
from starlette.applications import Starlette

SCREENSHOTS = Path(__file__).parents[2] / "artifacts" / "screenshots"


@contextmanager
def served(app: Starlette) -> Iterator[str]:
    """The application behind a port of its own; gives its URL."""
    started = threading.Event()

    class Announced(uvicorn.Server):
        async def startup(self, *args: Any, **kwargs: Any) -> None:
            await super().startup(*args, **kwargs)
            started.set()

    server = Announced(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(60)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(30)


@dataclass
class Watched:
    """A page, and what happened in it."""

    page: Page
    url: str
    hosts: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self._note(request.url))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda line: self.problems.append(line.text) if line.type == "error" else None)
        self.page.on(
            "response", lambda got: self.problems.append(f"{got.status} {got.url}") if got.status >= 400 else None
        )

    def open(self, path: str) -> None:
        self.page.goto(self.url + path)

    def keep(self, name: str) -> None:
        """A screenshot for people to look at."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"viewer_{name}.png", full_page=True)

    def faults(self) -> list[str]:
        """Serious ones of accessibility, and what the browser complained of, and requests to elsewhere."""
        found = [
            f"{fault['id']}: {fault['help']} {[node['target'] for node in fault['nodes']][:3]}"
            for fault in Axe().run(self.page).response["violations"]
            if fault["impact"] in {"serious", "critical"}
        ]
        elsewhere = sorted(self.hosts - {str(urlsplit(self.url).netloc)})
        return [*found, *self.problems, *(f"asked {host}" for host in elsewhere)]

    def is_too_wide(self) -> bool:
        """Whether the page, not a box in it, has to be pushed sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))

    def _note(self, url: str) -> None:
        if not url.startswith("data:"):
            self.hosts.add(urlsplit(url).netloc)
