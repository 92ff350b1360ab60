"""What a harvest holds in memory, for a corpus and for one of twice the size: it must not grow with the corpus.

Each is measured in a process of its own, as the highest that its resident memory ever stood at.
"""

import resource
import subprocess
import sys

import torch

from benchmarks.row import Row
from benchmarks.subjects import PLAN, hooked, random_corpus, random_model
from neuron_assets.subjects.harvest import harvest

_BYTES_A_UNIT = 1 if sys.platform == "darwin" else 1024
"""Of `ru_maxrss`."""


def benchmark(n_excerpts: int = 640) -> list[Row]:
    """The rows of memory."""
    once, twice = (_peak_megabytes_of_a_process(n) for n in (n_excerpts, 2 * n_excerpts))
    return [
        Row(
            f"peak memory, 6 x 256 fp32, {2 * n_excerpts} / {n_excerpts} excerpts",
            f"{twice / once:.3f} ({twice:.0f} / {once:.0f} MB)",
            "<= 1.15",
        )
    ]


def peak_megabytes(n_excerpts: int) -> float:
    """Of this process, once it has harvested a random corpus of that size."""
    torch.set_num_threads(1)
    token_ids, pools = random_corpus(n_excerpts)
    subject = hooked(random_model(n_layers=6, width=256))
    harvest(subject, token_ids, pools, range(subject.n_layers), PLAN)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_A_UNIT / 1e6


def _peak_megabytes_of_a_process(n_excerpts: int) -> float:
    command = [sys.executable, "-m", "benchmarks.memory", str(n_excerpts)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    print(peak_megabytes(int(sys.argv[1])))
