"""Opens the subject models that are shipped with this package.

Here: files of this folder (and weights drawn from a seed) to subjects. Not here: how the weights were trained.
Weights are read from safetensors only, nothing is fetched, and no code that stands beside them is run.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Model

from neuron_assets.method.planted import PLANTED_UNITS
from neuron_assets.subjects.hooked import HookedSubject
from neuron_assets.subjects.pieces import Pieces
from neuron_assets.subjects.planted import PlantedSubject, Rule
from neuron_assets.subjects.speaking import SpeakingSubject

FOLDER = Path(__file__).parent
"""model.safetensors (float16), config.json, tokenizer.json."""

PLANTED_RULES: tuple[Rule, ...] = tuple(unit.function for unit in PLANTED_UNITS)

_SPREAD = 0.02
"""Standard deviation of GPT-2's weights before training."""


def open_bundled(folder: Path = FOLDER) -> HookedSubject:
    """The trained model, in float32."""
    return HookedSubject("bundled", _trained(folder), open_pieces(folder))


def open_speaking_bundled(folder: Path = FOLDER) -> SpeakingSubject:
    """The trained model with its head."""
    return SpeakingSubject("bundled", _with_head(_trained(folder)), open_pieces(folder))


def open_untrained_twin(seed: int, folder: Path = FOLDER) -> HookedSubject:
    """The same architecture and tokenizer with weights that have learnt nothing: the control of every finding."""
    return HookedSubject("bundled_untrained", _untrained(seed, folder), open_pieces(folder))


def open_speaking_twin(seed: int, folder: Path = FOLDER) -> SpeakingSubject:
    """The untrained twin with its head."""
    return SpeakingSubject("bundled_untrained", _with_head(_untrained(seed, folder)), open_pieces(folder))


def open_planted(rules: Sequence[Rule] = PLANTED_RULES, folder: Path = FOLDER) -> PlantedSubject:
    """Neurons of known rules over the trained model's tokens."""
    return PlantedSubject("planted", rules, open_pieces(folder))


def open_pieces(folder: Path = FOLDER) -> Pieces:
    """The tokenizer of the trained model."""
    return Pieces(Tokenizer.from_file(str(folder / "tokenizer.json")))


def _trained(folder: Path) -> GPT2Model:
    model = _blank_model(folder)
    stored = load_file(folder / "model.safetensors")
    # Strictly: a weight that is missing must not be left as it was drawn. The head is tied, and not stored.
    model.load_state_dict({name.removeprefix("transformer."): weight for name, weight in stored.items()})
    return model


def _untrained(seed: int, folder: Path) -> GPT2Model:
    model = _blank_model(folder)
    _draw_weights(model, np.random.default_rng(seed))
    return model


def _with_head(model: GPT2Model) -> GPT2LMHeadModel:
    with torch.device("meta"):  # all its weights are the model's
        whole = GPT2LMHeadModel(model.config)
    whole.transformer = model
    whole.lm_head.weight = model.wte.weight
    return whole


def _blank_model(folder: Path) -> GPT2Model:
    config = GPT2Config.from_pretrained(folder, local_files_only=True, attn_implementation="sdpa")
    with torch.random.fork_rng(devices=[]):  # the library draws weights; nobody else's generator shall notice
        return GPT2Model(config)


def _draw_weights(model: GPT2Model, random: np.random.Generator) -> None:
    """As GPT-2 was initialised, but from numpy's generator, by name: the same on every machine.

    Norms 1, biases 0, the rest normal; what is added to the residual stream is smaller, by the root of how many add.
    """
    n_added = 2 * model.config.n_layer
    for name, parameter in sorted(model.named_parameters()):
        if name.endswith(".bias"):
            torch.nn.init.zeros_(parameter)
        elif parameter.ndim == 1:
            torch.nn.init.ones_(parameter)
        else:
            spread = _SPREAD / math.sqrt(n_added) if name.endswith("c_proj.weight") else _SPREAD
            drawn = random.standard_normal(tuple(parameter.shape)) * spread
            parameter.data.copy_(torch.from_numpy(drawn))
