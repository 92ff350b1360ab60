"""The latents of sparse autoencoders, as units of the model that they were trained on.

Here: encoders, by their formulas (docs/units.md). Not here: decoders, training, what a cfg.json says
(`autoencoder_config`).
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import safe_open

from neuron_assets.errors import LayerWithoutUnits, UnusableUnits
from neuron_assets.subjects.autoencoder_config import AutoencoderConfig
from neuron_assets.subjects.derived import Compute, DerivedSubject, Units, check_numbers
from neuron_assets.subjects.subject import Listenable
from neuron_assets.subjects.unit_files import WEIGHTS, AutoencoderFolders

_EPSILON = 1e-5
"""What is added to the deviation under `layer_norm`."""

Flat = Float[torch.Tensor, "token width"]
Latents = Float[torch.Tensor, "token unit"]


def open_autoencoders(subject: Listenable, autoencoders: AutoencoderFolders) -> DerivedSubject:
    """The model's layers with these latents as their units; a layer's encoder is read when it is first heard."""

    def open_layer(layer_index: int, heard: Float[torch.Tensor, "excerpt token width"]) -> Compute:
        if layer_index not in autoencoders.configs:
            raise LayerWithoutUnits(layer_index, autoencoders.place, autoencoders.configs)
        config, path = autoencoders.configs[layer_index], autoencoders.folders[layer_index] / WEIGHTS
        if config.width != heard.shape[2]:
            reason = f"it is made for {config.width} numbers, the {config.site} of {subject.name} is {heard.shape[2]}"
            raise UnusableUnits(path, reason, "Choose the subject that it was trained on.")
        return Encoder(config, _tensors(path, config, heard)).encode

    return DerivedSubject(subject, Units(autoencoders.n_units, autoencoders.site, open_layer))


def _tensors(path: Path, config: AutoencoderConfig, like: torch.Tensor) -> dict[str, torch.Tensor]:
    """Those that the encoder needs, in the device and dtype of what it will hear."""
    tensors: dict[str, torch.Tensor] = {}
    with safe_open(path, framework="pt") as opened:
        for name in config.shapes:
            tensor = opened.get_tensor(name)
            check_numbers(path, name, tensor)
            tensors[name] = tensor.to(like.device, like.dtype)
    return tensors


@dataclass(frozen=True, slots=True, eq=False)
class Encoder:
    """From what is heard on a token to its latents, none of them below zero."""

    config: AutoencoderConfig
    tensors: dict[str, torch.Tensor]

    def encode(self, heard: Float[torch.Tensor, "excerpt token width"]) -> Float[torch.Tensor, "excerpt token unit"]:
        flat = self._prepared(heard.reshape(-1, heard.shape[2]))
        latents = torch.addmm(self.tensors["b_enc"], flat, self.tensors["W_enc"])  # ours, so changed in place below
        match self.config.kind:
            case "standard":
                latents.relu_()
            case "jumprelu":
                latents.masked_fill_(latents <= self.tensors["threshold"], 0).relu_()
            case "topk":
                if self.config.by_decoder_norm:
                    latents *= self.tensors["W_dec"].norm(dim=1)
                latents = highest(latents, self.config.n_active).relu_()
        return latents.view(*heard.shape[:2], -1)

    def _prepared(self, heard: Flat) -> Flat:
        if self.config.centred:
            heard = heard - heard.mean(1, keepdim=True)
        match self.config.norm:
            case "layer_norm":
                heard = heard - heard.mean(1, keepdim=True)
                heard = heard / (heard.std(1, keepdim=True) + _EPSILON)
            case "constant_norm_rescale":
                heard = heard * (self.config.width**0.5 / heard.norm(dim=1, keepdim=True))
            case "none":
                pass
        return heard - self.tensors["b_dec"] if self.config.subtracts_decoder_bias else heard


def highest(latents: Latents, n: int) -> Latents:
    """The `n` highest of each token, zero elsewhere; among equal ones those of lower index."""
    if n >= latents.shape[1]:
        return latents
    values, places = latents.topk(n + 1)  # one more, to see whether the last place is shared
    kept = torch.zeros_like(latents).scatter_(1, places[:, :n], values[:, :n])
    shared = (values[:, n - 1] == values[:, n]).nonzero().squeeze(1)
    if len(shared):  # which of the equal ones topk gives is not told
        rows, lowest = latents[shared], values[shared, n - 1, None]
        above, level = rows > lowest, rows == lowest
        n_left = n - above.sum(1, keepdim=True)
        kept[shared] = rows.where(above | (level & (level.cumsum(1) <= n_left)), 0)
    return kept
