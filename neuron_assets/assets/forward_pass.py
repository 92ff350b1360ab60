"""Forward passes over the excerpts: as few as memory allows, each layer set aside as soon as its pass has ended.

Put here: the way from excerpts and keys of layers to what lies aside. Keep out: the asset (`activations.py`), the pass
itself (`subjects/harvest.py`), what lies aside (`shared_pass.py`). Everything heavy is imported within the step.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
from pydantic import Field

from neuron_assets.assets.checkpoint_file import CheckpointFile
from neuron_assets.assets.partitions import layer_index
from neuron_assets.assets.shared_pass import MADE_BY_RUN, HarvestedTables, SharedPass
from neuron_assets.errors import SubjectError
from neuron_assets.method.records import SPLITS
from neuron_assets.study import Study
from neuron_assets.subject_opening import open_speaking, open_subject, with_units

if TYPE_CHECKING:
    from neuron_assets.subjects.fitting import Lent
    from neuron_assets.subjects.harvest import LayerHarvest, PassFacts
    from neuron_assets.subjects.speaking import SpeakingSubject
    from neuron_assets.subjects.subject import Subject


@dataclass(frozen=True, slots=True)
class OnePass:
    """One of the passes that a run makes."""

    layers: Sequence[int]
    number: int
    """From one on."""
    n_passes: int

    def __str__(self) -> str:
        first, last, n_layers = self.layers[0], self.layers[-1], len(self.layers)
        which = f"L{first}" if n_layers == 1 else f"{n_layers} layers, L{first} to L{last}"
        return which if self.n_passes == 1 else f"{which}, pass {self.number} of {self.n_passes}"


Progress = Callable[[logging.Logger, OnePass], Callable[[int, int], None]]
"""Takes the run's log and what is run; gives what hears, batch by batch, how many excerpts are done and of how many."""


_SECONDS_BETWEEN_LINES = 60


class OnDevice(dg.Config):
    """Where the subject is run."""

    device: str = Field(
        default="auto",
        pattern="^(auto|cpu|mps|cuda(:([0-9]+|all))?)$",
        description="cpu, cuda, cuda:1, mps, or cuda:all for several GPUs; auto takes a GPU where one is.",
    )


class Speed(OnDevice):
    """What changes the speed of the pass, not its result (but for rounding)."""

    batch_size: int | None = Field(
        default=None, ge=1, description="Excerpts a batch; as many as are fast, if not given."
    )
    checkpoint_minutes: float = Field(default=5, ge=0, description="How often the pass sets down how far it has come.")
    most_memory_gb: float | None = Field(
        default=None, gt=0, description="For what is kept while a pass runs; half of what is free, if not given."
    )


