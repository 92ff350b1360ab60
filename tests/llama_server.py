"""A llama.cpp server on this machine for tests: its own program, over a tiny model that was drawn at random.

    write_random_llama   the model, as a GGUF file of a few MB, with a tokenizer of its own
    serving              the server on a free port of 127.0.0.1, until the end of the block

Here: a server that nobody of this project wrote. Not here: servers that count or misbehave on purpose
(`language_models/misbehaving_server.py`), and what is asked.
"""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ALIAS = "drawn-at-random"
"""The model's name, as the server tells it."""
CONTEXT = 8192
"""Tokens of one conversation."""

_HIDDEN, _INNER, _LAYERS, _HEADS = 64, 128, 2, 4
_VOCABULARY = 1024
_END = "<|end|>"
_LEANING = 0.2
"""What stands in the first place of every token's vector, so that the first place of an output weight is a bias."""
_WHITE_SPACE = "\u0120\u010a\u0109"
"""A blank, a new line and a tab, in the alphabet of byte-level tokenizers."""
_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "


def missing_packages() -> list[str]:
    """What would have to be installed first."""
    return [name for name in ("gguf", "xllamacpp") if importlib.util.find_spec(name) is None]


def write_random_llama(path: Path, text: str, seed: int = 0) -> None:
    """A language model of the Llama architecture with random weights; its tokens are fitted to `text`."""
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(ALIAS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(_HIDDEN)
    writer.add_feed_forward_length(_INNER)
    writer.add_block_count(_LAYERS)
    writer.add_head_count(_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(_HIDDEN // _HEADS)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    tokens, merges = _fitted_tokenizer(text)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if one == _END else gguf.TokenType.NORMAL for one in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokens.index(_END))
    writer.add_eos_token_id(tokens.index(_END))
    writer.add_add_bos_token(value=False)
    writer.add_chat_template(_TEMPLATE)
    for name, weights in _drawn(tokens, seed):
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@contextmanager
def serving(model: Path, log: Path, n_at_once: int = 8) -> Iterator[str]:
    """The base URL of a server that answers so many requests at the same time."""
    command = [sys.executable, str(Path(__file__)), str(model), str(n_at_once)]
    with (
        log.open("wb") as noise,
        # The server ends with its input, so it is gone even where this process is killed.
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=noise, text=True) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            told = next((line for line in process.stdout if line.startswith("http")), None)
            assert told is not None, log.read_text(errors="replace")
            yield f"{told.strip()}/v1"
        finally:
            process.stdin.close()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _fitted_tokenizer(text: str) -> tuple[list[str], list[str]]:
    """Tokens in the order of their ids, and the merges that make them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[_END],
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    fitted = json.loads(tokenizer.to_str())["model"]
    return sorted(fitted["vocab"], key=fitted["vocab"].get), [" ".join(pair) for pair in fitted["merges"]]


def _drawn(tokens: list[str], seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """The weights by their names in a GGUF file.

    All are drawn, but for two habits that save time: it ends a reply after some dozen tokens, and where there may be
    white space or none, it mostly leaves it out.
    """
    rng = np.random.default_rng(seed)
    table = (len(tokens), _HIDDEN)
    shapes: dict[str, tuple[int, ...]] = {"token_embd": table, "output": table, "output_norm": (_HIDDEN,)}
    for layer in range(_LAYERS):
        shapes |= {
            f"blk.{layer}.attn_norm": (_HIDDEN,),
            f"blk.{layer}.ffn_norm": (_HIDDEN,),
            **{f"blk.{layer}.attn_{part}": (_HIDDEN, _HIDDEN) for part in ("q", "k", "v", "output")},
            f"blk.{layer}.ffn_gate": (_INNER, _HIDDEN),
            f"blk.{layer}.ffn_up": (_INNER, _HIDDEN),
            f"blk.{layer}.ffn_down": (_HIDDEN, _INNER),
        }
    for name, shape in shapes.items():
        drawn = np.ones(shape) if name.endswith("norm") else rng.normal(scale=0.05, size=shape)
        if name == "token_embd":
            drawn[:, 0] = _LEANING
        if name == "output":
            drawn[:, 0] = [_bias(token) for token in tokens]
        yield f"{name}.weight", drawn.astype(np.float32)


def _bias(token: str) -> float:
    """About what is added to the token's logit."""
    if token == _END:
        return 1.6
    return -2.0 if not token.strip(_WHITE_SPACE) else 0.0


def _serve(model: str, n_at_once: int) -> None:
    """Serves until standard input ends."""
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = model
    settings.model_alias = {ALIAS}
    settings.n_parallel = n_at_once
    settings.n_ctx = n_at_once * CONTEXT
    settings.hostnames = ["127.0.0.1"]
    settings.port = 0
    settings.warmup = False
    settings.cpuparams.n_threads = 1
    settings.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)  # noqa: T201  # whoever started it reads where it is
    sys.stdin.read()
    sys.stdout.flush()
    del server


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
