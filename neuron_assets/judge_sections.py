"""The section of a study file that says who judges: who says yes or no to excerpts, reading an explanation.

Here: what may be written under `judge`, and the identity of each choice. Not here: which excerpts are judged
(`judging` in `sections.py`), the models of the other roles (`model_sections.py`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from neuron_assets.method.judging.asking import VERSION, AnswerForm, AskingPlan
from neuron_assets.method.judging.by_simulation import THRESHOLD
from neuron_assets.method.records import LARGEST
from neuron_assets.model_sections import HostedSection, LocalExplainer, LocalSection
from neuron_assets.sections import Count, Section, Seed, provided_by


class SimulationJudge(Section):
    """No language model: what was simulated on an excerpt is turned into a verdict on it."""

    provider: Literal["simulation"] = "simulation"
    threshold: Annotated[float, Field(gt=0, lt=LARGEST)] = THRESHOLD
    """Of simulated activations, 0 to 10: above it is a yes."""

    @property
    def label(self) -> str:
        return self.provider

    def identity(self, _folder: Path) -> str:
        return f"simulation/1?threshold={self.threshold:g}"


class _AskedToJudge(Section):
    """How a language model is asked for its verdicts in JSON."""

    answer: AnswerForm = "verdict"
    """verdict: 1 or 0. percent: how likely the answer is yes."""
    shown_at_once: Annotated[int, Field(ge=1, le=20)] = 1
    """Excerpts a question. More are cheaper; but then the answer to one hangs on the others."""

    @property
    def _layout(self) -> str:
        return f"{self.answer}_{self.shown_at_once}/{VERSION}"

    def _plan(self, room_to_think: int) -> AskingPlan:
        return AskingPlan(self.answer, self.shown_at_once, room_to_think)


class HostedJudge(HostedSection, _AskedToJudge):
    method: Literal["json", "logprobs"] = "json"
    """json: for any chat model. logprobs: how likely yes is beside no, for servers that echo a prompt with its
    log-probabilities, always by completions; the server is tried before it is trusted."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.0

    @model_validator(mode="after")
    def _one_excerpt_a_prompt_is_echoed(self) -> "HostedJudge":
        if self.method == "logprobs" and (self.shown_at_once, self.answer) != (1, "verdict"):
            raise ValueError("`method: logprobs` asks about one excerpt at once, and has no `answer` to choose")
        return self

    @property
    def plan(self) -> AskingPlan:
        return self._plan(self.room_to_think)

    def identity(self, _folder: Path) -> str:
        if self.method == "logprobs":
            return self._identity(layout=f"alternatives/{VERSION}")
        return self._identity(layout=self._layout, structured=self.structured)


class LocalJudge(LocalSection, _AskedToJudge):
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    seed: Seed = 0
    room_to_think: Annotated[int, Field(ge=0)] = 0
    asks: Count = 3

    @property
    def plan(self) -> AskingPlan:
        return self._plan(self.room_to_think)

    def identity(self, _folder: Path) -> str:
        own = {"temperature": self.temperature, "seed": self.seed}
        return self._identity(**own, room_to_think=self.room_to_think, asks=self.asks, layout=self._layout)


class EncoderSection(Section):
    """A Hugging Face sentence-embedding model in this process, for the scorer `embedding`. None is shipped."""

    model: Annotated[str, Field(min_length=1)]
    """A folder with safetensors weights, or a name in the cache or on the hub."""
    revision: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"


Judge = Annotated[
    Annotated[SimulationJudge | HostedJudge | LocalJudge, Field(discriminator="provider")], provided_by("simulation")
]
JUDGES: Mapping[str, type[Section]] = {
    "simulation": SimulationJudge,
    "openai_compatible": HostedJudge,
    "local": LocalJudge,
}
"""The keys of the section depend on who is chosen."""

AskedModel = HostedSection | LocalExplainer | LocalJudge
"""Models that are asked question by question: all but a simulator in this process."""
