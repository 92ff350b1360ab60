"""Worked examples for prompts: invented neurons with their explanation and what they do on invented excerpts.

Here: their shape. Not here: the examples themselves, which are data (`few_shot.yaml`, read by whoever builds prompts).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FewShotExcerpt:
    tokens: tuple[str, ...]
    scaled: tuple[int, ...]
    """Whole numbers, 0 to 10, one a token."""
    first_revealed: int
    """For simulating all tokens at once: tokens before this one are shown as unknown, so that a model learns that
    unknown gives way to numbers at some point (Bills et al. 2023)."""


@dataclass(frozen=True, slots=True)
class FewShotNeuron:
    explanation: str
    """Completes a sentence that says what the neuron looks for; no full stop."""
    excerpts: tuple[FewShotExcerpt, ...]
