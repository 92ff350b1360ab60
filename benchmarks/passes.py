"""What one pass for all layers saves, against a pass for each: a pass ends above its layer, and they are still many.

Batch by batch, what a pass runs of the model is run for all layers and for each, one right after the other, and so
compared under the same load. What is kept of a layer is the same either way: so its time is taken once, and counts for
both. The clock is the processor's time of one thread. Little is kept: of so few excerpts nearly all would else be
copied. With more of them that time fades, and the ratio nears the 6.3 of what is run.

    python -m benchmarks.passes 192        a corpus of so many excerpts, about three minutes
"""

import sys
import time
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from tokenizers import Tokenizer, models

from benchmarks.row import Row
from benchmarks.subjects import random_corpus, random_model
from neuron_assets.method.records import SPLITS
from neuron_assets.subjects.harvest import HarvestPlan, Kept, harvest
from neuron_assets.subjects.hooked import HookedSubject
from neuron_assets.subjects.pieces import Pieces
from neuron_assets.subjects.subject import Receive

N_LAYERS, WIDTH = 12, 768  # GPT-2 small
_PLAN = HarvestPlan({split: Kept(2, 2) for split in SPLITS}, n_sampled_tokens=256)


class Passes(HookedSubject):
    """Runs each batch as it is told to, and then for nobody, of all layers at once and of each; takes the times."""

    seconds_of_all = seconds_of_each = 0.0

    def run(self, token_ids: Int[np.ndarray, "excerpt token"], layers: Sequence[int], receive: Receive) -> None:
        super().run(token_ids, layers, receive)
        self.seconds_of_each += sum(self._seconds(token_ids, [layer]) for layer in layers)
        self.seconds_of_all += self._seconds(token_ids, layers)

    def _seconds(self, token_ids: Int[np.ndarray, "excerpt token"], layers: Sequence[int]) -> float:
        began = time.process_time()
        super().run(token_ids, layers, lambda _layer_index, _activations: None)
        return time.process_time() - began


def compare(n_excerpts: int) -> tuple[float, float]:
    """How many times as long a pass for each layer takes: all in, and what is run of the model alone."""
    torch.set_num_threads(1)
    token_ids, pools = random_corpus(n_excerpts)
    subject = Passes("random", random_model(n_layers=N_LAYERS, width=WIDTH), Pieces(Tokenizer(models.BPE())))
    HookedSubject.run(subject, token_ids[:32], [0], lambda _layer_index, _activations: None)  # warms up
    began = time.process_time()
    harvest(subject, token_ids, pools, range(N_LAYERS), _PLAN)
    one_pass = time.process_time() - began - subject.seconds_of_each - subject.seconds_of_all
    beside_the_model = one_pass - subject.seconds_of_all
    return (
        (subject.seconds_of_each + beside_the_model) / one_pass,
        subject.seconds_of_each / subject.seconds_of_all,
    )


def benchmark(n_excerpts: int = 192) -> list[Row]:
    """The row of the passes."""
    all_in, of_the_model = compare(n_excerpts)
    name = f"{N_LAYERS} passes of a layer / one of all, {N_LAYERS} x {WIDTH} fp32, {n_excerpts} excerpts, few kept"
    return [Row(name, f"{all_in:.2f} ({of_the_model:.2f} of the model alone)", ">= 6 from 2,000 excerpts on")]


if __name__ == "__main__":
    print(compare(int(sys.argv[1])))
