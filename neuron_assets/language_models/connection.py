"""The library's client for one server, with nothing said to it that is meant for another.

Here: opening it, and the headers that are left out. Not here: what is asked (`openai_compatible.py`), the key and which
addresses are safe (`server_settings.py`).
"""

import os
from collections.abc import Mapping

import openai

from neuron_assets.language_models.server_settings import ServerSettings, is_openai, read_key

_SECONDS_TO_CONNECT = 10.0
_NEEDED = ("authorization", "content-type")
"""Headers that a request may not lack; the first is this client's own in any case."""


def open_client(settings: ServerSettings) -> openai.AsyncOpenAI:
    """Nothing is dialled yet. Raises KeyMissing or KeyRefused."""
    key = read_key(settings)
    return openai.AsyncOpenAI(
        api_key=key or "none",
        base_url=settings.base_url,
        timeout=openai.Timeout(settings.timeout_s, connect=_SECONDS_TO_CONNECT),
        max_retries=0,  # the library's own: trying again is ours
        default_headers={"Authorization": f"Bearer {key}"} if key else None,  # before one of the environment
        # The library's default client takes twice the processor time.
        http_client=openai.DefaultAioHttpClient(follow_redirects=False),
    )


def headers_left_out(settings: ServerSettings) -> Mapping[str, openai.Omit]:
    """Headers that the library would add: what the environment says to OpenAI is for nobody else."""
    left_out: list[str] = []
    if not is_openai(settings.base_url):
        of_environment = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
        named = [line.partition(":")[0].strip() for line in of_environment if ":" in line]
        left_out = ["OpenAI-Organization", "OpenAI-Project", *(name for name in named if name.lower() not in _NEEDED)]
    left_out += ["Authorization"] if settings.api_key_env is None else []
    return {name: openai.Omit() for name in left_out}
