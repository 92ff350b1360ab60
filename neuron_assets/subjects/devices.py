"""What is done otherwise on a GPU than on a CPU, and how much memory either has left.

Here: the two questions, and the compiled kernel. Not here: what is kept there (`layer_state`), how a pass is cut to fit
(`fitting`).

A CPU is fastest in small steps that stay in its cache, and waits for nothing. A GPU is fastest in few large steps, and
loses time whenever Python has to read a number off it: so there a layer is looked at once for all its excerpts, and
what enters is settled for many layers together. Not measured, but reckoned: for GPT-2 XL in half precision, one reading
of the activations takes 3 % of the time of the pass, one kernel or wait more a layer some tenths of a percent.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

import psutil
import torch

F = TypeVar("F", bound=Callable[..., Any])

_SHARE_HELD = 8
"""Up to one part in so many of a GPU's memory are activations of layers that wait to be settled together."""
_SIGNS_OF_WANT = ("allocate memory", "out of memory", "alloc_failed")


def works_in_small_steps(device: torch.device) -> bool:
    return device.type == "cpu"


def in_one_kernel(function: F, device: torch.device) -> F:
    """The function, on a GPU compiled into one kernel where that can be done: it reads its tensors once then."""
    return cast("F", _compiled(function)) if device.type == "cuda" else function


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    torch._dynamo.config.suppress_errors = True  # noqa: SLF001  # its public name: without a compiler it runs as it is
    return torch.compile(function)


def bytes_to_hold(device: torch.device) -> int:
    """So many bytes of activations may wait; none on a CPU, where waiting saves nothing."""
    if device.type != "cuda":
        return 0
    return int(torch.cuda.get_device_properties(device).total_memory) // _SHARE_HELD


def free_bytes(device: torch.device) -> int:
    """What torch keeps of a GPU's memory for itself, and has lent to nobody, counts as free."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    return int(psutil.virtual_memory().available)


def let_go() -> None:
    """Gives back what torch keeps of GPUs' memory for itself."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether that is what torch, its libraries, its CPU allocator or numpy raise when there is no memory left."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS_OF_WANT)
    )
