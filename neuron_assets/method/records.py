"""The nouns of the method, as frozen values: documents, tokens, neurons, what a neuron did on some excerpts.

Here: what everything else speaks of. Not here: how any of it is stored (`tables/`) or computed.
"""

import re
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

T = TypeVar("T")

Split = Literal["train", "calibration", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
"""Pools of documents: `train` is shown to the explainer, `calibration` serves for fitting and choosing, `valid` is
scored, `test` is kept unseen for a final report."""

Kind = Literal["top", "random", "natural"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Why a neuron keeps an excerpt: one of its highest peaks; drawn without looking, for each neuron its own; or drawn
once, the same for all neurons, and many enough to say how often a neuron is active in text as it comes."""

LARGEST = 10
"""Scaled and simulated activations run from 0 to this."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text that is never split between pools."""

    name: str
    text: str


_PLACES = r"(mlp\.hook_post|(mlp\.|ffn\.)(c_proj|down_proj|dense_4h_to_h|fc_out|fc2)|fc2)"
_SPELLINGS = (
    r"[Ll]?(?P<layer>[0-9]{1,4})[Nn./](?P<neuron>[0-9]{1,7})",
    rf"([A-Za-z_]\w*\.)+(?P<layer>[0-9]{{1,4}})\.{_PLACES}([:.](?=[0-9]+$)|\[(?=[0-9]+\]$))(?P<neuron>[0-9]{{1,7}})\]?",
)
"""Of a neuron. In a model's own names it is an input of its MLP's output projection."""


@dataclass(frozen=True, slots=True, order=True)
class NeuronId:
    """One unit of a layer, such as a neuron of its MLP; both indices start at 0."""

    layer_index: int
    neuron_index: int

    def __str__(self) -> str:
        return f"L{self.layer_index}N{self.neuron_index}"

    @classmethod
    def parse(cls, text: str) -> "NeuronId":
        """Reads `L3N307`, `3.307`, `3/307`, and the names that modules and hooks have with the index behind them.

        Such as `blocks.3.mlp.hook_post:307`, `model.layers.3.mlp.down_proj[307]`; raises ValueError on anything else.
        """
        match = next(filter(None, (re.fullmatch(spelling, text.strip()) for spelling in _SPELLINGS)), None)
        if match is None:
            raise ValueError(f"{text!r} is no neuron; write it like L3N307")
        return cls(int(match["layer"]), int(match["neuron"]))


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """The tokens of some excerpts of equal length, as codes into the distinct strings that occur."""

    codes: Int[np.ndarray, "excerpt token"]
    strings: tuple[str, ...]
    """What a reader sees of each code: bytes that are no text of their own stand as <0xE2>."""


@dataclass(frozen=True, slots=True, eq=False)
class Exemplars:
    """What one neuron did on the excerpts that were kept for it, of one split: top ones first, then random ones."""

    tokens: Tokens
    activations: Float[np.ndarray, "excerpt token"]
    """Raw, in the neuron's own unit; not scaled."""
    is_top: Bool[np.ndarray, " excerpt"]
    document_indices: Int[np.ndarray, " excerpt"]
    excerpt_indices: Int[np.ndarray, " excerpt"]


@dataclass(frozen=True, slots=True, eq=False)
class NeuronRecord:
    """A neuron with the exemplars of one split."""

    neuron: NeuronId
    exemplars: Exemplars

    def only(self, rows: Int[np.ndarray, " row"]) -> "NeuronRecord":
        """The same neuron with some of the rows, in their order."""
        old = self.exemplars
        tokens = Tokens(old.tokens.codes[rows], old.tokens.strings)
        kept = (old.activations, old.is_top, old.document_indices, old.excerpt_indices)
        return NeuronRecord(self.neuron, Exemplars(tokens, *(column[rows] for column in kept)))


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What came of one question: a value, or the reason why there is none. Never both, never a stand-in value."""

    value: T | None
    failure: str | None = None
    lost: bool = False
    """Whether nobody answered, so that the same question may be answered another time; a failure all the same."""
