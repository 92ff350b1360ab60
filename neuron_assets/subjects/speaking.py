"""A subject model with its head: what it would say next, also where something in it is made otherwise.

Here: a causal language model of the transformers library, run from any block on, and its head. Not here: what is made
otherwise and what comes of it (`ablation.py`), opening weights (`hugging_face.py`, `bundled.opening`).

The library's own code runs all the time, with a stand-in for what need not run: so masks, positions, norms after an
MLP, parallel attention, and what a family does to its logits are those of the model, and no family is written out here.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions
from transformers.pytorch_utils import Conv1D

from neuron_assets.errors import NeuronsNotHeard, SubjectWithoutHead
from neuron_assets.subjects.hooked import NORMS_AFTER_MLP, HookedSubject
from neuron_assets.subjects.pieces import Pieces

_LARGE = 100.0
"""Beside this, what a norm adds to the variance is nothing."""

Change = Callable[[Float[torch.Tensor, "excerpt token neuron"]], None]
"""Changes in place what the neurons of a layer did. It sees the tokens of the excerpts, not those before them."""


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """What a forward pass left behind: enough to run it again from one block on."""

    layer_index: int
    read: Int[torch.Tensor, "excerpt read"]
    """Token ids, with those that a text begins with."""
    stream: Float[torch.Tensor, "excerpt read width"]
    """What the block of that layer took in."""
    below: object
    """What the block under it gave, in whatever form its family gives it; None where there is none."""
    last: Float[torch.Tensor, "excerpt token last"]
    """What the head is given, at the excerpts' own tokens."""


