"""Numbers and names as the pages write them.

Here: strings. Not here: colours and marks (`static/`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from neuron_assets.method.controls import OVER_BROAD_CONTROL, SHUFFLED_CONTROL
from neuron_assets.model_sections import brief

SAMPLE_NAMES = {"top_and_random": "top-and-random", "random_only": "random-only", "natural_rate": "natural rate"}
AUTHOR_NAMES = {
    SHUFFLED_CONTROL: "control: another neuron's explanation",
    OVER_BROAD_CONTROL: "control: far too broad",
    "unigram_lookup": "lookup of single tokens",
    "bigram_lookup": "lookup of pairs of tokens",
}
MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"


def labels(subjects: Sequence[str], explainers: Sequence[str], simulators: Sequence[str]) -> str:
    """Whose numbers these are, models by their identities: never to be left out beside a score."""
    roles = {"subject": subjects, "explainer": map(brief, explainers), "simulator": map(brief, simulators)}
    return " · ".join(f"{role} {' + '.join(dict.fromkeys(names))}" for role, names in roles.items())


def number(value: float | None, digits: int = 2) -> str:
    """`0.53`, `0.10` after a real minus sign, a dash for nothing; never a minus zero."""
    if value is None:
        return NOTHING
    text = f"{value:.{digits}f}"
    return text.replace("-", MINUS) if float(text) else f"{0:.{digits}f}"


def share(value: float | None) -> str:
    """`1.3 %`; small ones keep two figures."""
    if value is None:
        return NOTHING
    percent = 100 * value
    return f"{percent:.1f} %" if percent >= 1 or percent == 0 else f"{percent:.2g} %"


def interval(row: Mapping[str, Any], name: str, low: str, high: str) -> str:
    """`0.53 [0.41, 0.62]`; without an interval, or undefined, it says so."""
    if row[name] is None:
        return "undefined"
    if row[low] is None:
        return f"{number(row[name])} [{NOTHING}]"
    return f"{number(row[name])} [{number(row[low])}, {number(row[high])}]"
