"""Trains the small GPT-2 that is shipped as the bundled subject, on a CPU, from nothing but documents.

Here: tokenizer, model, optimiser, schedule, held-out loss, the log. Not here: which documents (the caller passes them).
The weights depend on the processor and the number of threads; what is shipped is therefore one run's result, with its
sha256 and its log, not a promise that another run gives the same bytes.
"""

import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"


@dataclass(frozen=True)
class Recipe:
    """Everything that was chosen for a training run."""

    n_layers: int = 6
    width: int = 192
    n_heads: int = 6
    vocabulary: int = 4096
    context: int = 128
    batch: int = 24
    minutes: float = 60.0
    """The schedule follows the clock: the learning rate reaches its end when the time is up."""
    learning_rate: float = 3e-3
    warm_up_steps: int = 50
    constant_share: float = 0.4
    """Share of the time before the learning rate starts its linear fall."""
    dropout: float = 0.1
    """On the embeddings and on what each block adds; the text is read about six times."""
    weight_decay: float = 0.2
    """On the matrices of the blocks, times the learning rate."""
    seed: int = 0


@dataclass(frozen=True)
class Losses:
    """Mean loss in nats a token on the held-out documents; the n-gram models saw the same training tokens."""

    model: float
    unigram: float
    bigram: float


