"""Small models with their heads, and what plain whole forward passes say of replacing their neurons."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from torch import nn
from transformers import PreTrainedModel

from neuron_assets.subjects.ablation import Replacements
from neuron_assets.subjects.families import anatomy
from neuron_assets.subjects.pieces import Pieces
from neuron_assets.subjects.speaking import SpeakingSubject
from tests.subjects.small_models import byte_level, small_config, small_model

Array = NDArray[np.float64]
N_EXCERPTS, N_TOKENS, N_VOCABULARY = 3, 7, 400
TOKEN_IDS = np.random.default_rng(0).integers(2, 300, (N_EXCERPTS, N_TOKENS))
UNITS = (0, 17, 47)


MORE: Mapping[str, Mapping[str, object]] = {
    "cohere": {"logit_scale": 0.3},
    "gemma2": {"final_logit_softcapping": 5.0},
    "gpt_neo": {"attention_types": [[["global", "local", "global"], 1]]},
    "granite": {"residual_multiplier": 0.4, "logits_scaling": 1.7},
}
"""So that what a family does otherwise has an effect."""


def small(family: str, **more: object) -> PreTrainedModel:
    """Three layers, so that one can be skipped."""
    return small_model(small_config(family, num_hidden_layers=3, **MORE.get(family, {}), **more))


def base_model(family: str, **more: object) -> PreTrainedModel:
    model = small(family, **more).base_model
    assert isinstance(model, PreTrainedModel)
    return model


def speaking(model: PreTrainedModel, beginning: Sequence[int] = ()) -> SpeakingSubject:
    return SpeakingSubject(model.config.model_type, model, Pieces(byte_level()), beginning)


def every_pair(n_tokens: int = N_TOKENS, seed: int = 1) -> Replacements:
    """Three neurons on every excerpt, in an order of no kind."""
    random = np.random.default_rng(seed)
    pairs = random.permutation([(unit, excerpt) for unit in UNITS for excerpt in range(N_EXCERPTS)])
    return Replacements(pairs[:, 0], pairs[:, 1], random.normal(scale=3, size=(len(pairs), n_tokens)))


def said(model: PreTrainedModel, read: NDArray[np.int64], layer_index: int, neuron: int, put: Array | None) -> Array:
    """The probabilities of a plain forward pass over one excerpt [token, vocabulary], at the last tokens of `read`."""

    def hook(_projection: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        changed = inputs[0].clone()
        if put is not None:
            changed.view(len(read), -1)[-len(put) :, neuron] = torch.from_numpy(put).to(changed.dtype)
        return (changed,)

    handle = anatomy("plain", model).projections[layer_index].register_forward_pre_hook(hook)
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(read)[None], use_cache=False).logits[0]
    handle.remove()
    return np.asarray(torch.softmax(logits.double(), -1).numpy())


def worked_out(
    model: PreTrainedModel, layer_index: int, replacements: Replacements, beginning: Sequence[int] = ()
) -> Array:
    rows = zip(replacements.unit_indices, replacements.excerpt_rows, replacements.activations, strict=True)
    found = []
    for unit, excerpt, put in rows:
        read = np.concatenate([np.array(beginning, np.int64), TOKEN_IDS[excerpt]])
        true, other = (said(model, read, layer_index, unit, each)[-N_TOKENS:] for each in (None, put))
        found.append((jensenshannon(true, other, axis=1) ** 2).mean())
    return np.array(found)


def heard(subject: SpeakingSubject, layer_index: int, token_ids: NDArray[np.int64] = TOKEN_IDS) -> NDArray[np.float32]:
    received: list[NDArray[np.float32]] = []
    subject.run(token_ids, [layer_index], lambda _layer_index, block: received.append(block.float().numpy().copy()))
    return received[0]
