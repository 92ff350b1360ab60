"""The first page, the header's field, and addresses that lead nowhere."""

import pytest
from starlette.testclient import TestClient

from neuron_assets.project import Project
from neuron_assets.viewer.app import create_app
from neuron_assets.viewer.shelf import Shelf


def test_the_first_page_lists_the_studies(client: TestClient) -> None:
    page = client.get("/")

    assert page.status_code == 200
    assert 'href="/tiny"' in page.text


@pytest.mark.parametrize("typed", ["L2N7", "2/7", "2.7", " l2n7 "])
def test_a_neuron_typed_into_the_header_is_gone_to(client: TestClient, typed: str) -> None:
    answer = client.get("/-/go", params={"study": "tiny", "to": typed})

    assert (answer.status_code, answer.headers["location"]) == (303, "/tiny/2/7")


def test_words_typed_into_the_header_are_searched_for(client: TestClient) -> None:
    answer = client.get("/-/go", params={"study": "tiny", "to": "after import"})

    assert answer.headers["location"] == "/-/search?study=tiny&q=after+import"


@pytest.mark.parametrize("address", ["/-/go?study=nowhere&to=x", "/-/nothing", "/-/static/../app.py"])
def test_an_address_that_leads_nowhere_is_a_friendly_404(client: TestClient, address: str) -> None:
    page = client.get(address)

    assert page.status_code == 404
    assert "All studies" in page.text


def test_every_answer_says_what_a_browser_may_do_with_it(client: TestClient) -> None:
    for address in ("/", "/-/nothing", "/-/static/style.css"):
        headers = client.get(address).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_a_fault_of_the_viewer_is_told_on_a_page_and_guarded_like_any(
    made: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shelf, "studies", lambda _shelf: 1 / 0)
    with TestClient(create_app(made), base_url="http://127.0.0.1:8787", raise_server_exceptions=False) as asking:
        page = asking.get("/")

    assert page.status_code == 500
    assert "a fault of the viewer" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
