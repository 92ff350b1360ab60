"""Random GPT-2 models and corpora to measure with: what a pass costs does not depend on what was learnt."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from tokenizers import Tokenizer, models
from transformers import GPT2Config, GPT2Model

from neuron_assets.method.records import SPLITS
from neuron_assets.subjects.harvest import HarvestPlan, Kept
from neuron_assets.subjects.hooked import HookedSubject
from neuron_assets.subjects.pieces import Pieces

EXCERPT_LENGTH = 64
VOCABULARY = 5000
PLAN = HarvestPlan(
    {"train": Kept(20, 20), "calibration": Kept(10, 10), "valid": Kept(10, 10), "test": Kept(10, 10)},
    n_sampled_tokens=1024,
)
_SHARES: Sequence[float] = (0.55, 0.15, 0.15, 0.15)
"""Of the pools, in the order of SPLITS."""


def random_model(*, n_layers: int, width: int, dtype: torch.dtype = torch.float32) -> GPT2Model:
    """As the library opens it: with its own GELU."""
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=EXCERPT_LENGTH,
        n_embd=width,
        n_layer=n_layers,
        n_head=max(1, width // 64),
        bos_token_id=0,
        eos_token_id=0,
    )
    torch.manual_seed(0)
    model = GPT2Model(config)
    model.set_attn_implementation("sdpa")
    model.train(mode=False)
    torch.nn.Module.to(model, dtype=dtype)
    return model


def hooked(model: GPT2Model) -> HookedSubject:
    """The model as a subject; from here on it has the fast GELU."""
    return HookedSubject("random", model, Pieces(Tokenizer(models.BPE())))


def random_corpus(n_excerpts: int) -> tuple[Int[np.ndarray, "excerpt token"], Int[np.ndarray, " excerpt"]]:
    """Token ids, and the pool of each excerpt."""
    random = np.random.default_rng(0)
    token_ids = random.integers(0, VOCABULARY, (n_excerpts, EXCERPT_LENGTH))
    return token_ids, random.choice(len(SPLITS), n_excerpts, p=_SHARES)
