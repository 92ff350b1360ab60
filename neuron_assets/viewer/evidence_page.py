"""The page that tells how the candidates of a neuron came about, and what they were held against.

Here: which words and colours the evidence gets. Not here: reading it (`evidence.py`), what was asked word for word
(`asked_page.py`).
"""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from neuron_assets.tables.explained import MEANINGS, REVISION
from neuron_assets.viewer.evidence import Evidence, Text, see_evidence
from neuron_assets.viewer.excerpts import HeatToken, exact, heat_tokens, shown, shown_text, strongest
from neuron_assets.viewer.neuron import Candidate, Desk, SeenNeuron, see_neuron
from neuron_assets.viewer.places import NEURON, neuron_of
from neuron_assets.viewer.steady import steady
from neuron_assets.viewer.templating import page
from neuron_assets.viewer.words import AUTHOR_NAMES, SAMPLE_NAMES

STRATA_TOLD = {
    "active": "active",
    "plain": "silent",
    "hard": "silent, with a token that excites it elsewhere",
    "beside": "active, other tokens are marked",
}


@dataclass(frozen=True, slots=True)
class MarkedToken:
    """A token of a heat-map, and whether it counts there."""

    heat: HeatToken
    is_marked: bool


def evidence_page(request: Request) -> Response:
    """First explanations, revisions with their counterexamples, meanings, judges' answers, ablations."""
    desk = Desk(*neuron_of(request))
    seen = see_neuron(desk)
    evidence = see_evidence(desk, seen)
    largest = _largest(seen, evidence)
    numbers = {candidate.number: candidate for candidate in seen.candidates}
    context = {
        "study": desk.study,
        "neuron": desk.neuron,
        "name": desk.study.study.unit_name(desk.neuron),
        "problems": list(dict.fromkeys(desk.told)),
        "first": [
            one for one in seen.candidates if one.parent is None and not one.is_control and one.author != MEANINGS
        ],
        "lists": [one for one in seen.candidates if one.author == MEANINGS],
        "numbers": numbers,
        "revised": {one.parent: one for one in seen.candidates if one.author == REVISION},
        "evidence": evidence,
        "shows_held_out": _shows_held_out(evidence),
        "strata": STRATA_TOLD,
        "author_of": lambda number: _author(numbers[number]) if number in numbers else "unknown",
        "samples": SAMPLE_NAMES,
        "drawn": lambda text: _drawn(text, largest),
        "largest": largest,
        "exact": exact,
        "shown_text": shown_text,
        "shown": lambda token: shown([token])[0],
    }
    return page(request, "evidence.html", context)


def _author(candidate: Candidate) -> str:
    return AUTHOR_NAMES.get(candidate.author, candidate.author)


def _shows_held_out(evidence: Evidence) -> bool:
    of_corpus = any(one.sentence is None for round_ in evidence.rounds for one in round_.counterexamples)
    return of_corpus or bool(evidence.judged)


def _largest(seen: SeenNeuron, evidence: Evidence) -> float:
    """Of `train`, so that a text colours as it would on the neuron's own page; else of what is shown."""
    if seen.statistics is not None and seen.statistics["maximum"] > 0:
        return float(seen.statistics["maximum"])
    against = [one.text for round_ in evidence.rounds for one in round_.counterexamples]
    judged = [verdict.text for one in evidence.judged for verdict in one.verdicts]
    return strongest([text.activations for text in (*against, *judged) if text and text.activations])


def _drawn(text: Text, largest: float) -> list[MarkedToken]:
    activations = text.activations or (0.0,) * len(text.tokens)
    tokens = heat_tokens(text.tokens, activations, largest)
    return [MarkedToken(token, not text.marked.isdisjoint(token.places)) for token in tokens]


ROUTES = (Route(f"{NEURON}/evidence", steady(evidence_page)),)
