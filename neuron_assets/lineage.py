"""The fingerprint of what a table was made with: only the study's fields that can change its rows, chained.

Here: which fields those are, per table. Not here: where the fingerprint is written and checked (`tables/parquet.py`,
`assets/io_manager.py`). Lists of layers, neurons and scorers are in none of them: rows are keyed by these.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from neuron_assets.method.meanings import MEANINGS_VERSION
from neuron_assets.method.revising.asking import REVISION
from neuron_assets.method.revising.sentences import TEST_SENTENCES
from neuron_assets.method.rules.revising import RULES_REVISION_VERSION
from neuron_assets.study import Study

LAYOUT = 1
"""Raised when a table's columns or the meaning of a value change."""

INPUTS: Mapping[str, tuple[str, ...]] = {
    "excerpts": (),
    "activations": ("excerpts",),
    "neuron_statistics": ("excerpts",),
    "explanations": ("excerpts", "activations", "neuron_statistics"),
    "counterexamples": ("excerpts", "activations", "neuron_statistics", "explanations"),
    "revised_explanations": ("excerpts", "activations", "neuron_statistics", "explanations"),
    "meanings": ("excerpts", "activations", "explanations"),
    "labels": (),
    "candidates": ("explanations", "revised_explanations", "meanings", "labels"),
    "simulations": ("excerpts", "activations", "candidates"),
    "scores": ("excerpts", "activations", "neuron_statistics", "candidates", "simulations"),
    "judgements": ("excerpts", "activations", "candidates", "simulations"),
    "ablations": ("excerpts", "activations", "neuron_statistics", "candidates", "simulations"),
    "metrics": (
        *("excerpts", "activations", "neuron_statistics", "candidates", "simulations", "scores"),
        *("judgements", "ablations"),
    ),
    "token_index": ("excerpts", "activations", "neuron_statistics"),
    "final_simulations": ("excerpts", "activations", "candidates", "scores"),
    "final_scores": ("excerpts", "activations", "neuron_statistics", "candidates", "scores", "final_simulations"),
    "layer_summary": ("scores",),
    "trends": ("neuron_statistics", "scores"),
    "comparison": ("scores", "metrics"),
    "spending": (),
}
"""The tables that each table may be made from; every table stands after its inputs."""

REVISED = ("counterexamples", "revised_explanations")
"""The tables of revision, which are made together."""

BY_PEOPLE = frozenset({"labels"})
"""Tables that hang on no field of the study, and so are in no lineage; what changes in them is noticed by content."""

ALONE = frozenset({"token_index"})
"""Tables of a layer from which no other is made, and that are made from none of those that explain."""

FINAL = ("final_simulations", "final_scores")
"""The tables of the final report: in no study's graph, made when a person opens the pool `test`."""


def tables_of(study: Study) -> tuple[str, ...]:
    """The tables that the study asks for."""
    is_judged = bool(study.scoring.judged)
    wanted = {
        "judgements": is_judged,
        "metrics": is_judged or study.scoring.calibrates,
        "counterexamples": study.revises,
        "revised_explanations": study.revises,
        "meanings": study.lists_meanings,
        "ablations": study.scoring.ablates,
        "comparison": bool(study.compare_with),
    }
    return tuple(table for table in INPUTS if wanted.get(table, table not in FINAL))


def inputs_of(study: Study, table: str) -> tuple[str, ...]:
    """The tables that a table of this study is made from, and reads."""
    unread = {
        "explanations": set() if study.shown_output_side else {"neuron_statistics"},
        **dict.fromkeys(REVISED, set() if study.revises_by_asking else {"neuron_statistics"}),
        "judgements": set() if study.judge.provider == "simulation" else {"simulations"},
    }
    there = {*tables_of(study), *FINAL} - unread.get(table, set())
    return tuple(name for name in INPUTS[table] if name in there)


def lineages(study: Study) -> dict[str, str]:
    """A fingerprint of sixteen hexadecimal digits for each table of the study."""
    fields = _fields(study)
    made: dict[str, str] = {}
    for table in INPUTS:
        inputs = [made[name] for name in inputs_of(study, table) if name not in BY_PEOPLE]
        facts = {"layout": LAYOUT, "fields": fields[table], "inputs": inputs}
        made[table] = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    return made


def differing_fields(one: Study, other: Study, table: str) -> list[str]:
    """The fields in which they would make another `table`, or another input of it: `corpus.seed: 0 and 1`, ..."""
    found = []
    for name in (*INPUTS[table], table):
        first, second = (dict(_leaves(_fields(study)[name])) for study in (one, other))
        fields = [field for field in {**first, **second} if first.get(field) != second.get(field)]
        found += [f"{field}: {first.get(field)} and {second.get(field)}" for field in fields]
    return found


def _leaves(fields: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    """By the names under which a study file has them: `splits.valid.top`."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _fields(study: Study) -> Mapping[str, Mapping[str, Any]]:
    pools = study.splits.model_dump(exclude={"fewest_documents"})
    harvested = {
        "subject": dict(study.subject.ingredients),
        "weights": study.subject.weights,
        "splits": pools,
        "activations": study.activations.model_dump(exclude={"output_side"}),
    }
    if study.units.ingredients:
        harvested["units"] = study.units.ingredients
    not_scored = {"scorers", "calibration"} | (set() if study.chooses else {"choosing_seed"})
    revision = {**study.revision.model_dump(), **_revised_by(study)}
    return {
        # How few documents a pool and how many bad rows a corpus may hold are conditions, not ingredients.
        "excerpts": {
            "tokenizer": study.subject.tokenizer,
            "corpus": study.corpus.model_dump(exclude={"most_bad_rows"}),
        },
        "activations": harvested,
        "neuron_statistics": {**harvested, "output_side": study.activations.output_side},
        "explanations": {"explainer": study.explainer_identity},
        "counterexamples": {**revision, "columns": 2},
        "revised_explanations": revision,
        "meanings": {**study.meanings.model_dump(), "version": MEANINGS_VERSION},
        "labels": {},
        "candidates": {"controls": study.controls.model_dump(exclude={"untrained"})},
        "simulations": {"simulator": study.simulator_identity, "top": study.scoring.top, "columns": 2},
        "scores": {"scoring": study.scoring.model_dump(exclude=not_scored), "columns": 2},
        "judgements": {
            "judge": study.judge_identity,
            **({"encoder": study.encoder.model_dump(exclude={"device"})} if study.encoder is not None else {}),
            "judging": study.judging.model_dump(),
            "top": study.scoring.top,
        },
        "ablations": {"calibration": study.scoring.calibration},
        "metrics": {"scoring": study.scoring.model_dump(exclude={"scorers", "choosing_seed"})},
        "token_index": {},
        "final_simulations": {"simulator": study.simulator_identity, "top": study.scoring.top},
        "final_scores": {"scoring": study.scoring.model_dump(exclude=not_scored)},
        "layer_summary": {"columns": 2},
        "trends": {},
        "comparison": {"compare_with": study.compare_with},
        "spending": {"columns": 2},  # of all that the study ever asked, whatever it says now
    }


def _revised_by(study: Study) -> Mapping[str, Any]:
    if study.revises_by_asking:
        return {"version": f"{TEST_SENTENCES}+{REVISION}", "structured": getattr(study.explainer, "structured", None)}
    return {"version": RULES_REVISION_VERSION, "choosing_seed": study.scoring.choosing_seed}
