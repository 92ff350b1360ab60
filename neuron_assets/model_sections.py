"""The sections of a study file that say who explains and who simulates.

Here: what may be written under `explainer` and `simulator`, and the identity of each choice: all that its answers
depend on, as far as the study knows it. Not here: how they are asked (`asking_sections.py`), and who really answers;
that is observed.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import Field, field_validator, model_validator

from neuron_assets.few_shot import few_shot_digest
from neuron_assets.language_models.server_settings import OPENAI, is_openai
from neuron_assets.method.explaining.layouts import LAYOUTS
from neuron_assets.method.explaining.output_side import OUTPUT_SIDE
from neuron_assets.method.rules.fitting import RULES_VERSION, RuleParameters
from neuron_assets.method.simulating.all_at_once import LAYOUT as ALL_AT_ONCE
from neuron_assets.method.simulating.numbered_json import NUMBERED_JSON
from neuron_assets.sections import Count, Section, Seed, provided_by


class _Rules(Section):
    """No language model."""

    provider: Literal["rules"] = "rules"

    @property
    def label(self) -> str:
        """Whose numbers these are, in one word."""
        return self.provider


class RulesExplainer(_Rules):
    """A list of rules in plain English, fitted on `train`."""

    n_rules: Annotated[int, Field(ge=1, le=60)] = RuleParameters().n_rules
    """The most an explanation may hold."""
    longest: Annotated[int, Field(ge=60, le=4000)] = RuleParameters().longest
    """About how many characters an explanation may have."""

    def identity(self, _folder: Path) -> str:
        return f"rules/{RULES_VERSION}?n_rules={self.n_rules}&longest={self.longest}"


class RulesSimulator(_Rules):
    """Reads the sentences of the rules, and nothing else."""

    def identity(self, _folder: Path) -> str:
        return f"rules/{RULES_VERSION}"


class WrittenExplainer(Section):
    """Explanations that are there already."""

    provider: Literal["written"]
    file: str
    """A YAML file of texts by neuron, relative to the study file."""

    @property
    def label(self) -> str:
        return self.provider

    def identity(self, folder: Path) -> str:
        return f"written?file={self.file}&sha256={_digest(folder / self.file)}"


class PlantedExplainer(Section):
    """Of each planted unit the true explanation, then false ones."""

    provider: Literal["planted"]

    @property
    def label(self) -> str:
        return self.provider

    def identity(self, _folder: Path) -> str:
        return f"planted/{RULES_VERSION}"


class HostedSection(Section):
    """A model behind an OpenAI-compatible server."""

    provider: Literal["openai_compatible"]
    model: Annotated[str, Field(min_length=1)]
    base_url: str = OPENAI
    api_key_env: str | None = None
    """Name of the environment variable that holds the key; OPENAI_API_KEY for api.openai.com, else none."""
    api: Literal["chat", "completions"] = "chat"
    """How it is asked: by messages, or by one text that it goes on with, for a model that was never taught turns."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 1.0
    """None: not sent. A model that refuses it is asked without."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: int | None = None
    structured: Literal["json_schema", "json_object", "none"] = "json_schema"
    """What is asked for where the reply must be JSON (`method: json`); a server that refuses is asked for less."""
    parameters: Mapping[str, Any] = {}
    """More of the request's body, such as `reasoning_effort: low`."""
    room_to_think: Annotated[int, Field(ge=0)] = 2000
    """Tokens that a reply may have beyond what is asked for: a reasoning model counts its thinking among them."""
    asks: Count = 3
    """How often in all a question is asked whose reply cannot be read."""
    context_length: Count | None = None
    """Tokens that the model reads at once; where it is written, it is checked before anything is asked."""

    @model_validator(mode="after")
    def _the_address_holds_no_secret(self) -> "HostedSection":
        if "@" in self.base_url or "?" in self.base_url or not self.base_url.startswith(("http://", "https://")):
            raise ValueError(
                "`base_url` is written like https://api.example.com/v1, without a name, key or question mark"
            )
        return self

    @field_validator("parameters")
    @classmethod
    def _the_longest_reply_is_known(cls, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        if {"max_tokens", "max_completion_tokens"} & set(parameters):
            raise ValueError("how long a reply may be follows from the question; write `room_to_think` for more")
        return parameters

    @property
    def label(self) -> str:
        return self.model

    @property
    def key_variable(self) -> str | None:
        """A key is sent only where the study says so, or to the server that it belongs to."""
        return self.api_key_env or ("OPENAI_API_KEY" if is_openai(self.base_url) else None)

    def _identity(self, **more: object) -> str:
        facts = {
            "api": None if self.api == "chat" else self.api,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
            "room_to_think": self.room_to_think,
            "asks": self.asks,
            **dict(sorted(self.parameters.items())),
            **more,
        }
        return f"openai_compatible/{self.model}?{_query(facts)}"


class LocalSection(Section):
    """A Hugging Face causal language model in this process."""

    provider: Literal["local"]
    model: Annotated[str, Field(min_length=1)]
    """A folder with safetensors weights, or a name in the cache or on the hub."""
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @property
    def label(self) -> str:
        return Path(self.model).name

    def _identity(self, **more: object) -> str:
        return f"local/{self.label}?{_query({'revision': self.revision, 'dtype': self.dtype, **more})}"


class _ShownToModel(Section):
    """What a language model that explains is shown, and how often it is asked."""

    layout: Literal["pairs", "highlighted"] = "pairs"
    """How the excerpts are written: a line a token with its activation, or running text with the strong ones marked."""
    shown_top: Annotated[int, Field(ge=0)] = 5
    shown_random: Annotated[int, Field(ge=0)] = 0
    """Excerpts of `train`."""
    samples: Annotated[int, Field(ge=1, le=20)] = 1
    """Explanations a neuron."""
    shown_output_side: Annotated[int, Field(ge=0, le=10)] = 0
    """Tokens that the neuron makes the model say next, and as many that it keeps it from saying, told beside them."""

    @model_validator(mode="after")
    def _something_is_shown(self) -> "_ShownToModel":
        if self.shown_top + self.shown_random == 0:
            raise ValueError("`shown_top` and `shown_random` cannot both be 0")
        return self

    @property
    def _shown(self) -> dict[str, object]:
        return {
            "layout": LAYOUTS[self.layout].id,
            "few_shot": few_shot_digest(),
            "shown": f"{self.shown_top}+{self.shown_random}",
            "samples": self.samples,
            "output_side": f"{OUTPUT_SIDE}*{self.shown_output_side}" if self.shown_output_side else None,
        }


class HostedExplainer(HostedSection, _ShownToModel):
    def identity(self, _folder: Path) -> str:
        return self._identity(**self._shown)


class LocalExplainer(LocalSection, _ShownToModel):
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    seed: Seed = 0
    room_to_think: Annotated[int, Field(ge=0)] = 0
    """As for a server; few models need it, and one that never ends takes all of it."""
    asks: Count = 3

    def identity(self, _folder: Path) -> str:
        own = {"temperature": self.temperature, "seed": self.seed}
        return self._identity(**own, room_to_think=self.room_to_think, asks=self.asks, **self._shown)


AskedExplainer = HostedExplainer | LocalExplainer
"""A language model."""


class HostedSimulator(HostedSection):
    method: Literal["json", "logprobs"] = "json"
    """json: a number a token, for any chat model. logprobs: all tokens at once, for servers that echo a prompt with its
    log-probabilities, always by completions; the server is tried before it is trusted."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.0

    def identity(self, _folder: Path) -> str:
        if self.method == "logprobs":
            return self._identity(layout=ALL_AT_ONCE, few_shot=few_shot_digest())
        return self._identity(layout=NUMBERED_JSON, few_shot=few_shot_digest(), structured=self.structured)


class LocalSimulator(LocalSection):
    """All tokens at once, by the exact probabilities of the numbers 0 to 10."""

    def identity(self, _folder: Path) -> str:
        return self._identity(layout=ALL_AT_ONCE, few_shot=few_shot_digest())


Explainer = Annotated[
    Annotated[
        RulesExplainer | WrittenExplainer | PlantedExplainer | HostedExplainer | LocalExplainer,
        Field(discriminator="provider"),
    ],
    provided_by("rules"),
]
Simulator = Annotated[
    Annotated[RulesSimulator | HostedSimulator | LocalSimulator, Field(discriminator="provider")],
    provided_by("rules"),
]

BY_PROVIDER: Mapping[str, Mapping[str, type[Section]]] = {
    "explainer": {
        "rules": RulesExplainer,
        "written": WrittenExplainer,
        "planted": PlantedExplainer,
        "openai_compatible": HostedExplainer,
        "local": LocalExplainer,
    },
    "simulator": {"rules": RulesSimulator, "openai_compatible": HostedSimulator, "local": LocalSimulator},
}
"""The keys of these sections depend on who is chosen."""


def _query(facts: Mapping[str, object]) -> str:
    return urlencode({name: value for name, value in facts.items() if value is not None}, safe="/+")


def brief(identity: str) -> str:
    """Who that is, in a few words: without server and parameters; rows and files tell all of it."""
    name = identity.partition("?")[0]
    return name.partition("=")[2].partition("@")[0] or name


def _digest(path: Path) -> str:
    """First digits of the sha256 of a file that the study names."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    except OSError:
        return "missing"
