"""A visit to the Dagster UI: what a person would click and see, and what must never happen meanwhile.

Here: pages and clicks. Not here: the server behind them (`dagster_server.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, expect

from tests.dagster_server import Server

expect.set_options(timeout=30_000)  # a machine may be slow
SCREENSHOTS = Path(__file__).parents[1] / "artifacts" / "screenshots"


@dataclass
class Visit:
    """A page of the UI, and what happened in it."""

    page: Page
    server: Server
    hosts: set[str | None] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self._note(request.url))
        self.page.on("websocket", lambda socket: self._note(socket.url))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda line: self.problems.append(line.text) if line.type == "error" else None)
        self.page.on(
            "response", lambda got: self.problems.append(f"{got.status} {got.url}") if got.status >= 400 else None
        )

    def open(self, table: str, view: str) -> None:
        self.page.goto(f"{self.server.url}/assets/tiny/{table}?{view}")
        expect(self.page.get_by_role("button", name="Materialize").first).to_be_visible()

    def text(self, text: str) -> Locator:
        """The text where it is seen; the UI keeps invisible copies of some, to measure them."""
        return self.page.get_by_text(text, exact=True).filter(visible=True).first

    def picture(self, entry: int) -> Locator:
        """Opens the metadata entry of that number among those that are Markdown; gives the picture in it."""
        self.page.get_by_text("[Show Markdown]").nth(entry).click()
        return self.page.get_by_role("dialog").locator("img")

    def materialize(self, table: str, layers: Sequence[str]) -> None:
        """Launches these layers by the dialog of the asset's page."""
        self.open(table, "view=partitions")
        self.text(layers[0]).wait_for()
        self.page.get_by_role("button", name="Materialize").first.click()
        dialog = self.page.get_by_role("dialog").filter(has_text="Launch runs to materialize")
        dialog.get_by_role("button", name="Custom").click()
        dialog.locator("[class*=TagSelector]").first.click()
        self.page.get_by_text("Select all").click()  # all are chosen at first: this chooses none
        search = self.page.get_by_placeholder("Filter partitions")
        menu = search.locator("xpath=ancestor::*[contains(@class,'popover')][1]").first
        for layer in layers:
            search.fill(layer)
            entry = menu.get_by_text(layer, exact=True).first
            entry.locator("xpath=ancestor::*[self::label or @role='menuitem'][1]").click()
        search.press("Escape")
        self.keep(f"{table}_launch")
        dialog.get_by_role("button", name="Launch").last.click()
        expect(dialog).to_be_hidden()

    def keep(self, name: str) -> None:
        """A screenshot for people to look at."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

    def _note(self, url: str) -> None:
        if not url.startswith("data:"):
            self.hosts.add(urlsplit(url.removeprefix("blob:")).hostname)
