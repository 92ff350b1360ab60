"""The harvest of a model of GPT-2 XL's shape on a GPU, beside its bare pass: `python -m benchmarks.gpu 60000`.

Random weights in bfloat16, excerpts of 64 tokens; the clock is the wall's, for the GPU is one's own. Each is run by
itself over the same excerpts in the same batches, the bare pass before and after, so that a clock that drifts shows.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Int

from benchmarks.subjects import PLAN, hooked, random_corpus, random_model
from neuron_assets.errors import UnusableSubject
from neuron_assets.subjects.fitting import fitting_batch_size, look_at, state_bytes
from neuron_assets.subjects.harvest import harvest

N_LAYERS, WIDTH = 48, 1600  # GPT-2 XL


def main(n_excerpts: int) -> None:
    """Prints seconds and their ratio."""
    if not torch.cuda.is_available():
        raise UnusableSubject("random", "this benchmark is of a GPU, and torch finds none")
    with torch.device("cuda"):
        subject = hooked(random_model(n_layers=N_LAYERS, width=WIDTH, dtype=torch.bfloat16))
    token_ids, pools = random_corpus(n_excerpts)
    lent = look_at(subject, token_ids, 0)
    batch_size = fitting_batch_size(lent, state_bytes(PLAN, lent) * N_LAYERS)
    _bare(subject, token_ids[: 2 * batch_size], batch_size)  # warms up
    harvest(subject, token_ids[:2000], pools[:2000], range(N_LAYERS), PLAN, batch_size=batch_size)
    before = _seconds(lambda: _bare(subject, token_ids, batch_size))
    harvested = _seconds(lambda: harvest(subject, token_ids, pools, range(N_LAYERS), PLAN, batch_size=batch_size))
    after = _seconds(lambda: _bare(subject, token_ids, batch_size))
    print(f"{torch.cuda.get_device_name()}, {N_LAYERS} x {WIDTH} bf16, {n_excerpts} excerpts, batches of {batch_size}")
    print(
        f"bare pass {before:.1f} s and {after:.1f} s, harvest {harvested:.1f} s: {2 * harvested / (before + after):.3f}"
    )
    print(f"most memory {torch.cuda.max_memory_allocated() / 1e9:.1f} GB")


def _bare(subject: object, token_ids: Int[np.ndarray, "excerpt token"], batch_size: int) -> None:
    model = subject._base  # type: ignore[attr-defined]  # noqa: SLF001  # the very model that is harvested
    with torch.inference_mode():
        for first in range(0, len(token_ids), batch_size):
            ids = torch.from_numpy(token_ids[first : first + batch_size].astype(np.int64)).cuda()
            model(input_ids=ids, use_cache=False)


def _seconds(work: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60_000)