class SpeakingSubject(HookedSubject):
    """A hooked subject with its head. The model is taken over, as a hooked subject takes it over."""

    def __init__(self, name: str, model: PreTrainedModel, pieces: Pieces, beginning: Sequence[int] = ()) -> None:
        """Raises SubjectWithoutHead, and what HookedSubject raises."""
        super().__init__(name, model, pieces, beginning)
        self._whole = cast("Any", model)  # much of it has no types
        self._whole.eval()
        if self._whole.get_output_embeddings() is None:
            raise SubjectWithoutHead(name)

    @property
    def n_vocabulary(self) -> int:
        """How many tokens it can say."""
        return len(self._whole.get_output_embeddings().weight)

    def output_vectors(self, layer_index: int) -> Float[torch.Tensor, "neuron last"]:
        """What each neuron of a layer adds, a unit of activation, to what the head is given: in float32, on the CPU.

        Row n of the output projection, times what the norm after the MLP (where there is one) and the last norm
        multiply each number by. Left out are a common factor (what norms divide by, what some families scale all
        outputs with) and what later layers make of it. Raises LayerOutOfRange.
        """
        self._check(0, [layer_index])
        block, projection = self._blocks[layer_index], self._projections[layer_index]
        weight = projection.get_parameter("weight").detach().float().cpu()
        vectors = weight if isinstance(projection, Conv1D) else weight.T
        after_mlp = [getattr(block, name) for name in NORMS_AFTER_MLP if hasattr(block, name)]
        of_decoder = [part for part in self._base.children() if "norm" in type(part).__name__.lower()]
        for norm in (*after_mlp[:1], *of_decoder[-1:]):  # a norm of embeddings stands before the last one
            vectors = vectors * _factors(norm, vectors.shape[1])
        narrowing = getattr(self._base, "project_out", None)  # of some OPT models
        return vectors if narrowing is None else vectors @ narrowing.weight.detach().float().cpu().T

    def unembedding(self, tokens: slice) -> Float[torch.Tensor, "token last"]:
        """The rows of some tokens in the head: in float32, on the CPU."""
        weight: torch.Tensor = self._whole.get_output_embeddings().weight[tokens]
        return weight.detach().float().cpu()

    def speak(self, token_ids: Int[np.ndarray, "excerpt token"], layer_index: int) -> Spoken:
        """The true pass over these excerpts, but for the head; raises LayerOutOfRange and SubjectMismatch."""
        self._check(token_ids.shape[1], [layer_index])
        read = self._read(token_ids)
        kept: dict[str, Any] = {"below": None}

        def keep_stream(_block: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            kept["stream"] = inputs[0] if inputs else named["hidden_states"]

        def keep_below(_block: nn.Module, _inputs: object, output: object) -> None:
            kept["below"] = output

        with ExitStack() as stack:
            hook = self._blocks[layer_index].register_forward_pre_hook(keep_stream, with_kwargs=True)
            stack.callback(hook.remove)
            if layer_index > 0:
                stack.callback(self._blocks[layer_index - 1].register_forward_hook(keep_below).remove)
            last = self._last(read)
        return Spoken(layer_index, read, kept["stream"], kept["below"], last)

    def speak_again(
        self,
        spoken: Spoken,
        rows: Int[torch.Tensor, " row"],
        *,
        stream: Float[torch.Tensor, "row read width"] | None = None,
        change: Change | None = None,
    ) -> Float[torch.Tensor, "row token last"]:
        """What the head is given when some excerpts are run again from the block of `spoken` on.

        `rows` are excerpts of `spoken`, each as often as one likes. `stream` is what the block takes in, if not what it
        took; `change` changes the neurons of its layer. Raises NeuronsNotHeard where the model goes round them.
        """
        read = spoken.read[rows.to(spoken.read.device)]
        taken = spoken.stream[rows.to(spoken.stream.device)] if stream is None else stream
        changed: list[torch.Tensor] = []
        with ExitStack() as stack:
            for block in self._blocks[: spoken.layer_index]:
                stack.enter_context(_standing_in(block, spoken.below))
            block = self._blocks[spoken.layer_index]
            stack.callback(block.register_forward_pre_hook(_taking(taken), with_kwargs=True).remove)
            if change is not None:
                hook = self._changing(change, read.shape, changed)
                stack.callback(self._projections[spoken.layer_index].register_forward_pre_hook(hook).remove)
            last = self._last(read)
        if change is not None and not changed:
            raise NeuronsNotHeard(self._name, spoken.layer_index, "the module of its neurons was not called")
        return last

    def logits(self, last: Float[torch.Tensor, "row token last"]) -> Float[torch.Tensor, "row token vocabulary"]:
        """What the head makes of what it is given, with all that the family does to logits."""
        given = BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=last)
        nothing = torch.zeros(last.shape[:2], dtype=torch.int64, device=last.device)
        with _standing_in(self._base, given), torch.inference_mode():
            logits: torch.Tensor = self._whole(input_ids=nothing, use_cache=False).logits
            return logits

    def _last(self, read: Int[torch.Tensor, "excerpt read"]) -> Float[torch.Tensor, "excerpt token last"]:
        with torch.inference_mode():
            last: torch.Tensor = self._base(input_ids=read, use_cache=False).last_hidden_state
            return last[:, len(self._beginning) :]

    def _changing(
        self, change: Change, shape: tuple[int, ...], changed: list[torch.Tensor]
    ) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
        def hook(_projection: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            neurons = inputs[0].clone()
            change(neurons.view(*shape, -1)[:, len(self._beginning) :])  # some models have all tokens in one row
            changed.append(neurons)
            return (neurons, *inputs[1:])

        return hook


def _factors(norm: nn.Module, width: int) -> Float[torch.Tensor, " width"]:
    """What a norm multiplies each number by. It is tried, for families keep it in different ways, some as 1 less."""
    in_full = deepcopy(norm).to("cpu", torch.float32)
    signs = torch.ones(width)
    signs[1::2] = -1
    with torch.no_grad():
        up, down = (in_full(each[None, None] * _LARGE)[0, 0] for each in (signs, -signs))
    factors: torch.Tensor = (up - down) / 2 * signs  # without what the norm adds
    return factors


@contextmanager
def _standing_in(part: Any, given: object) -> Iterator[None]:
    """Inside, this part of a model gives that, whatever it is called with."""
    own = vars(part).get("forward")  # one that a library has put before the class's
    part.forward = lambda *_inputs, **_named: given
    try:
        yield
    finally:
        del part.forward
        if own is not None:
            part.forward = own


def _taking(
    stream: Float[torch.Tensor, "row read width"],
) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]:
    def hook(
        _block: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return ((stream, *inputs[1:]), named) if inputs else (inputs, named | {"hidden_states": stream})

    return hook
