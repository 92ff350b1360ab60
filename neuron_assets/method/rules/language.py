"""The small language in which the `rules` explainer writes and its simulator reads: plain English, nothing outside it.

Here: a set of rules as frozen values, written as sentences (`render`) and read back (`parse`); docs/rules.md tells the
grammar in words. Not here: what the names of classes and places mean (`classes.py`).
"""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Literal, NoReturn, TypeVar

from neuron_assets.errors import UnreadableExplanation
from neuron_assets.method.meanings import LIST
from neuron_assets.method.records import LARGEST
from neuron_assets.method.rules.classes import CLASSES, PLACES

NEAR = 8
"""How many tokens back "within 8 tokens after" reaches."""

Effect = Literal["sets", "adds"]
ContextKind = Literal["anywhere", "after", "after class", "near", "line", "place"]
TargetKind = Literal["token", "class", "any"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, order=True)
class Context:
    """Where a rule holds. `what` is a token, the name of a class, or the name of a place; empty for "anywhere"."""

    kind: ContextKind
    what: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """Which tokens a rule speaks of. `what` is a token or the name of a class; empty for "any"."""

    kind: TargetKind
    what: str = ""


ANYWHERE = Context("anywhere")
ANY = Target("any")


@dataclass(frozen=True, slots=True)
class Rule:
    """In this context these tokens have this strength, or this much more or less than they would have without it."""

    context: Context
    target: Target
    effect: Effect
    strength: int
    """0 to 10 where the rule sets, -10 to 10 where it adds."""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All rules of one neuron, those of one context together, and the strength of whatever no rule names."""

    rules: tuple[Rule, ...]
    otherwise: int
    """0 to 10."""


def render(ruleset: Ruleset) -> str:
    """The rules as sentences, one a context in the order in which the contexts first come; `parse` reads them back."""
    sentences = [_sentence(context, rules) for context, rules in _by_context(ruleset.rules)]
    return " ".join([*sentences, f"Otherwise about {ruleset.otherwise}."])


def parse(text: str) -> Ruleset:
    """The rules that a text states; raises UnreadableExplanation, naming the place, unless all of it is grammar."""
    reader = _Reader(text.strip())
    ruleset = _read_ruleset(reader)
    if not reader.is_at_end():
        reader.refuse()
    return ruleset


def parse_meanings(text: str) -> tuple[Ruleset, ...]:
    """The rules of each meaning, where the text is a list of several, else its only ones; raises as `parse` does."""
    reader = _Reader(text.strip())
    if not reader.takes(LIST):
        return (parse(text),)
    meanings: list[Ruleset] = []
    while not meanings or not reader.is_at_end():
        reader.must_take(f" {len(meanings) + 1}. ")
        meanings.append(_read_ruleset(reader))
    return tuple(meanings)


def _read_ruleset(reader: "_Reader") -> Ruleset:
    rules: list[Rule] = []
    while not reader.takes("Otherwise about "):
        rules.extend(_read_sentence(reader))
    otherwise = reader.strength()
    reader.must_take(".")
    return Ruleset(tuple(rules), otherwise)


@lru_cache(maxsize=1 << 17)
def quoted(token: str) -> str:
    """A token as it stands in a sentence: in double quotes, line breaks and quotes escaped as in JSON."""
    return json.dumps(token, ensure_ascii=False)


_LEADS: dict[ContextKind, tuple[str, str]] = {
    "anywhere": ("Activates on ", ""),
    "after": ("Right after ", ": "),
    "after class": ("Right after ", ": "),
    "near": (f"Within {NEAR} tokens after ", ": "),
    "line": ("Later on a line with ", ": "),
    "place": ("", ": "),
}
QUOTING = ("after", "near", "line", "token")


def lead(context: Context) -> str:
    """How the sentence of a context begins."""
    before, after = _LEADS[context.kind]
    if context.kind == "place":
        return f"{context.what[0].upper()}{context.what[1:]}{after}"
    return f"{before}{quoted(context.what) if context.kind in QUOTING else context.what}{after}"


def _by_context(rules: Sequence[Rule]) -> list[tuple[Context, list[Rule]]]:
    grouped: dict[Context, list[Rule]] = {}
    for rule in rules:
        grouped.setdefault(rule.context, []).append(rule)
    return list(grouped.items())


def _sentence(context: Context, rules: Sequence[Rule]) -> str:
    """Neighbours of equal strength share one number: `"a", "b" (5), numbers (3)`."""
    items: list[str] = []
    for (effect, strength), group in groupby(rules, key=lambda rule: (rule.effect, rule.strength)):
        if effect == "adds":
            items.extend(f"{abs(strength)} {'less' if strength < 0 else 'more'}" for _ in group)
        else:
            items.append(f"{', '.join(_name(rule.target) for rule in group)} ({strength})")
    return f"{lead(context)}{', '.join(items)}."


def _name(target: Target) -> str:
    match target.kind:
        case "token":
            return quoted(target.what)
        case "class":
            return target.what
        case "any":
            return "any token"


def _read_sentence(reader: "_Reader") -> list[Rule]:
    context = _read_context(reader)
    rules: list[Rule] = []
    while True:
        rules.extend(_read_item(reader, context))
        if reader.takes("."):
            break
        reader.must_take(", ")
    if not reader.takes(" "):
        reader.refuse()
    return rules


def _read_context(reader: "_Reader") -> Context:
    if reader.takes("Activates on "):
        return ANYWHERE
    for kind in ("near", "line"):
        if reader.takes(_LEADS[kind][0]):
            return _closed(reader, Context(kind, reader.string()))
    if reader.takes("Right after "):
        if reader.sees('"'):
            return _closed(reader, Context("after", reader.string()))
        return _closed(reader, Context("after class", reader.one_of(CLASSES)))
    places = [Context("place", place) for place in PLACES]
    context = next((place for place in places if reader.takes(lead(place))), None)
    return context or reader.refuse()


def _closed(reader: "_Reader", context: Context) -> Context:
    reader.must_take(": ")
    return context


def _read_item(reader: "_Reader", context: Context) -> list[Rule]:
    """Either `3 more`, or targets that share a strength: `"a", "b", numbers (5)`."""
    match = reader.matches(_SHIFT)
    if match is not None:
        if context == ANYWHERE:
            reader.refuse(len(match[0]))
        sign = -1 if match["way"] == "less" else 1
        return [Rule(context, ANY, "adds", sign * int(match["size"]))]
    targets = [_read_target(reader, context)]
    while not reader.takes(" ("):
        reader.must_take(", ")
        targets.append(_read_target(reader, context))
    strength = reader.strength()
    reader.must_take(")")
    return [Rule(context, target, "sets", strength) for target in targets]


def _read_target(reader: "_Reader", context: Context) -> Target:
    if reader.sees('"'):
        return Target("token", reader.string())
    if context != ANYWHERE and reader.takes("any token"):
        return ANY
    return Target("class", reader.one_of(CLASSES))


_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NUMBER = re.compile(r"\d{1,3}(?!\d)")
_SHIFT = re.compile(r"(?P<size>10|[0-9]) (?P<way>more|less)(?=[,.])")


class _Reader:
    """A position in a text that only moves forward; what cannot be read is refused with the text that stands there."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def is_at_end(self) -> bool:
        return self._at == len(self._text)

    def sees(self, words: str) -> bool:
        return self._text.startswith(words, self._at)

    def takes(self, words: str) -> bool:
        """Whether these words stand here; if so they are passed over."""
        seen = self.sees(words)
        self._at += len(words) if seen else 0
        return seen

    def must_take(self, words: str) -> None:
        if not self.takes(words):
            self.refuse()

    def matches(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """What of this pattern stands here; if anything it is passed over."""
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return match

    def string(self) -> str:
        match = self.matches(_STRING)
        if match is None:
            self.refuse()
        try:
            return str(json.loads(match[0]))
        except json.JSONDecodeError:
            self.refuse(len(match[0]))

    def one_of(self, names: Collection[str]) -> str:
        """The longest of these names that stands here."""
        seen = [name for name in names if self.sees(name)]
        if not seen:
            self.refuse()
        name = max(seen, key=len)
        self._at += len(name)
        return name

    def strength(self) -> int:
        """A whole number from 0 to 10."""
        match = self.matches(_NUMBER)
        if match is None:
            self.refuse()
        if int(match[0]) > LARGEST:
            self.refuse(len(match[0]))
        return int(match[0])

    def refuse(self, taken_back: int = 0) -> NoReturn:
        """Raises; the place named starts `taken_back` characters before where the reader stands."""
        place = self._text[self._at - taken_back :]
        raise UnreadableExplanation(self._text, place[:_SHOWN] or "the end of the text") from None


_SHOWN = 40
"""Characters of the unreadable place in a message."""
