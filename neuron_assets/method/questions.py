"""A question to a language model: a prompt, together with the function that reads its reply.

Here: the nouns between the method and whoever asks. Not here: what the prompts say (`explaining/`, `simulating/`), and
asking (`language_models/asking.py`): the method itself never waits, so all of it can be tested with strings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

T_co = TypeVar("T_co", covariant=True)

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """A conversation that the model continues."""

    messages: tuple[Message, ...]
    layout: str
    """Name and version of how it is laid out, such as `pairs/1`; part of the identity of every answer."""
    longest_reply: int
    """Tokens; a reply that is cut off there is unreadable, not short."""
    schema: Mapping[str, Any] | None = None
    """JSON schema that the reply is to follow, for servers that can enforce one."""


@dataclass(frozen=True, slots=True)
class EchoPrompt:
    """A text of which the model is to say, before each of its tokens, what else might have stood there."""

    text: str
    layout: str
    n_alternatives: int = 15
    places: tuple[int, ...] = ()
    """Characters before the tokens whose alternatives are wanted, and kept; where none is named, all are."""


Prompt = ChatPrompt | EchoPrompt


@dataclass(frozen=True, slots=True)
class EchoedToken:
    """One token of an echoed prompt, as the answering model cuts it."""

    text: str
    alternatives: Mapping[str, float] = field(default_factory=dict)
    """Log-probability, in nats, of the likeliest tokens in this place given all before.

    Empty for the first token of a text, and where the prompt names its `places`, in all others.
    """


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said."""

    text: str
    reasoning: str | None = None
    """What a reasoning model thought first, where the server tells it apart."""
    finish_reason: str = "stop"
    """`stop`, `length` (cut off), `content_filter`, or what else the server says."""
    refusal: str | None = None
    echoed: tuple[EchoedToken, ...] = ()
    """For an EchoPrompt: its text again, token by token."""


@dataclass(frozen=True, slots=True)
class Question(Generic[T_co]):
    """A prompt and the reader of its reply; `read` raises UnreadableReply."""

    prompt: Prompt
    read: Callable[[Reply], T_co]
    about: str
    """What is asked about, for messages to people: `L3N307`, `L3N307 candidate 0 excerpt 17`."""
    sample: int = 0
    """Number of the reply wanted, where the same prompt is asked several times."""
