"""Which studies may be compared, and which of their tables still stand: what each comparison begins with.

Here: refusing, and finding tables. Not here: what is made of them (`assets/comparing.py`, `viewer/comparing.py`).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from upath import UPath

from neuron_assets.errors import NotComparable, TableError, UnreadableTable
from neuron_assets.lineage import differing_fields, lineages, tables_of
from neuron_assets.study import Study
from neuron_assets.tables.layer_keys import layer_key
from neuron_assets.tables.parquet import TableFacts
from neuron_assets.tables.store import TableStore, table_of

_TABLES = ("scores", "metrics")
_SHARED = ("excerpts", "activations")


@dataclass(frozen=True, slots=True)
class Standing:
    """A table of one layer that is there and still stands."""

    layer_index: int
    table: str
    path: UPath
    facts: TableFacts


def refuse_others(baseline: Study, other: Study) -> None:
    """Raises NotComparable, with the fields that differ, where they do not score the same on the same excerpts."""
    differences = differing_fields(baseline, other, "activations")
    first, second = _measures(baseline), _measures(other)
    differences += [
        f"{field}: {first[field]} and {second[field]}"
        for field in first
        if second.get(field, first[field]) != first[field]
    ]
    if differences:
        mend = "Give them the same, or compare others. What may differ: explainer, simulator, revision, controls."
        raise NotComparable(baseline.name, other.name, differences, mend)


def _measures(study: Study) -> Mapping[str, object]:
    """On which excerpts is scored, and how; of what it does not ask for, a study may say what it likes."""
    scoring = study.scoring
    return {
        **{f"scoring.{name}": getattr(scoring, name) for name in ("top", "random")},
        **({"scoring.calibration": scoring.calibration} if scoring.calibrates else {}),
        **({"judging": study.judging} if scoring.judged else {}),
        **({"judge": study.judge_identity} if scoring.asks_judge else {}),
        **({"encoder": study.encoder} if scoring.embeds else {}),
    }


def refuse_other_content(baseline: Study, other: Study, own: Sequence[Standing], theirs: Sequence[Standing]) -> None:
    """Equal fields may still be of another text: a file that has changed, a folder of the same name elsewhere.

    Raises NotComparable.
    """
    first, second = (
        {(each.layer_index, table_of(path)): content for each in tables for path, content in each.facts.inputs.items()}
        for tables in (own, theirs)
    )
    differences = [
        f"the content of `{table}` that the scores of layer {layer} are made from"
        for layer, table in sorted(first.keys() & second.keys())
        if table in _SHARED and first[layer, table] != second[layer, table]
    ]
    if differences:
        mend = "Is it the same corpus? If so, materialize the older of them again, on the same machine as the other."
        raise NotComparable(baseline.name, other.name, differences, mend)


def standing(study: Study, store: TableStore, layers: Collection[int] | None = None) -> list[Standing]:
    """Scores and metrics of these layers, of all of the study if not given; what is outdated counts as missing.

    Raises UnreadableTable.
    """
    return list(_each_standing(study, store, study.layer_indices if layers is None else layers))


def _each_standing(study: Study, store: TableStore, layers: Collection[int]) -> Iterator[Standing]:
    for layer_index in sorted(layers):
        for table in _TABLES:
            path = store.path(study.name, table, layer_key(layer_index, study.subject.n_layers))
            if table in tables_of(study) and path.exists():
                try:
                    facts = store.current_facts(path, lineages(study)[table])
                except UnreadableTable:
                    raise  # one that is damaged is not one that is missing
                except TableError:
                    continue
                yield Standing(layer_index, table, path, facts)
