"""The same top excerpts, harvested as other tools offer it: `python -m benchmarks.peers 256` (`make bench-peers`).

Each batch is run bare and by each way in turn, right after one another, on the same model and the same excerpts; the
clock is the processor's time of one thread. What each way gives differs, and is said beside it: the tools of others
hand over tensors, and leave ranking, rows and statistics to their user. Memory is of a process of its own for each.
"""

import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer, models
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Model, PreTrainedTokenizerFast

from benchmarks.harvest import forward
from benchmarks.subjects import EXCERPT_LENGTH, PLAN, VOCABULARY, hooked, random_corpus
from neuron_assets.subjects.harvest import harvest
from neuron_assets.subjects.hooked import HookedSubject
from neuron_assets.subjects.subject import Receive, Subject

N_LAYERS, WIDTH = 12, 768  # GPT-2 small
N_KEPT = 20
BATCH_SIZE = 32

Activations = Mapping[int, Float[torch.Tensor, "excerpt token neuron"]]
Ids = Int[torch.Tensor, "excerpt token"]


@dataclass(frozen=True, slots=True)
class Way:
    name: str
    gives: str
    open: Callable[[Path], Callable[[Ids], None]]
    """From a folder with the model to what takes one batch."""


@dataclass
class MergedPeaks:
    """The top excerpts by neuron, as a user of a hooking tool would keep them: peaks and their excerpts, no rows."""

    peaks: dict[int, Float[torch.Tensor, "neuron kept"]] = field(default_factory=dict)
    excerpts: dict[int, Int[torch.Tensor, "neuron kept"]] = field(default_factory=dict)
    n_seen: int = 0

    def take(self, activations: Activations) -> None:
        n_excerpts = 0
        for layer_index, block in activations.items():
            n_excerpts = len(block)
            peaks = block.amax(1).T
            excerpts = torch.arange(self.n_seen, self.n_seen + n_excerpts).expand(peaks.shape)
            if layer_index in self.peaks:
                peaks = torch.cat([self.peaks[layer_index], peaks], 1)
                excerpts = torch.cat([self.excerpts[layer_index], excerpts], 1)
            best = peaks.topk(min(N_KEPT, peaks.shape[1]), dim=1)
            self.peaks[layer_index], self.excerpts[layer_index] = best.values, excerpts.gather(1, best.indices)
        self.n_seen += n_excerpts


@dataclass
class Everything:
    """All activations, as tools that cache first and rank later keep them; here in memory, in half precision."""

    kept: dict[int, list[Float[torch.Tensor, "excerpt token neuron"]]] = field(default_factory=dict)

    def take(self, activations: Activations) -> None:
        for layer_index, block in activations.items():
            self.kept.setdefault(layer_index, []).append(block.half())


def bare(folder: Path) -> Callable[[Ids], None]:
    model = _model(folder)
    return lambda ids: forward(model, ids.numpy())


def transformer_lens(folder: Path) -> Callable[[Ids], None]:
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(str(folder))
    merged = MergedPeaks()

    def take(ids: Ids) -> None:
        with torch.inference_mode():
            _, cache = bridge.run_with_cache(ids, names_filter=lambda name: name.endswith("mlp.hook_post"))
            merged.take({layer: cache[f"blocks.{layer}.mlp.hook_post"] for layer in range(N_LAYERS)})

    return take


def nnsight(folder: Path) -> Callable[[Ids], None]:
    from nnsight import NNsight

    traced = NNsight(_model(folder))
    merged = MergedPeaks()

    def take(ids: Ids) -> None:
        with torch.inference_mode():
            with traced.trace(ids):
                found = list().save()  # type: ignore[attr-defined]  # noqa: C408  # what the tool reads in a trace
                for block in traced.h:
                    found.append(block.mlp.c_proj.input)
            merged.take(dict(enumerate(found)))

    return take


def store_everything(folder: Path) -> Callable[[Ids], None]:
    model = _model(folder)
    kept = Everything()

    def hear(layer_index: int, _module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        kept.take({layer_index: inputs[0]})

    for layer_index in range(N_LAYERS):
        model.get_submodule(f"h.{layer_index}.mlp.c_proj").register_forward_pre_hook(partial(hear, layer_index))
    return lambda ids: forward(model, ids.numpy())


WAYS = (
    Way("bare forward pass", "nothing", bare),
    Way("TransformerLens, run_with_cache + top-k", "peaks and excerpts; runs the head, too", transformer_lens),
    Way("nnsight, trace + top-k", "peaks and excerpts", nnsight),
    Way("store everything, rank later", "all of it, not ranked yet", store_everything),
)


OURS = "neuron_assets harvest"
GIVES = "top and random rows of four pools, statistics, quantiles"


@dataclass
class Alongside:
    """The subject of our harvest, that runs each batch in the other ways too, and takes the times of all."""

    subject: HookedSubject
    others: Mapping[str, Callable[[Ids], None]]
    seconds: dict[str, float] = field(default_factory=dict)
    n_batches: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.subject, name)

    def run(self, token_ids: Int[np.ndarray, "excerpt token"], layers: Sequence[int], receive: Receive) -> None:
        ids = torch.from_numpy(token_ids.astype(np.int64))
        ours: Callable[[Ids], None] = lambda _ids: self.subject.run(token_ids, layers, receive)  # noqa: E731
        ways = {**self.others, OURS: ours}
        names = sorted(ways)
        turn = self.n_batches % len(names)
        for name in names[turn:] + names[:turn]:
            began = time.process_time()
            ways[name](ids)
            self.seconds[name] = self.seconds.get(name, 0) + time.process_time() - began
        self.n_batches += 1


