"""Tiny random models and a tokenizer that reads any text, for tests: they say nothing sensible, and exactly so."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

import neuron_assets.subjects.bundled
from neuron_assets.language_models.local import LocalModel
from neuron_assets.method.few_shot import FewShotExcerpt, FewShotNeuron

END_OF_TEXT = "<|end|>"
SOFTER, STRONGER = 0.4, 8.0
"""Queries and keys are made smaller and values larger than drawn, so that all that stands above a token matters."""

FEW_SHOT = (
    FewShotNeuron(
        "words for water",
        (
            FewShotExcerpt(("The", " river", " ran", " dry"), (0, 10, 0, 1), 2),
            FewShotExcerpt((" a", "\tlake", "\n"), (0, 7, 0), 1),
        ),
    ),
    FewShotNeuron("full stops", (FewShotExcerpt(("End", ".", " Now"), (0, 10, 0), 0),)),
)


def tiny_tokenizer(*, ten: bool = True, merges: Sequence[tuple[str, str]] = ()) -> PreTrainedTokenizerFast:
    """Bytes, a few merges, and 10 as one token or as two; `merges` are in the alphabet of byte-level tokenizers."""
    space = "\N{LATIN CAPITAL LETTER G WITH DOT ABOVE}"
    joined = [("t", "h"), ("th", "e"), (space, "a"), (space, "the"), *merges, *([("1", "0")] if ten else [])]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    texts = [END_OF_TEXT, *alphabet, *(left + right for left, right in joined)]
    vocabulary = {text: token_id for token_id, text in enumerate(dict.fromkeys(texts))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=joined))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not merges)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END_OF_TEXT])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END_OF_TEXT)  # type: ignore[no-untyped-call]


def tiny_llama(tokenizer: PreTrainedTokenizerFast, context: int = 2048) -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.4,
        tie_word_embeddings=False,
        eos_token_id=tokenizer.eos_token_id,
    )
    return _drawn(LlamaForCausalLM, config)


def tiny_gpt2(tokenizer: PreTrainedTokenizerFast, context: int = 2048) -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=context,
        initializer_range=0.4,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.eos_token_id,
    )
    return _drawn(GPT2LMHeadModel, config)


def bundled_gpt2(context: int = 512) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The bundled subject with its own tokenizer, and its 128 positions stretched so that a whole prompt has a place.

    It was trained on other text than prompts, and its positions are no longer its own; but its numbers are its own.
    """
    folder = Path(neuron_assets.subjects.bundled.__file__).parent
    model = GPT2LMHeadModel.from_pretrained(folder, trust_remote_code=False, dtype=torch.float32)
    old = model.transformer.wpe.weight.detach()
    stretched = torch.nn.functional.interpolate(old.T[None], size=context, mode="linear")[0].T.contiguous()
    model.transformer.wpe = torch.nn.Embedding(context, stretched.shape[1], _weight=stretched)
    model.config.n_positions = context
    model.eval()  # type: ignore[no-untyped-call]
    return model, PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))  # type: ignore[no-untyped-call]


def local(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, *, temperature: float = 0) -> LocalModel:
    return LocalModel("tiny", "tiny@tests", model, tokenizer, temperature)


def _drawn(
    kind: type[LlamaForCausalLM | GPT2LMHeadModel], config: LlamaConfig | GPT2Config
) -> LlamaForCausalLM | GPT2LMHeadModel:
    config._attn_implementation = "sdpa"
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = kind(config)  # type: ignore[arg-type]
        for name, weight in model.named_parameters():
            if name.endswith(("q_proj.weight", "k_proj.weight")):
                weight.mul_(SOFTER)
            elif name.endswith(("v_proj.weight", "o_proj.weight", "attn.c_proj.weight")):
                weight.mul_(STRONGER)
            elif name.endswith("attn.c_attn.weight"):  # queries, keys and values side by side
                weight.mul_(torch.tensor([SOFTER, SOFTER, STRONGER]).repeat_interleave(weight.shape[0]))
    model.eval()  # type: ignore[no-untyped-call]
    return model
