"""What every language model can be asked, whoever serves it.

Here: the seam. Not here: servers (`openai_compatible.py`), models in this process (`local.py`), the fake
(`scripted.py`), and waiting, retrying, keeping and counting (`asking.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from neuron_assets.method.questions import Prompt, Reply


@dataclass(frozen=True, slots=True)
class Usage:
    """What one request took, in tokens of the answering model."""

    tokens_in: int = 0
    tokens_out: int = 0
    """Reasoning included."""
    tokens_cached: int = 0
    """Those of `tokens_in` that the server had seen before and charges less for."""
    is_estimated: bool = False
    """Whether the server did not tell both numbers."""


@dataclass(frozen=True, slots=True)
class Replied:
    """One answered request."""

    reply: Reply
    usage: Usage
    identity: str
    """Who answered, as the server itself says: never the alias that was asked for."""


class LanguageModel(Protocol):
    """A model that answers one prompt at a time; many may be in flight at once."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """All that can change an answer beside the prompt and who answers: temperature, seed, ...; JSON values."""
        ...

    async def identity(self) -> str:
        """Who answers now, observed, not configured. Raises LanguageModelError."""
        ...

    async def reply(self, prompt: Prompt, variant: int = 0) -> Replied:
        """One attempt; `variant` tells the replies apart where the same prompt is asked several times.

        Raises TryAgain, RequestRefused or LanguageModelError.
        """
        ...

    async def close(self) -> None: ...
