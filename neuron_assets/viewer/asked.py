"""What language models were asked about one neuron, word for word, from the request store.

Here: which requests are shown, and what earlier explanations they hold. Not here: the store
(`language_models/request_store.py`), the page (`asked_page.py`).

Requests about another cut of the corpus are none of these excerpts, and those about the pool `test` wait for the final
report; of both only the number is told, and of explanations what they said.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from neuron_assets.errors import NeuronAssetsError, UnreadableReply
from neuron_assets.judge_sections import AskedModel
from neuron_assets.language_models.answered_requests import AnsweredRequest
from neuron_assets.language_models.asked_for import AskedFor, Cut, asked_for
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.lineage import FINAL, INPUTS
from neuron_assets.method.explaining.reading import read_explanation
from neuron_assets.method.revising.sentences import TEST_SENTENCES
from neuron_assets.model_sections import LocalSimulator
from neuron_assets.study import Study
from neuron_assets.viewer.evidence import stands_on
from neuron_assets.viewer.neuron import Desk

_EXPLAINS = ("explanations", "revised_explanations", "meanings")
"""The tables of texts that an explainer wrote."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for this neuron, and its answer."""

    about: str
    """Nothing where the neuron says it all."""
    answered: AnsweredRequest


@dataclass(frozen=True, slots=True)
class Step:
    """What one table asked."""

    table: str
    n_requests: int
    start: int
    """The first that is shown, from 0."""
    requests: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class EarlierExplanation:
    """What an explainer said of the neuron, and no table says any more."""

    table: str
    explanation: str
    identity: str
    asked_at: datetime
    """UTC."""
    is_of_this_cut: bool


@dataclass(frozen=True, slots=True)
class Conversation:
    """All that is kept of what was asked about one neuron."""

    steps: tuple[Step, ...]
    earlier: tuple[EarlierExplanation, ...]
    """The latest first."""
    n_of_other_cuts: int = 0
    n_of_test: int = 0
    """That wait for the final report."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which of the requests are wanted."""

    table: str | None = None
    """None: the first of every table."""
    start: int = 0
    size: int = 10


def models_of(study: Study) -> Mapping[str, str]:
    """The language models that this study asks, by role."""
    judges = {"judge": study.judge} if study.scoring.asks_judge else {}
    roles = {"explainer": study.explainer, "simulator": study.simulator, **judges}
    return {role: each.label for role, each in roles.items() if isinstance(each, AskedModel | LocalSimulator)}


def see_asked(desk: Desk, part: Part) -> Conversation:
    """Opens the request store to read, and closes it; what is wrong with it is told."""
    try:
        with RequestStore.open_to_read(desk.study.requests) as store:
            notes = asked_for(store.database, desk.study.name, desk.neuron)
            return _conversation(desk, store, notes, part)
    except (NeuronAssetsError, OSError) as error:
        desk.tell(str(error))
        return Conversation((), ())


def _conversation(desk: Desk, store: RequestStore, notes: Sequence[AskedFor], part: Part) -> Conversation:
    cut = _cut(desk)
    of_cut = [note for note in notes if note.cut == cut]
    pools: tuple[str, ...] = desk.tried(desk.study.shown_pools, ())
    shown = [note for note in of_cut if "test" in pools or note.asset not in FINAL]
    order = {table: place for place, table in enumerate(INPUTS)}
    shown.sort(key=lambda note: (order.get(note.asset, len(order)), _by_numbers(note.about)))
    groups = [(table, list(group)) for table, group in groupby(shown, key=lambda note: note.asset)]
    return Conversation(
        steps=tuple(_step(desk, store, table, group, part) for table, group in groups if part.table in (None, table)),
        earlier=_earlier(desk, store, notes, cut),
        n_of_other_cuts=len(notes) - len(of_cut),
        n_of_test=len(of_cut) - len(shown),
    )


def _cut(desk: Desk) -> Cut | None:
    """What the neuron's activations are of; None where they are not of the excerpts that are there."""
    layer = desk.neuron.layer_index
    activations = desk.tried(lambda: desk.study.facts("activations", layer), None)
    excerpts = desk.tried(lambda: desk.study.facts("excerpts"), None)
    if activations is None or excerpts is None or not stands_on(desk, "activations"):
        return None
    return Cut(excerpts.content, activations.lineage)


def _step(desk: Desk, store: RequestStore, table: str, notes: Sequence[AskedFor], part: Part) -> Step:
    """What an explainer was asked comes in the order of asking, all else by candidate and excerpt."""
    start = min(part.start, len(notes)) if part.table is not None else 0
    end = start + part.size
    if table in _EXPLAINS:
        found = sorted(_requests(desk, store, notes), key=lambda each: each[1].asked_at)[start:end]
    else:
        found = list(_requests(desk, store, notes[start:end]))
    return Step(table, len(notes), start, tuple(Asked(note.about, answered) for note, answered in found))


def _requests(desk: Desk, store: RequestStore, notes: Iterable[AskedFor]) -> Iterable[tuple[AskedFor, AnsweredRequest]]:
    """Without those that are no longer kept; one that is damaged is told of."""
    for note in notes:
        try:
            answered = store.request(note.key)
        except NeuronAssetsError as error:
            desk.tell(str(error))
            continue
        if answered is not None:
            yield note, answered


def _earlier(
    desk: Desk, store: RequestStore, notes: Sequence[AskedFor], cut: Cut | None
) -> tuple[EarlierExplanation, ...]:
    current = {text for table in _EXPLAINS for text in _texts(desk, table)}
    found: dict[tuple[str, str], EarlierExplanation] = {}
    for note, answered in _requests(desk, store, [note for note in notes if note.asset in _EXPLAINS]):
        text = _explanation(answered)
        if text is not None and text not in current:
            told = EarlierExplanation(note.asset, text, answered.identity, answered.asked_at, note.cut == cut)
            same = found.setdefault((text, answered.identity), told)
            if told.is_of_this_cut and not same.is_of_this_cut:
                found[text, answered.identity] = told
    return tuple(sorted(found.values(), key=lambda each: each.asked_at, reverse=True))


def _texts(desk: Desk, table: str) -> Iterable[str]:
    rows = desk.rows(table, ("neuron_index", "explanation"))
    return () if rows is None else rows["explanation"].drop_nulls()


def _explanation(answered: AnsweredRequest) -> str | None:
    """What the reply says of the neuron; None where it is to say something else, or says nothing that can be read."""
    if answered.prompt.get("layout") == TEST_SENTENCES:
        return None
    try:
        return read_explanation(answered.reply)
    except UnreadableReply:
        return None


def _by_numbers(text: str) -> tuple[tuple[str, int], ...]:
    """`candidate 2 excerpt 9` before `candidate 2 excerpt 10`."""
    return tuple((word, int(number or 0)) for word, number in re.findall(r"([^0-9]+)([0-9]{0,18})", text))
