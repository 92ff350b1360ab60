"""Where the language models of the transformers library keep their neurons.

The neurons of a layer are the input of its MLP's output projection: what the hidden layer holds after its
non-linearity, and after its gate where it has one. Here: the families that are known, as data, and the rule that finds
the neurons of others. Not here: hearing them (`hooked.py`), opening weights (`hugging_face.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from neuron_assets.errors import NeuronsDiffer, SubjectOfExperts, UnknownFamily


@dataclass(frozen=True, slots=True)
class Family:
    """Where the models of one architecture keep their neurons."""

    blocks: str
    """Name of the list of blocks, in the decoder."""
    output_projection: str
    """Name of the MLP's last linear map, in a block."""


_GATED = Family("layers", "mlp.down_proj")

FAMILIES: Mapping[str, Family] = {
    "bloom": Family("h", "mlp.dense_4h_to_h"),
    "codegen": Family("h", "mlp.fc_out"),
    "cohere": _GATED,
    "falcon": Family("h", "mlp.dense_4h_to_h"),
    "gemma": _GATED,
    "gemma2": _GATED,
    "gemma3_text": _GATED,
    "glm": _GATED,
    "gpt2": Family("h", "mlp.c_proj"),
    "gpt_bigcode": Family("h", "mlp.c_proj"),
    "gpt_neo": Family("h", "mlp.c_proj"),
    "gpt_neox": Family("layers", "mlp.dense_4h_to_h"),
    "gptj": Family("h", "mlp.fc_out"),
    "granite": _GATED,
    "llama": _GATED,
    "mistral": _GATED,
    "mpt": Family("blocks", "ffn.down_proj"),
    "olmo": _GATED,
    "olmo2": _GATED,
    "opt": Family("layers", "fc2"),
    "phi": Family("layers", "mlp.fc2"),
    "phi3": _GATED,
    "qwen2": _GATED,
    "qwen3": _GATED,
    "smollm3": _GATED,
    "stablelm": _GATED,
    "starcoder2": Family("layers", "mlp.c_proj"),
}
"""By `model_type` of the decoder's configuration."""


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """The parts of a model that are heard."""

    decoder: PreTrainedModel
    """What reads tokens: without the head, and without what may stand beside it for images or sound."""
    blocks: tuple[nn.Module, ...]
    projections: tuple[nn.Module, ...]
    """Of each block the MLP's output projection."""
    n_neurons: int


def anatomy(name: str, model: PreTrainedModel) -> Anatomy:
    """Raises SubjectOfExperts, UnknownFamily, or NeuronsDiffer where layers are not of one width."""
    whole: Any = model  # the library's types do not say that it has one
    decoder: PreTrainedModel = whole.get_decoder()
    family = decoder.config.model_type
    if family in FAMILIES:
        blocks = tuple(cast("nn.ModuleList", decoder.get_submodule(FAMILIES[family].blocks)))
    else:
        blocks = _discovered_blocks(name, decoder)
    if any(_is_of_experts(block) for block in blocks):
        raise SubjectOfExperts(name, family)
    if family in FAMILIES:
        projections = tuple(block.get_submodule(FAMILIES[family].output_projection) for block in blocks)
    else:
        projections = tuple(_discovered_projection(name, decoder, block) for block in blocks)
    widths = [_sizes(projection)[0] for projection in projections]
    if len(set(widths)) != 1:
        raise NeuronsDiffer(name, widths)
    return Anatomy(decoder, blocks, projections, widths[0])


def _is_of_experts(block: nn.Module) -> bool:
    return any("expert" in f"{name} {type(part).__name__}".lower() for name, part in block.named_modules())


def _discovered_blocks(name: str, decoder: PreTrainedModel) -> tuple[nn.Module, ...]:
    """The one list that is as long as the model has layers, each with attention."""
    n_layers = getattr(decoder.config, "num_hidden_layers", None)
    lists = [part for part in decoder.modules() if isinstance(part, nn.ModuleList) and len(part) == n_layers]
    found = [tuple(blocks) for blocks in lists if all(any(map(_attends, block.modules())) for block in blocks)]
    if len(found) != 1:
        raise UnknownFamily(name, decoder.config.model_type, f"{len(found)} lists of blocks", FAMILIES)
    return found[0]


def _discovered_projection(name: str, decoder: PreTrainedModel, block: nn.Module) -> nn.Module:
    """The one linear map outside attention that leads from another width back to the residual stream's."""
    width = decoder.config.hidden_size
    linear = [part for part in _outside_attention(block) if isinstance(part, nn.Linear | Conv1D)]
    found = [part for part in linear if _sizes(part)[1] == width != _sizes(part)[0]]
    if len(found) != 1:
        raise UnknownFamily(name, decoder.config.model_type, f"{len(found)} output projections in a block", FAMILIES)
    return found[0]


def _outside_attention(part: nn.Module) -> Iterator[nn.Module]:
    yield part
    for child in part.children():
        if not _attends(child):
            yield from _outside_attention(child)


def _attends(part: nn.Module) -> bool:
    return "attention" in type(part).__name__.lower()


def _sizes(projection: nn.Module) -> tuple[int, int]:
    """What a linear map takes and gives. Conv1D keeps its weight as [input, output], a Linear as [output, input]."""
    linear: Any = projection
    return (linear.nx, linear.nf) if isinstance(projection, Conv1D) else (linear.in_features, linear.out_features)