@dataclass(frozen=True, slots=True, eq=False)
class ForwardPasses:
    """The passes that one run makes."""

    study: Study
    shared: SharedPass
    speed: Speed
    progress: Progress
    log: logging.Logger

    def set_aside(self, keys: Sequence[str]) -> None:
        """Harvests the layers of these keys, and sets their tables aside."""
        from neuron_assets.assets.harvested import harvest_plan
        from neuron_assets.subjects.fitting import fitting_batch_size, look_at, state_bytes
        from neuron_assets.subjects.harvest import harvest

        excerpts = self.shared.excerpts
        plan, (subject, speaking) = harvest_plan(self.study), self._open()
        token_ids = excerpts["token_ids"].explode().to_numpy().reshape(excerpts.height, -1)
        pools = excerpts["split"].cast(pl.Enum(SPLITS)).to_physical().to_numpy()
        key_of = {layer_index(key): key for key in keys}
        lent = look_at(subject, token_ids, min(key_of))
        checkpoint = self._checkpoint()
        groups = self._groups(list(key_of), state_bytes(plan, lent), lent, checkpoint.layers())
        for number, group in enumerate(groups, 1):
            began = time.monotonic()
            checkpoint.begin(group)
            found = harvest(
                subject,
                token_ids,
                pools,
                group,
                plan,
                batch_size=self.speed.batch_size or fitting_batch_size(lent, state_bytes(plan, lent) * len(group)),
                on_progress=self.progress(self.log, OnePass(group, number, len(groups))),
                checkpoints=checkpoint,
            )
            passes = {"layers_of_the_pass": len(group), "passes": len(groups)}
            seconds = {"seconds_of_the_pass": round(time.monotonic() - began, 1)}
            self._warn(found[group[0]].facts)
            for index in group:
                layer = found.pop(index)  # so that only one is there as tables
                facts: dict[str, int | float | str] = {**_told(layer.facts), **passes, **seconds}
                facts[MADE_BY_RUN] = self.shared.run_id
                self.shared.set_aside(key_of[index], HarvestedTables(self._frames(index, layer, speaking, lent), facts))
            checkpoint.remove()

    def _open(self) -> "tuple[Subject, SpeakingSubject | None]":
        """The subject, and the same with its head where its neurons' output side is asked for and there is one."""
        if not self.study.activations.output_side:
            return open_subject(self.study, self.speed.device), None
        try:
            speaking = open_speaking(self.study, self.speed.device)
        except SubjectError as error:  # without its head it may be as it should be; if not, that is said below
            self.log.info("The output side of its units is left empty: %s", error)
            return open_subject(self.study, self.speed.device), None
        return with_units(self.study, speaking), speaking

    def _frames(
        self, index: int, layer: "LayerHarvest", speaking: "SpeakingSubject | None", lent: "Lent"
    ) -> Mapping[str, pl.DataFrame]:
        from neuron_assets.assets.harvested import NO_OUTPUT_SIDE, activations_frame, output_columns, statistics_frame

        side = NO_OUTPUT_SIDE
        if speaking is not None:
            side = output_columns(speaking, index, lent.device, signed=self.study.units.signed)
        return {
            "activations": activations_frame(index, layer),
            "neuron_statistics": statistics_frame(index, layer, side),
        }

    def _checkpoint(self) -> CheckpointFile:
        made_from = {
            **self.shared.made_from,
            "batch size": str(self.speed.batch_size or "fitting"),
            "device": self.speed.device,
            "memory limit": str(self.speed.most_memory_gb or "fitting"),  # another cuts layers into other passes
        }
        seconds = self.speed.checkpoint_minutes * 60
        return CheckpointFile(self.shared.checkpoint, made_from, seconds, self.log)

    def _groups(self, layers: Sequence[int], bytes_a_layer: int, lent: "Lent", begun: Sequence[int]) -> list[list[int]]:
        """The layers of each pass; those of a pass that was broken off come first."""
        from neuron_assets.subjects.fitting import bytes_for_state, layer_groups

        most_gb = self.speed.most_memory_gb
        most_bytes = bytes_for_state(lent.device) if most_gb is None else int(most_gb * 1e9)
        first = [list(begun)] if begun and set(begun) <= set(layers) else []
        rest = sorted(set(layers) - {layer for group in first for layer in group})
        return first + (layer_groups(rest, bytes_a_layer, most_bytes) if rest else [])

    def _warn(self, facts: "PassFacts") -> None:
        if facts.batch_size_lowered_from is not None:
            self.log.warning(
                "Memory did not suffice for batches of %d excerpts: the pass ended with batches of %d.",
                facts.batch_size_lowered_from,
                facts.batch_size,
            )


def log_progress(log: logging.Logger, what: OnePass) -> Callable[[int, int], None]:
    """Tells the run's log about each tenth of the pass, and about each minute."""
    began = last = time.monotonic()
    first = told = -1

    def on_progress(done: int, total: int) -> None:
        nonlocal first, told, began, last
        now = time.monotonic()
        if first < 0:
            first, told, began, last = done, done * 10 // total, now, now
        elif done * 10 // total > told or now - last >= _SECONDS_BETWEEN_LINES:
            told, last = done * 10 // total, now
            pace = max(done - first, 1) / max(now - began, 1e-9)
            left = timedelta(seconds=round((total - done) / pace))
            log.info("%d of %d excerpts, %.0f a second, %s left: %s", done, total, pace, left, what)

    return on_progress


def _told(facts: "PassFacts") -> Mapping[str, int]:
    told = {
        "forward_passes": facts.n_forward_passes,
        "tokens": facts.n_tokens,
        "batch_size": facts.batch_size,
        "batch_size_lowered_from": facts.batch_size_lowered_from,
        "resumed_at_excerpt": facts.resumed_at_excerpt,
    }
    return {name: value for name, value in told.items() if value is not None}
