"""What it saves to simulate in this process with the worked examples read once, against one whole prompt an excerpt.

Both ways run in turns, under the same load; the clock is the processor's time of one thread. The model is a random
Llama, the worked examples are padded to the length that is common for such prompts.

    python -m benchmarks.sharing 3        three neurons of ten excerpts on 4 layers x 256, some minutes
"""

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.row import Row
from neuron_assets.language_models.local import LocalModel
from neuron_assets.language_models.local_simulating import simulate_all_at_once
from neuron_assets.language_models.value_tokens import encoded, value_tokens
from neuron_assets.method.few_shot import FewShotExcerpt, FewShotNeuron
from neuron_assets.method.simulating.all_at_once import excerpt_part, explanation_part, shared_part
from neuron_assets.method.simulating.expected import distribution_from_log_probabilities
from neuron_assets.project import BUNDLED_STUDIES

N_SHARED = 1800
N_EXCERPTS = 10
N_TOKENS = 64


def compare(n_neurons: int, *, n_layers: int = 4, width: int = 256) -> tuple[float, float]:
    """How many times as long it takes without sharing, and the largest difference of a probability."""
    torch.set_num_threads(1)
    model = _random_llama(n_layers, width)
    few_shot = _few_shot(model)
    random = np.random.default_rng(0)
    seconds = {"shared": 0.0, "alone": 0.0}
    largest = 0.0
    words = [" the", " wren", " sings", ".", " in", " spring", "\n", " we", " hear", " it"]
    items = [
        (f"words of kind {number}", random.choice(words, (N_EXCERPTS, N_TOKENS)).tolist())
        for number in range(n_neurons + 1)
    ]
    shared = simulate_all_at_once(model, items, few_shot, rows_at_once=N_EXCERPTS)
    next(shared)  # warms up, and reads the worked examples: once for all neurons of a study
    for explanation, excerpts in items[1:]:
        found = _timed(seconds, "shared", partial(next, shared))
        for tokens, distribution in zip(excerpts, found, strict=True):
            alone = _timed(seconds, "alone", partial(_unshared, model, explanation, tokens, few_shot))
            largest = max(largest, float(np.abs(alone - distribution).max()))
    return seconds["alone"] / seconds["shared"], largest


def benchmark() -> list[Row]:
    """The row of sharing, on two neurons; reading the worked examples, once for all, is not counted in."""
    ratio, largest = compare(2)
    name = f"simulating: unshared / shared, {N_SHARED} shared tokens, random Llama 4 x 256, 2 neurons"
    return [Row(name, f"{ratio:.2f}, differing by {largest:.0e}", ">= 3.5, differing by at most 1e-5")]


def _unshared(
    model: LocalModel, explanation: str, tokens: Sequence[str], few_shot: Sequence[FewShotNeuron]
) -> np.ndarray:
    before, part = explanation_part(explanation, len(few_shot) + 1), excerpt_part(tokens)
    read = encoded(model, before + part.text)
    prefix = model.tokenizer(shared_part(few_shot))["input_ids"]
    places = [len(prefix) + read.starts[len(before) + offset] - 1 for offset in part.unknown_offsets]
    ids = list(value_tokens(model).ids)
    with torch.inference_mode():
        hidden = model.model.base_model(torch.tensor([prefix + read.ids]), use_cache=False).last_hidden_state
        head = model.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        logits = hidden[0, places] @ head.weight[ids].T
    return distribution_from_log_probabilities(logits.numpy())


def _timed(seconds: dict[str, float], name: str, work: Callable[[], np.ndarray]) -> np.ndarray:
    began = time.process_time()
    done = work()
    seconds[name] += time.process_time() - began
    return done


def _random_llama(n_layers: int, width: int) -> LocalModel:
    path = BUNDLED_STUDIES.parent / "subjects" / "bundled" / "tokenizer.json"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_file(str(path)))  # type: ignore[no-untyped-call]
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=width * 43 // 16,
        num_hidden_layers=n_layers,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=8192,
    )
    config._attn_implementation = "sdpa"  # noqa: SLF001  # as the library itself sets it
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    model.eval()  # type: ignore[no-untyped-call]
    return LocalModel("random", "random", model, tokenizer)


def _few_shot(model: LocalModel) -> list[FewShotNeuron]:
    """Worked examples of as many tokens of the model as are wanted, or a few more."""
    excerpt = FewShotExcerpt((" the", " wren", " sings", "."), (0, 10, 2, 0), 1)
    few_shot: list[FewShotNeuron] = []
    while len(model.tokenizer(shared_part(few_shot))["input_ids"]) < N_SHARED:
        few_shot.append(FewShotNeuron("names of birds", (excerpt,) * 3))
    return few_shot


if __name__ == "__main__":
    print(compare(int(sys.argv[1])))