def times(n_excerpts: int, folder: Path) -> Mapping[str, float]:
    """Seconds of each way, from one interleaved run; ours with its planning and finishing."""
    others = {way.name: way.open(folder) for way in WAYS}
    alongside = Alongside(hooked(_model(folder)), others)
    token_ids, pools = random_corpus(n_excerpts)
    for take in others.values():
        take(torch.from_numpy(token_ids[:2].astype(np.int64)))  # warms up
    began = time.process_time()
    harvest(cast("Subject", alongside), token_ids, pools, range(N_LAYERS), PLAN, batch_size=BATCH_SIZE)
    elsewhere = sum(seconds for name, seconds in alongside.seconds.items() if name != OURS)
    return {**alongside.seconds, OURS: time.process_time() - began - elsewhere}


def peak_megabytes(name: str, n_excerpts: int, folder: Path) -> float:
    """Of this process, once it has gone over the corpus in one way."""
    token_ids, pools = random_corpus(n_excerpts)
    if name == OURS:
        harvest(hooked(_model(folder)), token_ids, pools, range(N_LAYERS), PLAN, batch_size=BATCH_SIZE)
    else:
        take = next(way for way in WAYS if way.name == name).open(folder)
        for first in range(0, n_excerpts, BATCH_SIZE):
            take(torch.from_numpy(token_ids[first : first + BATCH_SIZE].astype(np.int64)))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main(n_excerpts: int) -> None:
    gives = {way.name: way.gives for way in WAYS} | {OURS: GIVES}
    with _saved_model() as folder:
        # First: a process starts with the highest that its parent ever stood at.
        memory = {
            name: [_megabytes_of_a_process(name, n, folder) for n in (n_excerpts, 2 * n_excerpts)] for name in gives
        }
        seconds = times(n_excerpts, folder)
    table = Table("way", "x bare pass", f"MB at {n_excerpts}", f"MB at {2 * n_excerpts}", "gives", title=TITLE)
    for name, what in gives.items():
        ratio = seconds[name] / seconds[WAYS[0].name]
        table.add_row(name, f"{ratio:.3f}", *(f"{megabytes:.0f}" for megabytes in memory[name]), what)
    Console(width=140).print(table)


TITLE = f"{N_LAYERS} x {WIDTH} fp32, random weights, excerpts of {EXCERPT_LENGTH} tokens, one thread, CPU time"


def _megabytes_of_a_process(name: str, n_excerpts: int, folder: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.peers", str(n_excerpts), name, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


@contextmanager
def _saved_model() -> Iterator[Path]:
    """A folder as the tools of others open it: weights, and a tokenizer that nobody asks."""
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=EXCERPT_LENGTH,
        n_embd=WIDTH,
        n_layer=N_LAYERS,
        n_head=WIDTH // 64,
        bos_token_id=0,
        eos_token_id=0,
    )
    words = {str(token_id): token_id for token_id in range(VOCABULARY)}
    specials = dict.fromkeys(("unk_token", "bos_token", "eos_token", "pad_token"), "0")
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=specials["unk_token"]))
    with tempfile.TemporaryDirectory() as folder:
        saving = multiprocessing.get_context("spawn").Process(target=_save, args=(config, tokenizer, specials, folder))
        saving.start()
        saving.join()
        yield Path(folder)


def _save(config: GPT2Config, tokenizer: Tokenizer, specials: Mapping[str, str], folder: str) -> None:
    """In a process of its own, whose memory is gone afterwards."""
    torch.manual_seed(0)
    GPT2LMHeadModel(config).save_pretrained(folder)
    made: Any = PreTrainedTokenizerFast
    made(tokenizer_object=tokenizer, **specials).save_pretrained(folder)


def _model(folder: Path) -> GPT2Model:
    model: GPT2Model = GPT2Model.from_pretrained(folder, attn_implementation="sdpa", local_files_only=True)
    model.train(mode=False)
    return model


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 2:
        print(peak_megabytes(sys.argv[2], int(sys.argv[1]), Path(sys.argv[3])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 256)
