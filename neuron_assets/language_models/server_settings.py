"""How a model behind an OpenAI-compatible server is reached and what it is asked with.

Here: the settings, which addresses are safe to send text and a key to, and that key. Not here: the client
(`openai_compatible.py`); nothing here imports it, so a study can be checked without it.
"""

import ipaddress
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from neuron_assets.errors import KeyMissing, KeyRefused, UnsafeBaseUrl

Api = Literal["chat", "completions"]
Structured = Literal["json_schema", "json_object", "none"]

OPENAI = "https://api.openai.com/v1"

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """One model of one server. Holds the name of the key's variable, never the key."""

    base_url: str
    model: str
    api_key_env: str | None = None
    """Environment variable that holds the key; None: the server wants none, and none is sent."""
    api: Api = "chat"
    """By which of the two a ChatPrompt goes, such as that which looks who answers; an EchoPrompt needs completions."""
    structured: Structured = "json_schema"
    """What is asked for where a prompt has a schema; a server that refuses it is asked for less."""
    temperature: float | None = None
    """None, here and below: not sent, so the server's own."""
    top_p: float | None = None
    seed: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further JSON values of the request's body, such as `reasoning_effort`; they go before all others."""
    timeout_s: float = 120.0
    """Seconds for one request."""

    @property
    def sampling(self) -> Mapping[str, Any]:
        """The parameters of the request's body that are set."""
        named = {"temperature": self.temperature, "top_p": self.top_p, "seed": self.seed}
        return {name: value for name, value in named.items() if value is not None} | dict(self.more)

    @property
    def address(self) -> str:
        return address_of(self.base_url)


def address_of(base_url: str) -> str:
    """Host, port and path, to name a server by."""
    parts = urlsplit(base_url)
    return (parts.netloc + parts.path).rstrip("/")


def is_openai(base_url: str) -> bool:
    """Whether what is meant for OpenAI, such as its key, may be sent there unasked."""
    return base_url.rstrip("/") == OPENAI


def check_server(settings: ServerSettings) -> None:
    """All that can be told without dialling: raises UnsafeBaseUrl, KeyMissing or KeyRefused."""
    check_base_url(settings.base_url)
    read_key(settings)


def read_key(settings: ServerSettings) -> str | None:
    """The key, from the environment; None where the server wants none. Raises KeyMissing or KeyRefused."""
    if settings.api_key_env is None:
        return None
    key = os.environ.get(settings.api_key_env, "").strip()
    if not key:
        raise KeyMissing(settings.api_key_env)
    if not key.isascii() or not key.isprintable() or " " in key:
        raise KeyRefused(settings.api_key_env, "what the environment variable holds has characters that no key has")
    return key


def check_base_url(url: str) -> None:
    """Raises UnsafeBaseUrl where a key or text should not be sent; plain http beyond this machine is logged once.

    The error shows no name, password or query, because they may be secrets.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port
    except ValueError as error:
        raise UnsafeBaseUrl("(hidden)", f"it is no address ({error})") from None
    shown = f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"
    reason = _unsafe(parts)
    if reason is not None:
        raise UnsafeBaseUrl(shown, reason)
    if parts.scheme == "http" and not _is_this_machine(host):
        _warn_of_plain_http(shown)


def _unsafe(parts: SplitResult) -> str | None:
    if parts.scheme not in ("http", "https"):
        return "it does not begin with https:// or http://"
    if not parts.hostname:
        return "it names no server"
    if parts.username is not None or parts.password is not None:
        return "it holds a name or password; keys come from the environment"
    if parts.query or parts.fragment:
        return "it holds a question mark or fragment; keys come from the environment"
    return None


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@cache
def _warn_of_plain_http(url: str) -> None:
    _LOG.warning("%s is plain http: the key and all text can be read on the way. Use https beyond this machine.", url)
