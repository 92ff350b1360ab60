"""What one pass for all layers saves, against a pass for each: a pass ends above its layer, and they are still many.

The passes for all layers stand among the others, a third and two thirds of their time through, so that both are met by
the same load. The clock is the processor's time of one thread. Little is kept, for so few excerpts would else be
copied nearly all; with more of them, what harvesting adds to a pass fades, and the ratio nears its 6.3.

    python -m benchmarks.passes 192        a corpus of so many excerpts, about three minutes
"""

import sys
import time
from collections.abc import Sequence

import torch

from benchmarks.row import Row
from benchmarks.subjects import hooked, random_corpus, random_model
from neuron_assets.method.records import SPLITS
from neuron_assets.subjects.harvest import HarvestPlan, Kept, harvest

N_LAYERS, WIDTH = 12, 768  # GPT-2 small
_PLAN = HarvestPlan({split: Kept(2, 2) for split in SPLITS}, n_sampled_tokens=256)
_ALL_AFTER = (6, 9)
"""Layers, upwards, after which a pass for all of them stands: their passes take about a third of the time each."""


def compare(n_excerpts: int) -> float:
    """How many times as long a pass for each layer takes."""
    torch.set_num_threads(1)
    token_ids, pools = random_corpus(n_excerpts)
    subject = hooked(random_model(n_layers=N_LAYERS, width=WIDTH))

    def seconds(layers: Sequence[int]) -> float:
        began = time.process_time()
        harvest(subject, token_ids, pools, layers, _PLAN)
        return time.process_time() - began

    seconds([0])  # warms up
    of_each, of_all = [], []
    for layer in range(N_LAYERS):
        of_each.append(seconds([layer]))
        if layer in _ALL_AFTER:
            of_all.append(seconds(range(N_LAYERS)))
    return sum(of_each) / (sum(of_all) / len(of_all))


def benchmark(n_excerpts: int = 192) -> list[Row]:
    """The row of the passes."""
    name = f"{N_LAYERS} passes of a layer / one of all, {N_LAYERS} x {WIDTH} fp32, {n_excerpts} excerpts"
    return [Row(name, f"{compare(n_excerpts):.2f}", ">= 6")]


if __name__ == "__main__":
    print(compare(int(sys.argv[1])))
