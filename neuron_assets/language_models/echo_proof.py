"""The proof that a server echoes prompts honestly: before it is trusted, not after it has spoilt a study.

Servers are known that ignore the wish for an echo without a word, give each log-probability one place too early, or
leave out the last token. So a server first says what it would generate behind a few short prompts, and then has to say
the same of the same tokens in an echo. Here: the proof. Not here: questions (`method/simulating/all_at_once.py`),
refusals and errors of the connection: openai's own pass through, to be told by whoever holds the client and its key.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from openai.types import Completion, CompletionChoice

from neuron_assets.errors import UnreadableReply, UntrustedServer
from neuron_assets.language_models.bodies import Body
from neuron_assets.method.records import LARGEST
from neuron_assets.method.simulating.echoed import token_starts

PROMPTS = (
    "Ratings of some words:\nriver\t0\nmeadow\t10\nstone\t",
    "for name in names:\n    print(",
    "The town lies between a lake and the",
)
"""The first shows how the model cuts the number 10."""

Complete = Callable[[Body], Awaitable[Completion]]
"""Sends the body of a request, without the model's name, by which it is completed."""

TOLERANCE = 0.05
"""Nats: servers compute a prompt at once and a reply token by token, and round differently."""


@dataclass(frozen=True, slots=True)
class _Continued:
    """A prompt with one of the tokens that the server might have said next."""

    prompt: str
    token: str
    generated: Mapping[str, float]
    """What it might have said, with log-probabilities in nats."""

    @property
    def text(self) -> str:
        return self.prompt + self.token


async def prove_echo(
    complete: Complete,
    *,
    server: str,
    longest_reply: int = 0,
    n_alternatives: int = 15,
    prompts: Sequence[str] = PROMPTS,
) -> None:
    """Asks twice a prompt, and returns where the server can be trusted with prompt log-probabilities.

    `server` names it in messages; `longest_reply` is 0 or, for a server that does not take that, 1. Raises
    UntrustedServer saying what it did: no echo, no log-probabilities, one place off, the last token left out, other
    values, too few alternatives, or 10 cut into two tokens (then 1 and 10 cannot be told apart).
    """
    for prompt in prompts:
        continued = await _generate(complete, server, prompt, n_alternatives)
        reply = await complete(
            {
                "prompt": continued.text,
                "max_tokens": longest_reply,
                "temperature": 0,
                "echo": True,
                "logprobs": n_alternatives,
            }
        )
        _judge(server, continued, reply.choices[0])


async def _generate(complete: Complete, server: str, prompt: str, n_alternatives: int) -> _Continued:
    """The likeliest next token that is plain text, so that it stays a token of its own behind the prompt."""
    reply = await complete({"prompt": prompt, "max_tokens": 1, "temperature": 0, "logprobs": n_alternatives})
    logprobs = reply.choices[0].logprobs
    if logprobs is None or not logprobs.top_logprobs or not logprobs.top_logprobs[0]:
        raise UntrustedServer(server, "it gives no log-probabilities even for what it generates")
    generated = logprobs.top_logprobs[0]
    if len(generated) <= LARGEST:
        what = f"it gives {len(generated)} alternatives a token, and {LARGEST + 1} numbers are to be read from them"
        raise UntrustedServer(server, what)
    plain = {token: value for token, value in generated.items() if token.strip() and token.isascii()}
    readable = {token: value for token, value in plain.items() if token.isprintable() and "bytes:" not in token}
    token = max(readable or generated, key=lambda text: generated[text])
    return _Continued(prompt, token, generated)


def _judge(server: str, continued: _Continued, choice: CompletionChoice) -> None:
    logprobs = choice.logprobs
    tokens = logprobs.tokens if logprobs else None
    if logprobs is None or not tokens or not logprobs.token_logprobs or not logprobs.top_logprobs:
        raise UntrustedServer(server, "it ignores the wish for an echo: no log-probabilities of the prompt came back")
    index = _index(server, continued, tokens)
    said, alternatives = logprobs.token_logprobs[index], logprobs.top_logprobs[index] or {}
    expected = continued.generated[continued.token]
    if said is not None and abs(said - expected) <= TOLERANCE and _agree(alternatives, continued.generated):
        return
    neighbours = {"early": index - 1, "late": index + 1}
    for where, other in neighbours.items():
        there = logprobs.top_logprobs[other] if 0 <= other < len(logprobs.top_logprobs) else None
        if _agree(there or {}, continued.generated):
            raise UntrustedServer(server, f"its log-probabilities are shifted by one: they come one token too {where}")
    what = (
        f"it says {said} in an echo where it said {expected:.3f} when it generated the same token {continued.token!r}"
    )
    raise UntrustedServer(server, what)


def _index(server: str, continued: _Continued, tokens: Sequence[str]) -> int:
    """Which echoed token is the one that was generated; tokens behind the prompt are left out of account."""
    text = continued.text
    try:
        starts = token_starts(_of_prompt(tokens, text), text)
    except UnreadableReply as error:
        joined = "".join(tokens)
        if joined and (text.startswith(joined) or continued.prompt.endswith(joined)):
            raise UntrustedServer(server, f"it left out the end of the prompt: {text[len(joined) :]!r}") from error
        raise UntrustedServer(server, f"it does not echo the prompt ({error.reason})") from error
    if any(text[start - 1 : start + 1] == "10" for start in starts if start):
        raise UntrustedServer(server, "it cuts 10 into two tokens, so that 1 and 10 cannot be told apart")
    if len(continued.prompt) not in starts:
        raise UntrustedServer(server, f"it cuts its own token {continued.token!r} otherwise when it reads it")
    return len(starts) - 1 - starts[::-1].index(len(continued.prompt))


def _of_prompt(tokens: Sequence[str], text: str) -> Sequence[str]:
    """Without the token that a server adds which cannot reply with none."""
    return tokens[:-1] if "".join(tokens) != text and "".join(tokens[:-1]) == text else tokens


def _agree(echoed: Mapping[str, float], generated: Mapping[str, float]) -> bool:
    """Whether these are the alternatives of one place; the least likely may differ, since near ties change places."""
    shared = [abs(echoed[token] - value) <= TOLERANCE for token, value in generated.items() if token in echoed]
    return len(shared) > len(generated) // 2 and all(shared)
