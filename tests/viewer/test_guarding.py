"""Who is answered by the viewer: hosts, origins, tokens, and what is sent to it."""

from collections.abc import Iterator, Mapping

import pytest
from starlette.testclient import TestClient

from neuron_assets.project import Project
from neuron_assets.viewer.app import create_app
from neuron_assets.viewer.guarding import COOKIE, THIS_MACHINE, Access

TOKEN = "clé-of-sixteen-or-more"
HERE = {"Origin": "http://127.0.0.1:8787"}


@pytest.fixture
def locked(made: Project) -> Iterator[TestClient]:
    """The viewer as it is served to other machines."""
    app = create_app(made, Access(THIS_MACHINE, TOKEN))
    with TestClient(app, base_url="http://127.0.0.1:8787", follow_redirects=False) as asking:
        yield asking


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8787", "localhost.evil.example", "127.0.0.1@evil", ""])
def test_a_foreign_name_that_leads_here_is_not_answered(client: TestClient, host: str) -> None:
    page = client.get("/", headers={"Host": host})

    assert page.status_code == 421
    assert "/tiny" not in page.text


@pytest.mark.parametrize("host", ["localhost:8787", "LOCALHOST", "127.0.0.1:9000", "[::1]:8787"])
def test_this_machine_is_answered_under_its_names(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


def test_any_well_formed_name_may_be_admitted() -> None:
    anyone = Access(None, TOKEN)

    assert anyone.admits_host("box.example:8787")
    assert not anyone.admits_host("box.example/..")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://127.0.0.1:8787.evil.example"},
        {"Origin": "http://[damaged"},
        {"Referer": "http://evil.example/127.0.0.1:8787"},
        {**HERE, "Sec-Fetch-Site": "cross-site"},
        {**HERE, "Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_what_another_site_sends_is_refused(client: TestClient, headers: Mapping[str, str]) -> None:
    page = client.post("/-/enter", data={"token": "x"}, headers=headers)

    assert page.status_code == 403
    assert "Nothing was stored" in page.text


@pytest.mark.parametrize(
    "headers", [HERE, {"Referer": "http://127.0.0.1:8787/tiny"}, {**HERE, "Sec-Fetch-Site": "none"}]
)
def test_what_its_own_pages_send_passes(client: TestClient, headers: Mapping[str, str]) -> None:
    assert client.post("/-/enter", data={"token": "x"}, headers=headers).status_code == 401  # it has no token


@pytest.mark.parametrize("address", ["/", "/tiny", "/tiny/2/7", "/-/go?to=x", "/-/nothing", "/-/staticky", "/-/enter/"])
def test_without_the_token_nothing_is_told_but_how_to_give_it(locked: TestClient, address: str) -> None:
    page = locked.get(address)

    assert (page.status_code, page.headers["www-authenticate"]) == (401, "Bearer")
    assert 'name="token"' in page.text
    assert "gpt" not in page.text.lower()


def test_what_is_sent_without_the_token_is_not_taken(locked: TestClient) -> None:
    assert locked.post("/tiny/2/7/label", data={"name": "a"}, headers=HERE).status_code == 401


def test_styles_and_the_entrance_need_no_token(locked: TestClient) -> None:
    assert locked.get("/-/static/style.css").status_code == 200
    assert locked.get("/-/enter").status_code == 200


def test_the_token_opens_the_viewer_and_leads_on(locked: TestClient) -> None:
    answer = locked.post("/-/enter", data={"token": TOKEN, "to": "/tiny/2?page=2"}, headers=HERE)
    cookie = answer.headers["set-cookie"]

    assert (answer.status_code, answer.headers["location"]) == (303, "/tiny/2?page=2")
    assert "httponly" in cookie.lower()
    assert "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    assert locked.get("/").status_code == 200


def test_the_cookie_of_another_token_opens_nothing(locked: TestClient) -> None:
    locked.cookies.set(COOKIE, Access(THIS_MACHINE, "another, which is as long").pass_of_cookie())

    assert locked.get("/").status_code == 401


@pytest.mark.parametrize(("brought", "status"), [(TOKEN, 200), ("wrong", 401), ("", 401)])
def test_a_program_brings_the_token_in_a_header(locked: TestClient, brought: str, status: int) -> None:
    assert locked.get("/", headers=[(b"Authorization", f"Bearer {brought}".encode())]).status_code == status


def test_a_wrong_token_is_asked_for_again(locked: TestClient) -> None:
    page = locked.post("/-/enter", data={"token": "wrong", "to": "/tiny"}, headers=HERE)

    assert page.status_code == 401
    assert "not the token" in page.text
    assert 'value="/tiny"' in page.text
    assert "wrong" not in page.text
    assert "set-cookie" not in page.headers


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", ""])
def test_the_entrance_leads_to_no_other_site(locked: TestClient, to: str) -> None:
    answer = locked.post("/-/enter", data={"token": TOKEN, "to": to}, headers=HERE)

    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"token=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        (b'{"token": "x"}', "application/json", 415),
        (b"token=x", "", 415),
        (b"token=%ff", "application/x-www-form-urlencoded", 422),
        (b"token=\xff", "application/x-www-form-urlencoded", 422),
        (b"token=%ED%A0%80", "application/x-www-form-urlencoded", 422),
        (b"token=%00", "application/x-www-form-urlencoded", 422),
        (b"tok%00en=x", "application/x-www-form-urlencoded; charset=utf-8", 422),
    ],
)
def test_what_is_no_small_form_of_text_is_refused(client: TestClient, body: bytes, kind: str, status: int) -> None:
    page = client.post("/-/enter", content=body, headers={**HERE, "Content-Type": kind})

    assert page.status_code == status
    assert "All studies" in page.text


@pytest.mark.parametrize(
    "address",
    [
        "/tiny/2/%ff",
        "/%ff/2/3",
        "/tiny/%00/3",
        "/-/static/%00",
        "/-/static/%ff",
        "/tiny%0d%0a",
        "/tiny/2/%",
        "/%2e%2e/x",
    ],
)
def test_a_damaged_address_is_a_404(client: TestClient, address: str) -> None:
    assert client.get(address).status_code == 404


def test_a_neuron_of_five_thousand_digits_is_a_404(client: TestClient) -> None:
    assert client.get(f"/tiny/2/{'9' * 5000}").status_code == 404
