"""The page of a neuron, and the same as JSON.

Here: what of a neuron is shown when. Not here: reading (`neuron.py`, `neuron_excerpts.py`), marks and colours
(`excerpts.py`, `charts.py`, `templates/neuron.html`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from neuron_assets.method.records import LARGEST, SPLITS
from neuron_assets.viewer.charts import activation_histogram, whisker
from neuron_assets.viewer.excerpts import HeatToken, exact, heat_tokens, shown, strongest
from neuron_assets.viewer.given import labels_of, ratings_by
from neuron_assets.viewer.neuron import Desk, SeenNeuron, see_neuron
from neuron_assets.viewer.neuron_excerpts import Excerpt, SeenExcerpts, see_excerpts
from neuron_assets.viewer.places import NEURON, dagster_url, neuron_of, neuron_url
from neuron_assets.viewer.steady import steady
from neuron_assets.viewer.templating import page
from neuron_assets.viewer.who import remembered
from neuron_assets.viewer.words import AUTHOR_NAMES, SAMPLE_NAMES

_POOLS: tuple[str, ...] = tuple(pool for pool in SPLITS if pool != "test")
_AT_FIRST = {"top": 8, "random": 4}
_PUSHES = ("pushes_up", "pushes_down")


@dataclass(frozen=True, slots=True)
class ShownExcerpt:
    """One excerpt as it is drawn."""

    excerpt: Excerpt
    tokens: tuple[HeatToken, ...]


def neuron_page(request: Request) -> Response:
    """?pool=valid shows held-out excerpts, ?as=side the true beside the simulated, ?all=1 every excerpt."""
    desk, pools, pool = _asked(request)
    study, neuron = desk.study, desk.neuron
    seen = see_neuron(desk, pools)
    excerpts = see_excerpts(desk, pool, seen.standing)
    largest = _largest(excerpts)
    asked_all, aside = "all" in request.query_params, request.query_params.get("as") == "side"
    context = {
        "study": study,
        "neuron": neuron,
        "name": study.study.unit_name(neuron),
        "seen": seen,
        "names": AUTHOR_NAMES,
        "samples": SAMPLE_NAMES,
        "problems": desk.told,
        "pool": pool,
        "pools": pools,
        "aside": aside,
        "kinds": [_of_kind(excerpts, kind, largest, everything=asked_all) for kind in ("top", "random")],
        "is_simulated": any(excerpt.simulated is not None for excerpt in excerpts.excerpts),
        "largest": largest,
        "exciting": [(shown([each.token])[0], each) for each in excerpts.exciting],
        "pushes": _pushes(seen),
        "histogram": activation_histogram(excerpts.drawn),
        "has_activations": study.has("activations", neuron.layer_index),
        "rated": _rated(request, desk, seen),
        "dagster": dagster_url(request, desk.study, desk.neuron.layer_index),
        "here": lambda **asked: _here(desk, pool=pool, aside=aside, asked_all=asked_all, asked=asked),
        "whisker": whisker,
        "exact": exact,
        "largest_simulated": LARGEST,
    }
    return page(request, "neuron.html", context)


def neuron_json(request: Request) -> Response:
    """Everything on the page, with raw numbers; all excerpts of one pool that may be shown."""
    desk, pools, pool = _asked(request)
    seen = see_neuron(desk, pools)
    excerpts = see_excerpts(desk, pool, seen.standing)
    study, drawn = desk.study, activation_histogram(excerpts.drawn)
    found = {
        "study": study.name,
        **asdict(seen),
        "neuron": str(desk.neuron),
        "layer_index": desk.neuron.layer_index,
        "neuron_index": desk.neuron.neuron_index,
        "name": study.study.unit_name(desk.neuron),
        "explanation": None if seen.standing is None else asdict(seen.standing),
        "pool": pool,
        "pools": pools,
        "excerpts": [asdict(excerpt) for excerpt in excerpts.excerpts],
        "tokens_that_excite": [asdict(token) for token in excerpts.exciting],
        "histogram": None if drawn is None else [[bar.low, bar.high, bar.count] for bar in drawn.bars],
        "problems": desk.told,
    }
    return JSONResponse(_finite(found))


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {key: _finite(each) for key, each in value.items()}
        case list() | tuple():
            return [_finite(each) for each in value]
        case _:
            return value


def _asked(request: Request) -> tuple[Desk, tuple[str, ...], str]:
    """The desk, the pools that may be shown, and the one that is asked for.

    Raises HTTPException for one that may not be.
    """
    desk = Desk(*neuron_of(request))
    pools = desk.tried(desk.study.shown_pools, _POOLS)
    pool = request.query_params.get("pool", "train")
    if pool == "test" and pool not in pools:
        opening = f"neuron-assets report {desk.study.name} --final"
        raise HTTPException(404, f"The pool `test` is shown nowhere before the final report has opened it: {opening}")
    if pool not in pools:
        raise HTTPException(404, f"There is no pool {pool[:40]!r}; there are {', '.join(pools)}.")
    return desk, pools, pool


def _rated(request: Request, desk: Desk, seen: SeenNeuron) -> str:
    """What the person who asks has said of the explanation that stands; nothing where that is not known."""
    person = remembered(request)
    if not person or seen.standing is None or seen.standing.explanation is None:
        return ""
    return ratings_by(person, labels_of(desk)).get(seen.standing.explanation, "")


def _largest(seen: SeenExcerpts) -> float:
    """What the strongest colour stands for. The peaks are exact, the activations rounded."""
    highest = max((each.peak for each in seen.excerpts), default=0.0)
    return highest if highest > 0 else strongest([each.activations for each in seen.excerpts])


def _of_kind(seen: SeenExcerpts, kind: str, largest: float, *, everything: bool) -> dict[str, Any]:
    of_kind = [excerpt for excerpt in seen.excerpts if excerpt.kind == kind]
    drawn = of_kind if everything else of_kind[: _AT_FIRST[kind]]
    heated = [ShownExcerpt(each, heat_tokens(each.tokens, each.activations, largest, each.simulated)) for each in drawn]
    return {"kind": kind, "n": len(of_kind), "excerpts": heated}


def _pushes(seen: SeenNeuron) -> dict[str, Sequence[tuple[str, float]]] | None:
    """Tokens with weights, strongest first; None where that was not measured."""
    if seen.statistics is None or seen.statistics["pushes_up"] is None:
        return None
    ways = {way: (seen.statistics[way] or (), seen.statistics[f"{way}_weights"] or ()) for way in _PUSHES}
    return {
        way: [(shown([token])[0], weight) for token, weight in zip(tokens, weights, strict=True)]
        for way, (tokens, weights) in ways.items()
    }


def _here(desk: Desk, *, pool: str, aside: bool, asked_all: bool, asked: dict[str, Any]) -> str:
    """The address of the same page, with something of it changed."""
    state = {"pool": pool, "as": "side" if aside else None, "all": 1 if asked_all else None} | asked
    told = {key: value for key, value in state.items() if value is not None and (key, value) != ("pool", "train")}
    return neuron_url(desk.study.name, desk.neuron) + (f"?{urlencode(told)}" if told else "") + "#excerpts"


ROUTES = (Route(f"{NEURON}.json", steady(neuron_json)), Route(NEURON, steady(neuron_page)))