def train_tokenizer(texts: Sequence[str], recipe: Recipe) -> Tokenizer:
    """A byte-level BPE: every text can be encoded, none is unknown."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def train(
    train_texts: Sequence[str],
    held_out_texts: Sequence[str],
    folder: Path,
    recipe: Recipe,
    on_entry: Callable[[dict[str, float]], None],
) -> Losses:
    """Trains tokenizer and model, saves both to `folder` with `training_log.json`, and gives the held-out losses.

    `on_entry` hears each entry of the log as it is made.
    """
    torch.manual_seed(recipe.seed)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(train_texts, recipe)
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # the library has no types there
        tokenizer_object=tokenizer, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT, model_max_length=recipe.context
    ).save_pretrained(folder)
    train_ids = _encode(tokenizer, train_texts)
    held_out_ids = _encode(tokenizer, held_out_texts)
    model = GPT2LMHeadModel(_config(recipe))
    began = time.monotonic()
    log = []
    for entry in _steps(model, train_ids, held_out_ids, recipe):
        log.append(entry | {"seconds": round(time.monotonic() - began)})
        on_entry(log[-1])
        _save(model, folder)
    losses = Losses(
        held_out_loss(model, held_out_ids, recipe.context), *ngram_losses(train_ids, held_out_ids, recipe.vocabulary)
    )
    facts = {
        "recipe": asdict(recipe),
        "train_tokens": len(train_ids),
        "held_out_tokens": len(held_out_ids),
        "losses": asdict(losses),
        "seconds": round(time.monotonic() - began),
        "log": log,
    }
    (folder / "training_log.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return losses


def held_out_loss(model: GPT2LMHeadModel, token_ids: Int[np.ndarray, " token"], context: int) -> float:
    """Mean loss in nats a token over the consecutive, disjoint windows of `context` tokens (fp32)."""
    n_windows = len(token_ids) // context
    windows = torch.from_numpy(token_ids[: n_windows * context].reshape(n_windows, context).astype(np.int64))
    model.train(mode=False)
    with torch.inference_mode():
        losses = [model(batch, labels=batch).loss.item() * len(batch) for batch in torch.split(windows, 32)]
    model.train()
    return float(sum(losses)) / n_windows


def ngram_losses(
    train_ids: Int[np.ndarray, " token"], held_out_ids: Int[np.ndarray, " token"], vocabulary: int
) -> tuple[float, float]:
    """Held-out loss in nats of a unigram model and of a bigram model that backs off to it (prior of mass 50)."""
    counts = np.bincount(train_ids, minlength=vocabulary) + 0.5
    unigram = counts / counts.sum()
    pairs, pair_counts = np.unique(_pair_codes(train_ids, vocabulary), return_counts=True)
    codes = _pair_codes(held_out_ids, vocabulary)
    place = np.minimum(np.searchsorted(pairs, codes), len(pairs) - 1)
    seen = np.where(pairs[place] == codes, pair_counts[place], 0)
    before, after = held_out_ids[:-1].astype(np.int64), held_out_ids[1:].astype(np.int64)
    prior = 50.0
    bigram = (seen + prior * unigram[after]) / (np.bincount(train_ids[:-1], minlength=vocabulary)[before] + prior)
    return float(-np.log(unigram[held_out_ids]).mean()), float(-np.log(bigram).mean())


def _config(recipe: Recipe) -> GPT2Config:
    return GPT2Config(
        vocab_size=recipe.vocabulary,
        n_positions=recipe.context,
        n_embd=recipe.width,
        n_layer=recipe.n_layers,
        n_head=recipe.n_heads,
        activation_function="gelu_pytorch_tanh",  # the same function as gelu_new, in one kernel
        resid_pdrop=recipe.dropout,
        embd_pdrop=recipe.dropout,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )


def _encode(tokenizer: Tokenizer, texts: Sequence[str]) -> Int[np.ndarray, " token"]:
    """All texts in one line, each after an end-of-text token."""
    return np.concatenate([np.array([0, *encoding.ids], np.int32) for encoding in tokenizer.encode_batch(list(texts))])


def _pair_codes(token_ids: Int[np.ndarray, " token"], vocabulary: int) -> NDArray[np.int64]:
    codes: NDArray[np.int64] = token_ids[:-1].astype(np.int64) * vocabulary + token_ids[1:]
    return codes


def _learning_rate(share_done: float, step: int, recipe: Recipe) -> float:
    fall = (1 - share_done) / (1 - recipe.constant_share)
    return recipe.learning_rate * min(1.0, (step + 1) / recipe.warm_up_steps, 0.02 + 0.98 * fall)


def _optimisers(model: GPT2LMHeadModel, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for embeddings, norms and biases."""
    matrices: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (matrices if parameter.ndim == 2 and ".h." in name else rest).append(parameter)
    return [
        torch.optim.Muon(
            matrices,
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            ns_steps=4,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(rest, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]


def _steps(
    model: GPT2LMHeadModel, train_ids: NDArray[np.int32], held_out_ids: NDArray[np.int32], recipe: Recipe
) -> Iterator[dict[str, float]]:
    """Trains; yields the state of things every so often, and at the end."""
    random = np.random.default_rng(recipe.seed)
    optimisers = _optimisers(model, recipe)
    running = math.nan
    began = time.monotonic()
    model.train()
    for step in itertools.count():
        share_done = min(1.0, (time.monotonic() - began) / (60 * recipe.minutes))
        for group in (group for optimiser in optimisers for group in optimiser.param_groups):
            group["lr"] = _learning_rate(share_done, step, recipe)
        starts = random.integers(0, len(train_ids) - recipe.context, recipe.batch)
        rows = np.stack([train_ids[start : start + recipe.context] for start in starts])
        batch = torch.from_numpy(rows.astype(np.int64))
        loss = model(batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        running = loss.item() if math.isnan(running) else 0.98 * running + 0.02 * loss.item()
        if (step + 1) % 100 == 0 or share_done == 1.0:
            glimpse = held_out_loss(model, held_out_ids[: 128 * recipe.context], recipe.context)
            yield {
                "step": step + 1,
                "tokens": (step + 1) * recipe.batch * recipe.context,
                "train_loss": round(running, 3),
                "held_out_loss": round(glimpse, 3),
            }
        if share_done == 1.0:
            return


def _save(model: GPT2LMHeadModel, folder: Path) -> None:
    halved = GPT2LMHeadModel(model.config)
    halved.load_state_dict(model.state_dict())
    halved.half().save_pretrained(folder)  # type: ignore[no-untyped-call]  # the library has no types there
