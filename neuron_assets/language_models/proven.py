"""A server whose echo is proven before the first prompt that relies on it, and not at all where the store has it all.

Here: when to prove. Not here: how (`echo_proof.py`).
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from neuron_assets.errors import UntrustedServer
from neuron_assets.language_models.model import Replied
from neuron_assets.language_models.openai_compatible import OpenAICompatible
from neuron_assets.method.questions import EchoPrompt, Prompt


class ProvenEcho:
    """As the model that it stands before. Implements LanguageModel."""

    def __init__(self, model: OpenAICompatible) -> None:
        self._model = model
        self._proving = asyncio.Lock()
        self._is_proven = False
        self._untrusted: UntrustedServer | None = None

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self._model.parameters

    async def identity(self) -> str:
        return await self._model.identity()

    async def reply(self, prompt: Prompt, variant: int = 0) -> Replied:
        """Raises UntrustedServer, too."""
        async with self._proving:
            if isinstance(prompt, EchoPrompt) and not self._is_proven:
                await self._prove()
        return await self._model.reply(prompt, variant)

    async def close(self) -> None:
        self._proving = asyncio.Lock()  # the next event loop needs its own
        await self._model.close()

    async def _prove(self) -> None:
        """Once, however many questions wait for it."""
        if self._untrusted is not None:
            raise self._untrusted
        try:
            await self._model.prove_echo()
        except UntrustedServer as error:
            self._untrusted = error
            raise
        self._is_proven = True
