"""What a person sees and does in a browser: every page in both themes and on a phone, search, texts, labels."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from neuron_assets.project import Project
from neuron_assets.viewer.app import create_app
from tests.viewer.browsing import Watched, served

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium, as `chromium` on the path")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-background-networking"]
        )


@pytest.fixture(scope="module")
def url(made: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a copy of the project, for people write into it."""
    root = tmp_path_factory.mktemp("seen") / "project"
    shutil.copytree(made.dagster_home.parent, root, ignore=shutil.ignore_patterns("history", "storage", "logs"))
    with served(create_app(Project.from_environment({}, root))) as address:
        yield address


_LOOKS: dict[str, dict[str, object]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}, "has_touch": True},
}


@pytest.fixture(params=_LOOKS)
def watched(request: pytest.FixtureRequest, browser: Browser, url: str) -> Iterator[Watched]:
    context = browser.new_context(**_LOOKS[request.param])  # type: ignore[arg-type]  # options by name
    yield Watched(context.new_page(), url)
    context.close()


def _look(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["watched"])


PAGES = {
    "home": "/",
    "study": "/tiny",
    "layer": "/tiny/2",
    "neuron": "/tiny/{layer}/{neuron}",
    "neuron_valid": "/tiny/{layer}/{neuron}?pool=valid&all=1",
    "not_explained": "/tiny/2/0",
    "evidence": "/tiny/{layer}/{neuron}/evidence",
    "asked": "/tiny/{layer}/{neuron}/asked",
    "similar": "/tiny/{layer}/{neuron}/similar",
    "label": "/tiny/{layer}/{neuron}/label",
    "simulate": "/tiny/{layer}/{neuron}/simulate",
    "search": "/-/search?study=tiny&q=the",
    "compare": "/-/compare?study=tiny",
    "text": "/-/text?study=tiny",
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_fault(
    watched: Watched, name: str, explained: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    layer, neuron = explained
    watched.open(PAGES[name].format(layer=layer, neuron=neuron))
    watched.keep(f"{name}_{_look(request)}")

    assert watched.faults() == []
    assert not watched.is_too_wide()
    assert watched.page.title() not in {"owned", "1"}


def test_a_neuron_is_found_from_the_first_page_by_two_clicks(watched: Watched) -> None:
    watched.open("/")
    watched.page.get_by_role("link", name="tiny").first.click()
    watched.page.locator("main a").filter(has_text="L2N").first.click()

    assert watched.page.locator("h1").inner_text().startswith("L2N")
    assert watched.page.locator(".heat .t").count() > 16


def test_the_search_leads_to_a_neuron(watched: Watched) -> None:
    watched.open("/tiny")
    watched.page.get_by_label("Go to a neuron, or search").fill("activates")
    watched.page.get_by_role("button", name="Go").click()
    watched.page.locator(".hits a").first.click()

    assert watched.page.locator("h1").inner_text().startswith("L")


_TEXT = "import os\nprint('\u05e9\u05dc\u05d5\u05dd \U0001f468\u200d\U0001f469\u200d\U0001f467')"


def test_a_text_of_ones_own_is_read_by_the_subject(watched: Watched, request: pytest.FixtureRequest) -> None:
    watched.open("/-/text?study=tiny")
    watched.page.get_by_label("Your text").fill(_TEXT)
    watched.page.get_by_role("button", name="Read it").click()
    watched.page.get_by_text("import").first.wait_for()
    watched.keep(f"text_read_{_look(request)}")

    assert watched.page.locator("main a").filter(has_text="N").count() > 3
    assert watched.faults() == []
    assert not watched.is_too_wide()


def test_a_person_labels_and_simulates_and_sees_it_kept(
    watched: Watched, explained: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    place, name = "/tiny/{}/{}".format(*explained), f"Ada {_look(request)}"
    watched.open(f"{place}/label")
    watched.page.get_by_label("It is active on").fill("names of <b>modules</b> & files")
    watched.page.get_by_label("Your name").fill(name)
    watched.page.get_by_role("button", name="Keep it").click()
    watched.page.get_by_text("names of <b>modules</b> & files").first.wait_for()
    watched.keep(f"labelled_{_look(request)}")
    faults = watched.faults()

    watched.open(f"{place}/simulate?person={name}")
    marks = watched.page.locator(".mark input")
    marks.nth(1).focus()
    for key in ("7", "ArrowRight", "ArrowRight", "1", "0"):
        watched.page.keyboard.press(key)
    colours = [marks.nth(place).locator("..").get_attribute("class") for place in (1, 2, 3)]
    for excerpt in range(1, watched.page.locator(".marked").count()):
        watched.page.get_by_label("silent on all of it").nth(excerpt).check()
    watched.keep(f"simulate_marks_{_look(request)}")
    faults += watched.faults()
    watched.page.get_by_role("button", name="Keep these").click()
    watched.page.get_by_role("heading", name="Kept.").wait_for()
    watched.page.get_by_text("Token by token").click()
    watched.page.get_by_label("excerpt 1, your marks").wait_for()
    watched.keep(f"simulated_{_look(request)}")
    faults += watched.faults()

    assert colours == ["mark m7", "mark", "mark m10"]

    assert faults == []
    assert not watched.is_too_wide()
