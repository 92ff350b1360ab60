"""One small world: a tokenizer trained on four lines, a GPT-2 of three layers with random weights, a folder of both."""

from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Int, install_import_hook
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel

with install_import_hook("neuron_assets.subjects", "beartype.beartype"):  # axes are checked for real
    import neuron_assets.subjects.ablation
    import neuron_assets.subjects.fitting
    import neuron_assets.subjects.harvest
    import neuron_assets.subjects.measuring
    import neuron_assets.subjects.output_side  # noqa: F401
    from neuron_assets.subjects.bundled.opening import open_bundled, open_pieces
    from neuron_assets.subjects.hooked import HookedSubject
    from neuron_assets.subjects.pieces import Pieces

LINES = (
    "The cat sat on the mat, and the dog sat on the log.",
    "naïve café, 日本語のテキスト, “quotes” — and dashes…",
    "def add(left: int, right: int) -> int: return left + right",
    "🙂🙃 emoji are four bytes each 🙂🙃",
)


@pytest.fixture(scope="session")
def lines() -> tuple[str, ...]:
    return LINES


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the bundled subject's folder: weights in half precision, configuration, tokenizer."""
    folder = tmp_path_factory.mktemp("bundled")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>", "<|fin été|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = GPT2Config(
        vocab_size=320, n_positions=16, n_embd=12, n_layer=3, n_head=3, n_inner=21, bos_token_id=0, eos_token_id=0
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GPT2LMHeadModel(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.4)  # large, so that nothing is too small to matter
    torch.nn.Module.to(model, dtype=torch.float16)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def pieces(folder: Path) -> Pieces:
    return open_pieces(folder)


@pytest.fixture
def hooked(folder: Path) -> HookedSubject:
    return open_bundled(folder)


@pytest.fixture(scope="session")
def token_ids() -> Int[np.ndarray, "excerpt token"]:
    return np.random.default_rng(0).integers(0, 320, (5, 11))
