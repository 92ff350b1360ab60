"""Small random models of many families, and small tokenizers of each kind."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

BEGINNING, ENDING = "<s>", "</s>"
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
TEXTS = (
    "The cat sat on the mat, and the dog sat on the log.",
    "naïve café, 日本語のテキスト, “quotes” — and dashes…",
    "def add(left: int, right: int) -> int:\n\treturn left + right",
    "🙂🙃 emoji are four bytes each 🙂🙃",
)
SIZES = {
    "vocab_size": 400,
    "hidden_size": 32,
    "n_embd": 32,
    "d_model": 32,
    "word_embed_proj_dim": 32,
    "intermediate_size": 48,
    "ffn_dim": 48,
    "n_inner": 48,
    "num_hidden_layers": 2,
    "n_layer": 2,
    "n_layers": 2,
    "num_layers": 2,
    "num_attention_heads": 4,
    "n_head": 4,
    "n_heads": 4,
    "num_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "rotary_dim": 4,
    "max_position_embeddings": 32,
    "n_positions": 32,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
    "num_experts": 4,
    "num_local_experts": 4,
    "sliding_window": 16,
    "attention_types": [[["global", "local"], 1]],
}
"""By all names that families give them."""


def small_config(family: str, **more: object) -> PreTrainedConfig:
    """Two layers of 48 neurons, or of 128 where a family takes no other number than four times its width."""
    known = AutoConfig.for_model(family)
    names = {*known.to_dict(), *known.attribute_map} - set(known.attribute_map.values())
    names = {known.attribute_map.get(name, name) for name in names} | set(known.attribute_map.values())
    wanted = {known.attribute_map.get(name, name): size for name, size in SIZES.items()}
    if family != "gpt_neo":
        del wanted["attention_types"]
    return AutoConfig.for_model(family, **({name: wanted[name] for name in wanted if name in names} | more))


def small_model(config: PreTrainedConfig) -> PreTrainedModel:
    """Every weight drawn, norms and biases too, so that none of them is without effect."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        made: Any = AutoModelForCausalLM
        model: PreTrainedModel = made.from_config(config).eval()
        for weight in model.parameters():
            weight.uniform_(0.5, 1.5) if weight.ndim == 1 else weight.normal_(std=0.2)
    return model


def byte_level(*, beginning: bool = False, vocab_size: int = 320, texts: Sequence[str] = TEXTS) -> Tokenizer:
    """GPT-2's kind: bytes, written as visible characters."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts, _trainer(vocab_size, initial_alphabet=alphabet))
    return _after_beginning(tokenizer) if beginning else tokenizer


def marked_spaces(*, beginning: bool = False, texts: Sequence[str] = TEXTS) -> Tokenizer:
    """Llama 2's kind: pieces of text with a mark for a space, bytes for what they cannot write."""
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    learnt = Tokenizer(models.BPE())
    learnt.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    learnt.train_from_iterator([text for text in texts if text.isascii()], _trainer(90))
    pieces = [piece for piece, _ in sorted(learnt.get_vocab().items(), key=lambda pair: pair[1])]
    vocabulary = {piece: place for place, piece in enumerate([BEGINNING, ENDING, "<unk>", *fallback, *pieces[2:]])}
    merges = [
        (piece[:cut], piece[cut:])
        for piece in pieces
        for cut in range(1, len(piece))
        if piece[:cut] in vocabulary and piece[cut:] in vocabulary and piece not in {BEGINNING, ENDING}
    ]
    model = models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = learnt.normalizer
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([BEGINNING, ENDING, "<unk>"])
    return _after_beginning(tokenizer) if beginning else tokenizer


def write_model(folder: Path, model: PreTrainedModel, tokenizer: Tokenizer | None) -> Path:
    """As a folder that one downloads."""
    model.save_pretrained(folder)
    if tokenizer is not None:
        marks = {"bos_token": BEGINNING, "eos_token": ENDING}
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks).save_pretrained(folder)  # type: ignore[no-untyped-call]
    return folder


def _trainer(vocab_size: int, **more: Any) -> trainers.BpeTrainer:
    return trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=[BEGINNING, ENDING], show_progress=False, **more)


def _after_beginning(tokenizer: Tokenizer) -> Tokenizer:
    marks = [(BEGINNING, tokenizer.token_to_id(BEGINNING))]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BEGINNING} $A", special_tokens=marks)
    return tokenizer
