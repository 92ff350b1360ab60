"""What harvesting other units than neurons adds: latents beside their encoder, both signs beside one.

The encoder is what nobody can save; what the harvest takes of each batch is compared with it in the same run. The clock
is the processor's time of one thread.

    python -m benchmarks.units        all rows, about two minutes
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int

from benchmarks.row import Row
from benchmarks.subjects import PLAN, hooked, random_corpus, random_model
from neuron_assets.subjects.autoencoder_config import AutoencoderConfig, Kind
from neuron_assets.subjects.derived import Compute, DerivedSubject, Units
from neuron_assets.subjects.harvest import harvest
from neuron_assets.subjects.signed import SignedSubject
from neuron_assets.subjects.sparse_autoencoders import Encoder
from neuron_assets.subjects.subject import Receive, Subject

_WIDTH, _N_LATENTS, _N_ACTIVE = 768, 12_288, 64
_SHIFT = -2.5
"""Bias of all latents, in deviations of what they are without it: about one in 160 is active."""


@dataclass
class Times:
    """Seconds of one harvest."""

    matrix: float = 0
    """In a product of the encoder's size, and nothing else."""
    encoding: float = 0
    harvesting: float = 0
    """In what hears the units."""
    whole: float = 0

    def of(self, name: str, work: Callable[[], torch.Tensor | None]) -> torch.Tensor | None:
        began = time.process_time()
        result = work()
        setattr(self, name, getattr(self, name) + time.process_time() - began)
        return result


@dataclass
class TimedSubject:
    """A subject of which is timed what hears it."""

    subject: Subject
    times: Times = field(default_factory=Times)
    name: str = "timed"

    @property
    def n_layers(self) -> int:
        return self.subject.n_layers

    @property
    def n_neurons(self) -> int:
        return self.subject.n_neurons

    def tokenize(self, text: str) -> list[int]:
        return self.subject.tokenize(text)

    def token_strings(self, token_ids: Sequence[int]) -> list[str]:
        return self.subject.token_strings(token_ids)

    def text(self, token_ids: Sequence[int]) -> str:
        return self.subject.text(token_ids)

    def run(self, token_ids: Int[np.ndarray, "excerpt token"], layers: Sequence[int], receive: Receive) -> None:
        def timed(layer_index: int, activations: Float[torch.Tensor, "excerpt token neuron"]) -> None:
            self.times.of("harvesting", lambda: receive(layer_index, activations))

        self.subject.run(token_ids, layers, timed)


def of_latents(kind: Kind, *, n_excerpts: int = 512) -> Times:
    """One harvest of the latents of a layer of GPT-2 small's width."""
    times = Times()
    subject = hooked(random_model(n_layers=1, width=_WIDTH))
    encoder = _encoder(kind)

    def open_layer(_layer: int, _heard: torch.Tensor) -> Compute:
        def encode(heard: Float[torch.Tensor, "excerpt token width"]) -> Float[torch.Tensor, "excerpt token unit"]:
            heard = heard / heard.std()  # else a random model's stream would excite nothing
            flat = heard.reshape(-1, _WIDTH)
            times.of("matrix", lambda: flat @ encoder.tensors["W_enc"])
            latents = times.of("encoding", lambda: encoder.encode(heard))
            assert latents is not None
            return latents

        return encode

    derived = DerivedSubject(subject, Units(_N_LATENTS, "residual", open_layer))
    return _timed(TimedSubject(derived, times), n_excerpts)


def signed_to_unsigned(*, n_layers: int, width: int, n_excerpts: int) -> tuple[float, float]:
    """Of the hooks, and of the whole run: two harvests of each kind in turns, the faster ones compared."""
    subject = hooked(random_model(n_layers=n_layers, width=width))
    one, both = list[Times](), list[Times]()
    for _ in range(2):
        one.append(_timed(TimedSubject(subject), n_excerpts))
        both.append(_timed(TimedSubject(SignedSubject(subject)), n_excerpts))
    hooks = min(each.harvesting for each in both) / min(each.harvesting for each in one)
    return hooks, min(each.whole for each in both) / min(each.whole for each in one)


def benchmark() -> list[Row]:
    torch.set_num_threads(1)
    rows = [_row(kind, of_latents(kind)) for kind in ("standard", "topk", "jumprelu")]
    hooks, whole = signed_to_unsigned(n_layers=4, width=256, n_excerpts=1024)
    return [*rows, Row("both signs / one, 4 x 256 fp32, 1,024 excerpts", f"{whole:.2f} ({hooks:.2f} by hooks)")]


def _row(kind: Kind, times: Times) -> Row:
    measured = f"{times.harvesting / times.encoding:.2f} (encoder / its product: {times.encoding / times.matrix:.2f})"
    return Row(
        f"harvest of {_N_LATENTS:,} latents / their encoder, {kind}, 768 fp32, 512 excerpts", measured, "<= 1.00"
    )


def _timed(subject: TimedSubject, n_excerpts: int) -> Times:
    token_ids, pools = random_corpus(n_excerpts)
    began = time.process_time()
    harvest(subject, token_ids, pools, range(subject.n_layers), PLAN, batch_size=32)
    subject.times.whole = time.process_time() - began
    return subject.times


def _encoder(kind: Kind) -> Encoder:
    """Random, and as sparse as a trained one."""
    random = torch.Generator().manual_seed(0)
    tensors = {
        "W_enc": torch.randn(_WIDTH, _N_LATENTS, generator=random) / _WIDTH**0.5,
        "b_enc": torch.full((_N_LATENTS,), _SHIFT if kind == "standard" else 0.0),
        "b_dec": torch.zeros(_WIDTH),
        "threshold": torch.full((_N_LATENTS,), -_SHIFT),
    }
    config = AutoencoderConfig(
        site="residual",
        width=_WIDTH,
        n_latents=_N_LATENTS,
        kind=kind,
        n_active=_N_ACTIVE if kind == "topk" else 0,
        norm="none",
        subtracts_decoder_bias=True,
        by_decoder_norm=False,
        centred=False,
    )
    return Encoder(config, tensors)


if __name__ == "__main__":
    for row in benchmark():
        print(row)
