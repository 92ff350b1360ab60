"""The command that serves the viewer: view.

Here: its words and options, and the server. Not here: the pages (`viewer/`), the other commands (`cli.py`).
"""

import contextlib
import gc
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from neuron_assets.errors import AddressNotServed, TokenNeeded, TokenTooShort
from neuron_assets.project import Project, current_project

if TYPE_CHECKING:
    from neuron_assets.viewer.guarding import Access

PORT = 8787
TOKEN_VARIABLE = "NEURON_ASSETS_VIEW_TOKEN"  # noqa: S105 - the name of a variable
VIEWER_VARIABLE = "NEURON_ASSETS_VIEWER"
LEAST_TOKEN = 16


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="An address or name of this machine.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="0: any free one.")
def view(host: str, port: int) -> None:
    """Look at neurons in a browser: studies, layers, neurons, search.

    It serves this machine only, unless another --host is given, or NEURON_ASSETS_VIEWER names another machine. Then
    everybody must know the token in the environment variable NEURON_ASSETS_VIEW_TOKEN, which is asked for here, too,
    where it is set.
    """
    import uvicorn

    from neuron_assets.viewer.app import create_app
    from neuron_assets.viewer.templating import prepare

    prepare()
    gc.freeze()  # what is there from now on need not be looked through at each collection, 80 ms of somebody's page
    place, project = _resolved(host, port), current_project()
    access = _access(place, project)
    with _listening(place) as listening:
        url = f"http://{_written(host)}:{listening.getsockname()[1]}"

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                click.echo(f"Look at {url} (Ctrl-C ends it)")

        config = uvicorn.Config(
            create_app(project, access), log_level="warning", ws="none", timeout_graceful_shutdown=3
        )
        with contextlib.suppress(KeyboardInterrupt):
            Server(config).run([listening])


@dataclass(frozen=True, slots=True)
class _Place:
    """What a host and a port are to the system."""

    host: str
    family: socket.AddressFamily
    address: tuple[Any, ...]
    """As sockets take it: the IP address, the port, and what IPv6 has besides."""

    @property
    def ip(self) -> IPv4Address | IPv6Address:
        return ip_address(self.address[0])

    def __str__(self) -> str:
        return f"{_written(self.host)}:{self.address[1]}"


def _resolved(host: str, port: int) -> _Place:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise AddressNotServed(f"{_written(host)}:{port}", "no address is known for that name") from error
    return _Place(host, family, address)


def _access(place: _Place, project: Project) -> "Access":
    """Raises TokenNeeded, TokenTooShort or AddressNotServed."""
    from neuron_assets.viewer.guarding import THIS_MACHINE, Access

    token, said = project.view_token, _host_of(project.viewer)
    own = THIS_MACHINE | {place.host.lower(), str(place.ip)}
    is_said_of_others = said not in own and not _is_loopback(said)
    if token is None and not place.ip.is_loopback:
        raise TokenNeeded(place.host, TOKEN_VARIABLE, LEAST_TOKEN, "leave --host away")
    if token is None and is_said_of_others:
        raise TokenNeeded(f"{said}, of {VIEWER_VARIABLE},", TOKEN_VARIABLE, LEAST_TOKEN, f"unset {VIEWER_VARIABLE}")
    if token is not None and len(token) < LEAST_TOKEN:
        raise TokenTooShort(TOKEN_VARIABLE, len(token), LEAST_TOKEN)
    if place.ip.is_unspecified and not is_said_of_others:
        # The machine may have any name, and who rebinds one has no token: the cookie is for the name it was set under.
        return Access(None, token)
    return Access(own | {said}, token)


def _host_of(url: str) -> str:
    """In small letters."""
    try:
        host = urlsplit(url).hostname
    except ValueError as error:
        raise AddressNotServed(f"{VIEWER_VARIABLE}={url}", str(error)) from error
    if not host:
        raise AddressNotServed(f"{VIEWER_VARIABLE}={url}", "it names no host")
    return host


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def _listening(place: _Place) -> socket.socket:
    """Raises AddressNotServed, which names a port that is taken."""
    try:
        return socket.create_server(place.address, family=place.family)
    except OSError as error:
        raise AddressNotServed(str(place), error.strerror or str(error)) from error


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host
