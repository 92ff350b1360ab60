"""A language model that says what it is told to: for tests, examples and measurements.

Here: the fake, shipped so that a study's author can use it too. Not here: anything that thinks.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from neuron_assets.errors import RequestRefused
from neuron_assets.language_models.model import Replied, Usage
from neuron_assets.method.questions import ChatPrompt, Prompt, Reply

Script = Mapping[str, str] | Callable[[Prompt], Reply | str]
"""Replies by the last message (or the text to be echoed), or a function from prompts to replies; it may raise."""


@dataclass(slots=True)
class Scripted:
    """Answers from a script. Implements LanguageModel; the fields may be changed while it is asked."""

    script: Script
    name: str = "scripted"
    """Who answers."""
    seconds: float = 0.0
    """How long an answer takes."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    n_asked: int = 0
    """Prompts so far, answered or not."""

    async def identity(self) -> str:
        return self.name

    async def reply(self, prompt: Prompt, variant: int = 0) -> Replied:  # noqa: ARG002  # the seam's
        """Raises RequestRefused where the script has no line for the prompt, and whatever its function raises."""
        self.n_asked += 1
        if self.seconds:
            await asyncio.sleep(self.seconds)
        said = self.script(prompt) if callable(self.script) else self._line(prompt)
        reply = Reply(said) if isinstance(said, str) else said
        return Replied(reply, Usage(_n_words(prompt), len(reply.text.split())), self.name)

    async def close(self) -> None:
        """There is nothing to close."""

    def _line(self, prompt: Prompt) -> str:
        assert isinstance(self.script, Mapping)
        last = _texts(prompt)[-1]
        if last not in self.script:
            raise RequestRefused(f"the script has no reply to {last[:80]!r}")
        return self.script[last]


def _texts(prompt: Prompt) -> list[str]:
    return [message.content for message in prompt.messages] if isinstance(prompt, ChatPrompt) else [prompt.text]


def _n_words(prompt: Prompt) -> int:
    return sum(len(text.split()) for text in _texts(prompt))
