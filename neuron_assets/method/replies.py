"""The answer within a reply, of whatever kind.

Here: refusals and cut-off replies are told apart from answers, and leaked thinking is taken off. Not here: what a
proper answer is (`explaining/reading.py`, `simulating/numbered_json.py`).
"""

import re

from neuron_assets.errors import UnreadableReply
from neuron_assets.method.questions import Reply

_THINKING = r"(?:think|thinking|thought|reasoning)"
_OPENING = re.compile(rf"\s*[<\[]{_THINKING}[>\]]", re.IGNORECASE)
_CLOSING = re.compile(rf"[<\[]/{_THINKING}[>\]]|<\|channel\|>final<\|message\|>", re.IGNORECASE)
_LEFT_OPEN = re.compile(rf"[<\[]{_THINKING}[>\]]\s*\Z", re.IGNORECASE)

_ENDED = ("stop", "stop_sequence", "eos", "eos_token", "end_turn", "complete", "completed", "finished", "unknown")
"""What servers say, in small letters, where the model itself came to an end, and where they do not know. All else, such
as `error`, `abort` or `model_length`, is said of what ended too early."""

_HALF_A_CHARACTER = re.compile(r"[\ud800-\udfff]")


def answer_text(reply: Reply) -> str:
    """What the model answers, without white space at the ends and without a block of thinking before it.

    Some servers leave a reasoning model's thinking in the text, in <think>...</think> or in a channel of its own, and
    some chat templates write the opening mark themselves, so that only the closing one is seen. A model in this process
    is seen with all its marks. Raises UnreadableReply where the model refused, was cut off or ended otherwise than by
    itself, never came to an end of thinking, said nothing, or said half a character, which no file takes.
    """
    if reply.refusal:
        raise UnreadableReply("the model refused", reply.refusal)
    if reply.finish_reason == "content_filter":
        raise UnreadableReply("stopped by the server's content filter", reply.text)
    if reply.finish_reason == "length":
        raise UnreadableReply("cut off at the longest reply allowed", reply.text)
    if reply.finish_reason and reply.finish_reason.lower() not in _ENDED:
        raise UnreadableReply(f"ended by {reply.finish_reason[:40]!r}", reply.text)
    answer = _after_thinking(reply.text).strip()
    if not answer:
        raise UnreadableReply("empty", reply.text)
    if _HALF_A_CHARACTER.search(answer):
        raise UnreadableReply("unreadable characters", reply.text)
    return answer


def opening_of_thinking(prompt: str) -> str:
    """The opening mark that a prompt ends with, since some chat templates write it themselves; empty if there is none.

    Put before the reply, it tells thinking that never ended from an answer.
    """
    found = _LEFT_OPEN.search(prompt)
    return found[0] if found else ""


def _after_thinking(text: str) -> str:
    *_, last = [None, *_CLOSING.finditer(text)]
    if last is not None:
        return text[last.end() :]
    if _OPENING.match(text):
        raise UnreadableReply("thinking without an end", text)
    return text
