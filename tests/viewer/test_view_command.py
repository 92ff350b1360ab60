"""The command `view`: which addresses it serves, and what it says where it cannot."""

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from neuron_assets.cli import main
from neuron_assets.project import Project


def test_the_viewer_loads_without_what_only_a_run_needs() -> None:
    script = (
        "import sys, neuron_assets.viewer.app;"
        "print([name for name in ('dagster', 'torch', 'transformers', 'openai', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0", "192.0.2.1"])
def test_an_address_that_others_reach_demands_a_token(host: str) -> None:
    done = CliRunner().invoke(main, ["view", "--host", host], env={"NEURON_ASSETS_VIEW_TOKEN": None})

    assert done.exit_code == 2
    assert "NEURON_ASSETS_VIEW_TOKEN" in done.output


def test_a_short_token_is_refused_and_not_told() -> None:
    done = CliRunner().invoke(main, ["view"], env={"NEURON_ASSETS_VIEW_TOKEN": "guess-me"})

    assert done.exit_code == 2
    assert "16" in done.output
    assert "guess-me" not in done.output


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(main, ["view", "--port", str(port)], env={"NEURON_ASSETS_VIEW_TOKEN": None})

    assert done.exit_code == 1
    assert f"127.0.0.1:{port} cannot be served: Address already in use" in done.output


def test_a_name_that_leads_nowhere_is_told() -> None:
    done = CliRunner().invoke(main, ["view", "--host", "no such host"], env={"NEURON_ASSETS_VIEW_TOKEN": None})

    assert done.exit_code == 1
    assert "no such host" in done.output


def test_an_address_that_others_are_told_demands_a_token() -> None:
    environ = {"NEURON_ASSETS_VIEW_TOKEN": None, "NEURON_ASSETS_VIEWER": "https://viewer.example"}
    done = CliRunner().invoke(main, ["view"], env=environ)

    assert done.exit_code == 2
    assert "viewer.example, of NEURON_ASSETS_VIEWER, can be reached from other machines" in done.output
    assert "unset NEURON_ASSETS_VIEWER" in done.output


def test_an_address_without_a_host_is_told() -> None:
    done = CliRunner().invoke(main, ["view"], env={"NEURON_ASSETS_VIEWER": "http://[bad"})

    assert done.exit_code == 1
    assert "NEURON_ASSETS_VIEWER=http://[bad cannot be served" in done.output


def test_the_token_is_not_written_with_the_project(tmp_path: Path) -> None:
    project = Project.from_environment({"NEURON_ASSETS_VIEW_TOKEN": " 0123456789abcdef\n"}, tmp_path)

    assert project.view_token == "0123456789abcdef"
    assert "0123456789abcdef" not in repr(project)


@contextmanager
def _served(folder: Path, host: str, environ: Mapping[str, str]) -> Iterator[str]:
    """The URL that the command tells once it can be asked."""
    command = [
        sys.executable,
        "-c",
        "from neuron_assets.cli import main; main()",
        "view",
        "--host",
        host,
        "--port",
        "0",
    ]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        command, cwd=folder, env={"PATH": "", "PYTHONPATH": root, **environ}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[2]
        finally:
            process.terminate()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.2", "127.0.0.2"), ("::1", "[::1]"), ("localhost", "localhost"), ("0.0.0.0", "0.0.0.0")],
)
def test_the_url_that_it_tells_answers(tmp_path: Path, host: str, shown: str) -> None:
    token = {"NEURON_ASSETS_VIEW_TOKEN": "0123456789abcdef"} if host == "0.0.0.0" else {}
    with _served(tmp_path, host, token) as url:
        assert url.startswith(f"http://{shown}:")
        netloc = urlsplit(url).netloc
        with closing(HTTPConnection(netloc, timeout=10)) as asking:
            asking.request("GET", "/", headers={"Authorization": "Bearer 0123456789abcdef"})
            assert asking.getresponse().status == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("told", "status"), [("https://viewer.example/", 421), ("http://127.0.0.1:8787", 200), ("http://127.0.0.2", 200)]
)
def test_only_an_address_that_others_are_told_is_the_only_name_for_them(tmp_path: Path, told: str, status: int) -> None:
    token = "0123456789abcdef"
    environ = {"NEURON_ASSETS_VIEW_TOKEN": token, "NEURON_ASSETS_VIEWER": told}
    with _served(tmp_path, "0.0.0.0", environ) as url:
        for host, expected in (("viewer.example", 200), ("other.example", status)):
            with closing(HTTPConnection(urlsplit(url).netloc, timeout=10)) as asking:
                asking.request("GET", "/", headers={"Authorization": f"Bearer {token}", "Host": host})
                assert asking.getresponse().status == expected
