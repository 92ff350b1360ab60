"""A Hugging Face causal language model in this process, as explainer or simulator.

Weights are read from safetensors only, and no code that stands beside them is run. Here: loading it, who it is, and
replying to a conversation. Not here: simulating all tokens at once (`local_simulating.py`), subject models
(`subjects/`, which load their own).
"""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jinja2 import TemplateError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel
from transformers import PreTrainedTokenizerFast as FastTokenizer

from neuron_assets.errors import RequestRefused, UnusableModel
from neuron_assets.language_models.local_identity import who_is
from neuron_assets.language_models.model import Replied, Usage
from neuron_assets.method.questions import ChatPrompt, Message, Prompt, Reply
from neuron_assets.method.replies import opening_of_thinking

DType = Literal["float32", "bfloat16", "float16"]

_TURNS = {"system": "System", "user": "User", "assistant": "Assistant"}


@dataclass(frozen=True, slots=True, eq=False)
class LocalModel:
    """One model and its tokenizer; replies are given one after the other."""

    name: str
    who: str
    """The name, and the sha256 of the files or the revision that they were taken from."""
    model: PreTrainedModel
    tokenizer: FastTokenizer
    temperature: float = 0.0
    """0 takes the likeliest token each time."""
    seed: int = 0
    _alone: threading.Lock = field(default_factory=threading.Lock)

    @property
    def parameters(self) -> Mapping[str, Any]:
        sampled = {"seed": self.seed} if self.temperature > 0 else {}
        dtype = str(self.model.dtype).removeprefix("torch.")
        return {"temperature": self.temperature, "dtype": dtype} | sampled

    @property
    def longest_text(self) -> int | None:
        """Tokens that the model can read at once; None where it does not say."""
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)

    async def identity(self) -> str:
        return self.who

    async def reply(self, prompt: Prompt, variant: int = 0) -> Replied:
        """Raises RequestRefused where the prompt is too long, its roles do not suit, or it asks for an echo.

        Sampling starts anew from the seed and the variant, so the same prompt gets the same reply.
        """
        if not isinstance(prompt, ChatPrompt):
            raise RequestRefused("a model in this process does not echo; it simulates by simulate_all_at_once")
        return await asyncio.to_thread(self._reply, prompt, variant)

    async def close(self) -> None: ...

    def _reply(self, prompt: ChatPrompt, variant: int) -> Replied:
        text, templated = self._transcript(prompt.messages)
        ids = self.tokenizer(text, add_special_tokens=not templated, return_tensors="pt")["input_ids"]
        n_before, longest = ids.shape[1], self.longest_text
        if longest is not None and n_before + prompt.longest_reply > longest:
            asked = f"{n_before} tokens of prompt and {prompt.longest_reply} of reply"
            raise RequestRefused(f"{asked} are more than the {longest} that {self.name} can read")
        generating: Any = self.model  # the library's types do not say that it can
        with self._alone, torch.inference_mode(), self._seeded(variant):
            ids = ids.to(self.model.device)
            every = generating.generate(
                ids, attention_mask=torch.ones_like(ids), generation_config=self._generation(prompt.longest_reply)
            )[0]
        new = every[n_before:].tolist()
        ended = bool(new) and new[-1] in self._ends()
        # Marks stay: some tokenizers call those of thinking special, and without them it would pass for the answer.
        said = opening_of_thinking(text) + str(self.tokenizer.decode(new[:-1] if ended else new))
        if not templated:
            said, *more = said.split("\n\nUser:")  # a model that was never taught turns goes on with the next one
            ended = ended or bool(more)
        reply = Reply(said, finish_reason="stop" if ended else "length")
        return Replied(reply, Usage(n_before, len(new)), self.who)

    def _transcript(self, messages: tuple[Message, ...]) -> tuple[str, bool]:
        """The conversation as the model was taught to read it, or as a plain transcript where it was taught none."""
        goes_on = messages[-1].role == "assistant"
        turns = [(message.role, self._harmless(message.content)) for message in messages]
        if self.tokenizer.chat_template is None:
            lines = [f"{_TURNS[role]}: {content}" for role, content in turns]
            return "\n\n".join(lines if goes_on else [*lines, "Assistant:"]), False
        try:
            text = self.tokenizer.apply_chat_template(
                [{"role": role, "content": content} for role, content in turns],
                tokenize=False,
                add_generation_prompt=not goes_on,
                continue_final_message=goes_on,
            )
        except TemplateError as error:
            raise RequestRefused(
                f"the chat template of {self.name} does not take this conversation: {error}"
            ) from error
        return str(text), True

    def _harmless(self, content: str) -> str:
        """The same with a space in each mark that would end a turn: text of a corpus must not speak for anybody."""
        for mark in sorted(self.tokenizer.get_added_vocab(), key=len, reverse=True):
            if len(mark) > 1:
                content = content.replace(mark, f"{mark[0]} {mark[1:]}")
        return content

    def _generation(self, longest_reply: int) -> GenerationConfig:
        """All that can change a reply is set here; nothing is taken from the model's own defaults but its ends."""
        ends = sorted(self._ends())
        return GenerationConfig(  # type: ignore[no-untyped-call]  # the library has no types there
            max_new_tokens=longest_reply,
            do_sample=self.temperature > 0,
            temperature=self.temperature if self.temperature > 0 else 1.0,
            top_k=0,
            top_p=1.0,
            num_beams=1,
            repetition_penalty=1.0,
            eos_token_id=ends or None,
            pad_token_id=ends[0] if ends else 0,
        )

    def _ends(self) -> set[int]:
        own = self.model.generation_config.eos_token_id if self.model.generation_config else None
        ends = own if isinstance(own, list) else [own]
        return {end for end in [*ends, self.tokenizer.eos_token_id] if isinstance(end, int)}

    @contextmanager
    def _seeded(self, variant: int) -> Iterator[None]:
        """Inside, chance is the seed's and the variant's; outside, nobody notices."""
        device = self.model.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed + variant)
            yield


def open_local_model(  # noqa: PLR0913  # which model, and how it is run
    name: str,
    *,
    device: str = "cpu",
    dtype: DType = "float32",
    revision: str | None = None,
    temperature: float = 0.0,
    seed: int = 0,
) -> LocalModel:
    """Loads a folder of safetensors, or a repository by its name; `device` is `cpu`, `cuda`, `cuda:1`, ...

    Raises UnusableModel where there is none, where it needs code of its own, where a part of its weights is missing, or
    where the device is.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
        config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
        # Set, not asked for: the library would do as config.json says, which may name a kernel of anybody's.
        config._attn_implementation = "sdpa"  # noqa: SLF001  # it has no public name
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            name,
            revision=revision,
            config=config,
            trust_remote_code=False,  # told nothing, the library asks on stdin, and runs it on `y`
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            output_loading_info=True,
        )
        model, loading = loaded
        model = model.eval().requires_grad_(requires_grad=False).to(device)
    except (OSError, ValueError, RuntimeError, AssertionError, KeyError, SafetensorError) as error:
        raise UnusableModel(name, str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if loading["missing_keys"]:
        # The library would leave them as they were drawn, and only warn.
        raise UnusableModel(name, f"its files lack {len(loading['missing_keys'])} of its weights")
    if not isinstance(tokenizer, FastTokenizer):
        raise UnusableModel(name, "its tokenizer does not tell which characters a token stands for")
    return LocalModel(name, who_is(name, revision), model, tokenizer, temperature, seed)
