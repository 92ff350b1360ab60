"""The page of what language models were asked about a neuron, and what they replied.

Here: how prompts and replies are written out. Not here: which of them are shown (`asked.py`).
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from neuron_assets.lineage import INPUTS
from neuron_assets.method.questions import Reply
from neuron_assets.method.revising.sentences import TEST_SENTENCES
from neuron_assets.viewer.asked import Asked, Part, models_of, see_asked
from neuron_assets.viewer.excerpts import shown_text
from neuron_assets.viewer.neuron import Desk
from neuron_assets.viewer.places import NEURON, neuron_of
from neuron_assets.viewer.templating import page

TABLES_TOLD = {
    "explanations": "Explaining",
    "revised_explanations": "Revising",
    "meanings": "Explaining several meanings",
    "simulations": "Simulating",
    "judgements": "Judging",
    "final_simulations": "Simulating for the final report",
}
_PAGE = 50
_LONGEST = 60_000
"""Characters of one message that are written out."""
_MOST_ALTERNATIVES = 5


def asked_page(request: Request) -> Response:
    """?of=simulations&from=50 shows more of one table's requests."""
    desk = Desk(*neuron_of(request))
    seen = see_asked(desk, _part(request))
    models = models_of(desk.study.study)
    context = {
        "study": desk.study,
        "neuron": desk.neuron,
        "name": desk.study.study.unit_name(desk.neuron),
        "seen": seen,
        "models": models,
        "problems": list(dict.fromkeys(desk.told)) if models or seen.steps else [],
        "of": request.query_params.get("of"),
        "page_size": _PAGE,
        "tables": TABLES_TOLD,
        "kind_of": kind_of,
        "messages": messages,
        "replied": replied,
        "as_json": lambda value: raw(json.dumps(value, indent=1, ensure_ascii=False)),
        "raw": raw,
        "shown_text": shown_text,
    }
    return page(request, "asked.html", context)


def kind_of(request: Asked) -> str:
    """Of one step's requests which it is, in words."""
    if request.answered.prompt.get("layout") == TEST_SENTENCES:
        return f"sentences for {request.about}"
    return request.about or "an explanation"


def messages(prompt: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Who says what, of either kind of prompt."""
    if prompt.get("kind") == "echo":
        return [("text to be echoed", str(prompt.get("text", "")))]
    return [(str(each["role"]), str(each["content"])) for each in prompt.get("messages", ())]


def replied(reply: Reply) -> list[tuple[str, str]]:
    """The parts of a reply that hold something, each with what it is."""
    echoed = "\n".join(
        f"{json.dumps(token.text, ensure_ascii=False)}: {_likeliest(token.alternatives)}"
        for token in reply.echoed
        if token.alternatives
    )
    parts = {"reasoning": reply.reasoning, "reply": reply.text, "refusal": reply.refusal, "likeliest tokens": echoed}
    return [(name, text) for name, text in parts.items() if text] or [("reply", "")]


def raw(text: str) -> str:
    """As it was sent, but that what has no shape, or steers the direction of writing, is its code."""
    parts = re.split(r"([\n\t])", text[:_LONGEST])
    written = "".join(part if part in {"\n", "\t"} else shown_text(part) for part in parts)
    return written + (f"\n… <{len(text) - _LONGEST:,} characters more>" if len(text) > _LONGEST else "")


def _likeliest(alternatives: Mapping[str, float]) -> str:
    first = sorted(alternatives.items(), key=lambda each: -each[1])[:_MOST_ALTERNATIVES]
    return ", ".join(f"{json.dumps(token, ensure_ascii=False)} {value:.2f}" for token, value in first)


def _part(request: Request) -> Part:
    table, start = request.query_params.get("of"), request.query_params.get("from", "0")
    if table is None:
        return Part()
    if table not in INPUTS or not re.fullmatch("[0-9]{1,9}", start):
        raise HTTPException(404, f"There is no table {table[:40]!r} whose requests could be shown from {start[:12]!r}.")
    return Part(table, int(start), _PAGE)


ROUTES = (Route(f"{NEURON}/asked", asked_page),)
