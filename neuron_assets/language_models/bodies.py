"""Prompts as the bodies of requests in OpenAI's format.

Here: what is sent. Not here: what comes back (`replies.py`), and the texts of prompts (`method/`).
"""

from typing import Any

from neuron_assets.language_models.habits import Habits
from neuron_assets.language_models.server_settings import ServerSettings
from neuron_assets.method.questions import ChatPrompt, EchoPrompt, Prompt

CHAT = "/chat/completions"
COMPLETIONS = "/completions"

Body = dict[str, Any]


def path_of(prompt: Prompt, settings: ServerSettings) -> str:
    """Where the prompt is sent, below the base URL."""
    return CHAT if isinstance(prompt, ChatPrompt) and settings.api == "chat" else COMPLETIONS


def body_of(prompt: Prompt, settings: ServerSettings, habits: Habits, variant: int = 0) -> Body:
    """The JSON body of a prompt, as this server wants it; each variant has a seed of its own, where one is set."""
    if isinstance(prompt, EchoPrompt):
        return _echo(prompt, settings, habits)
    body = _chat(prompt, habits) if settings.api == "chat" else _completion(prompt)
    kept = {name: value for name, value in settings.sampling.items() if name not in habits.left_out}
    if "seed" in kept:
        kept["seed"] += variant
    return {"model": settings.model, **body, **kept}


def _chat(prompt: ChatPrompt, habits: Habits) -> Body:
    messages = [{"role": message.role, "content": message.content} for message in prompt.messages]
    body: Body = {"messages": messages, habits.name_of_longest: prompt.longest_reply}
    if prompt.schema is not None and habits.structured == "json_schema":
        schema = {"name": "reply", "strict": True, "schema": dict(prompt.schema)}
        return {**body, "response_format": {"type": "json_schema", "json_schema": schema}}
    if prompt.schema is not None and habits.structured == "json_object":
        return {**body, "response_format": {"type": "json_object"}}
    return body


def _completion(prompt: ChatPrompt) -> Body:
    """A conversation as one text, for a model that only continues text; it stops before it speaks for the user."""
    turns = [f"{message.role.capitalize()}: {message.content}" for message in prompt.messages]
    text = "\n\n".join([*turns, "Assistant:"])
    return {"prompt": text, "max_tokens": prompt.longest_reply, "stop": ["\n\nUser:", "\n\nSystem:"]}


def _echo(prompt: EchoPrompt, settings: ServerSettings, habits: Habits) -> Body:
    """Nothing is drawn, so no sampling parameter is sent: some servers would bend the log-probabilities by it."""
    return {
        "model": settings.model,
        "prompt": prompt.text,
        "echo": True,
        "max_tokens": habits.least_after_echo,
        "logprobs": prompt.n_alternatives,
    }
