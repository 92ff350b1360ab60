"""What it saves that a replacement of a neuron runs the bundled subject from the neuron's layer on only.

It is compared with the plain way, a whole forward pass with its head for each replacement, under the same load: both in
turns, on the same excerpts in the same batches, and the true distributions are made for neither more than once. The
clock is the processor's time of one thread, the least of some rounds.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from jaxtyping import Int

from benchmarks.row import Row
from neuron_assets.subjects.ablation import Replacements, jensen_shannon, replace
from neuron_assets.subjects.bundled.opening import open_speaking_bundled
from neuron_assets.subjects.output_side import output_side
from neuron_assets.subjects.speaking import SpeakingSubject

_N_EXCERPTS, _N_TOKENS, _N_NEURONS, _ROUNDS = 8, 64, 16, 3


def benchmark() -> list[Row]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [*_replacing(open_speaking_bundled()), _showing(open_speaking_bundled())]
    finally:
        torch.set_num_threads(n_threads)


def _replacing(subject: SpeakingSubject) -> list[Row]:
    random = np.random.default_rng(0)
    token_ids = random.integers(1, subject.n_vocabulary, (_N_EXCERPTS, _N_TOKENS))
    neurons, excerpts = np.repeat(np.arange(_N_NEURONS), _N_EXCERPTS), np.tile(np.arange(_N_EXCERPTS), _N_NEURONS)
    rows = Replacements(neurons, excerpts, random.normal(size=(len(neurons), _N_TOKENS)))
    layers = (0, subject.n_layers // 2, subject.n_layers - 1)
    ways: dict[str, Callable[[], object]] = {"plain": lambda: _plainly(subject, torch.from_numpy(token_ids))}
    ways |= {f"layer {index}": partial(replace, subject, token_ids, index, rows) for index in layers}
    least = {name: min(_seconds(way) for _ in range(_ROUNDS)) for name, way in ways.items()}
    plain = least.pop("plain")
    blocks = {f"layer {index}": _share_of_blocks(subject, token_ids, index) for index in layers}
    return [Row("ablation: a replacement in the plain way, CPU ms", f"{1e3 * plain / len(neurons):.1f}")] + [
        Row(
            f"ablation: a replacement at {name} of {subject.n_layers}, CPU ms",
            f"{1e3 * seconds / len(neurons):.1f}, of the plain {seconds / plain:.2f}, its blocks {blocks[name]:.2f}",
        )
        for name, seconds in least.items()
    ]


def _share_of_blocks(subject: SpeakingSubject, token_ids: Int[np.ndarray, "excerpt token"], layer_index: int) -> float:
    """Of the time of a pass without head, what running it again from a layer on takes."""
    spoken, bottom = subject.speak(token_ids, layer_index), subject.speak(token_ids, 0)
    rows = torch.arange(len(token_ids))
    again, whole = (
        min(_seconds(partial(subject.speak_again, of, rows)) for _ in range(5 * _ROUNDS)) for of in (spoken, bottom)
    )
    return again / whole


def _plainly(subject: SpeakingSubject, token_ids: torch.Tensor) -> None:
    model = subject._whole  # noqa: SLF001  # the very model
    with torch.inference_mode():
        true = model(input_ids=token_ids, use_cache=False).logits
        for _ in range(_N_NEURONS):
            others = model(input_ids=token_ids, use_cache=False).logits
            for one, other in zip(true, others, strict=True):
                for first in range(0, _N_TOKENS, 16):
                    jensen_shannon(one[first : first + 16], other[None, first : first + 16])


def _showing(subject: SpeakingSubject) -> Row:
    seconds = min(_seconds(lambda: output_side(subject, 0)) for _ in range(_ROUNDS))
    return Row(f"output side: {subject.n_neurons} neurons of {subject.n_vocabulary} tokens, CPU s", f"{seconds:.2f}")


def _seconds(way: Callable[[], object]) -> float:
    began = time.process_time()
    way()
    return time.process_time() - began
