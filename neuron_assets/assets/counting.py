"""How many questions a study asks, before it asks them.

Put here: what is known of them from the tables that are there, or else the most that there may be. Keep out: what they
cost (`estimating.py`).
"""

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from neuron_assets.assets.held_out import Layer, is_simulated, most_excerpts
from neuron_assets.assets.partitions import layer_key
from neuron_assets.errors import TableError
from neuron_assets.judge_sections import HostedJudge
from neuron_assets.lineage import lineages
from neuron_assets.method.controls import lenders
from neuron_assets.method.labels import PersonsExplanation, distinct
from neuron_assets.model_sections import AskedExplainer
from neuron_assets.study import Study
from neuron_assets.tables.label_store import LabelStore
from neuron_assets.tables.parquet import StoredTable, read_table
from neuron_assets.tables.rows import corpus
from neuron_assets.tables.schemas import empty
from neuron_assets.tables.store import TableStore

_Asked = Collection[tuple[int, Hashable]]
"""Each neuron with all that its explanations are asked about; excerpts by their tokens: several may have the same."""


@dataclass(frozen=True, slots=True)
class Count:
    n_questions: int
    is_exact: bool
    """Else these are the most: for a question that comes twice is asked once, and excerpts may not be known yet."""


def n_texts(study: Study) -> int:
    """Explanations of a neuron, with those that are revised, and lists."""
    return n_samples(study) + study.n_further


def n_samples(study: Study) -> int:
    """Explanations of a neuron that are asked for."""
    return study.explainer.samples if isinstance(study.explainer, AskedExplainer) else 1


def count_revisions(study: Study, neurons: Mapping[int, Sequence[int]]) -> Count:
    """At most two a round: none about a neuron without an explanation, the second only where sentences came."""
    return Count(2 * study.revision.rounds * sum(map(len, neurons.values())), is_exact=False)


def count_explanations(study: Study, neurons: Mapping[int, Sequence[int]]) -> Count:
    """Of neurons, and of each entry of each list of meanings: lists may share one, and some neurons have none."""
    n_entries = sum(range(2, study.meanings.most + 1))
    return Count((n_samples(study) + n_entries) * sum(map(len, neurons.values())), is_exact=not n_entries)


def count_simulations(study: Study, neurons: Mapping[int, Sequence[int]], store: TableStore) -> Count:
    """`neurons` are those of each layer."""
    known = {layer: _simulated(study, store, layer, indices) for layer, indices in neurons.items()}
    return _count(study, neurons, known, most_excerpts(study), store)


def count_judgements(
    study: Study, section: HostedJudge, neurons: Mapping[int, Sequence[int]], store: TableStore
) -> Count:
    """As above."""
    known = {layer: _judged(study, section, store, layer, indices) for layer, indices in neurons.items()}
    plans = [study.judging.plan(scorer) for scorer in study.scoring.judged if scorer != "embedding"]
    n_excerpts = [plan.n_active + plan.n_plain + plan.n_hard + plan.n_beside for plan in plans]
    return _count(study, neurons, known, sum(-(-n // section.plan.shown_at_once) for n in n_excerpts), store)


def _count(
    study: Study,
    neurons: Mapping[int, Sequence[int]],
    known: Mapping[int, _Asked | None],
    most_a_text: int,
    store: TableStore,
) -> Count:
    """Questions alike are asked once: one explanation may be tried on a text as itself and as a control."""
    n_questions = 0
    for layer, indices in neurons.items():
        asked, labels = known[layer], _labels(study, store, layer)
        lender_of = lenders(indices, layer, study.controls.seed) if study.controls.shuffled else {}
        if asked is None:
            n_all = n_texts(study) * len(indices) + len(lender_of) + study.controls.over_broad * len(indices)
            n_questions += (n_all + sum(labels[neuron] for neuron in indices)) * most_a_text
            continue
        borrowed = {(lender_of[neuron], what) for neuron, what in asked if neuron in lender_of}
        too_broad = {what for _, what in asked} if study.controls.over_broad else ()
        n_questions += (n_texts(study) - 1) * len(asked) + len(borrowed.union(asked)) + len(too_broad)
        n_questions += sum(labels[neuron] for neuron, _ in asked)
    is_known = all(asked is not None for asked in known.values())
    return Count(n_questions, is_known and not study.n_further)  # not every neuron has every list, or another text


def _labels(study: Study, store: TableStore, layer: int) -> Counter[int]:
    """How many explanations people have written of each neuron."""
    written = LabelStore(store, study.name).explanations(layer).of(PersonsExplanation)
    return Counter(one.neuron.neuron_index for one in distinct(written))


def _simulated(study: Study, store: TableStore, layer: int, neuron_indices: Sequence[int]) -> _Asked | None:
    """Each of these neurons with each text that it is simulated on; None where its activations are not there."""
    try:
        stored = _activations(study, store, layer)
        rows = stored.read(is_simulated(study) & pl.col("neuron_index").is_in(list(neuron_indices)))
        tokens = _excerpts(study, store).select("excerpt_index", "tokens")
    except TableError:
        return None
    pairs = rows.join(tokens, on="excerpt_index").select("neuron_index", "tokens")
    return {(neuron, tuple(text)) for neuron, text in pairs.iter_rows()}


def _judged(
    study: Study, section: HostedJudge, store: TableStore, layer: int, neuron_indices: Sequence[int]
) -> _Asked | None:
    """Each of these neurons with each question that is asked of it, by scorer; None as above."""
    try:
        stored, texts = _activations(study, store, layer), corpus(_excerpts(study, store))
        held_out = Layer(study, stored, texts, empty("neuron_statistics"))
        all_cases = [each for each in held_out.cases(neuron_indices) if each.scorer != "embedding"]
    except TableError:
        return None
    size, asked = section.plan.shown_at_once, set[tuple[int, Hashable]]()
    for cases in all_cases:
        shown = cases.shown()
        batches = (tuple(shown[start : start + size]) for start in range(0, len(shown), size))
        asked |= {(cases.record.neuron.neuron_index, (cases.scorer, batch)) for batch in batches}
    return asked


def _activations(study: Study, store: TableStore, layer: int) -> StoredTable:
    """Raises TableError, unless they stand."""
    path = store.path(study.name, "activations", layer_key(layer, study.subject.n_layers))
    store.current_facts(path, lineages(study)["activations"])
    return StoredTable(path, "activations")


def _excerpts(study: Study, store: TableStore) -> pl.DataFrame:
    return read_table(store.path(study.name, "excerpts"), "excerpts")
