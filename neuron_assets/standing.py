"""What of a study is there already and still stands, so that it need not be made again.

Here: whether a table is what would be made now, by the files and by what Dagster remembers of them. Not here: which
runs are made where it is not (`running.py`).
"""

import logging
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Literal

import dagster as dg
from dagster import DagsterInstance

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.comparison import COMPARED, compared_contents
from neuron_assets.assets.corpus_reading import VERSION
from neuron_assets.assets.held_out import SIMULATED, simulated_in_words
from neuron_assets.assets.history import BLOCKED_BY, last_materialization
from neuron_assets.assets.judgements import JUDGED, judged_in_words
from neuron_assets.assets.labels import ENTRIES, labels_version
from neuron_assets.assets.opening import documents_version, files_state
from neuron_assets.assets.partitions import layer_key
from neuron_assets.assets.shared_pass import FORWARD
from neuron_assets.assets.specs import ANSWERED_BY, DOCUMENTS, FILES, LOST, SCORERS, asset_key, scorers_in_words
from neuron_assets.assets.spending import REQUESTS, n_requests
from neuron_assets.errors import TableError, UnreadableTable
from neuron_assets.lineage import INPUTS, lineages
from neuron_assets.study import Study
from neuron_assets.subject_files import FORWARD_NOTES, SUBJECT_FILES, TOKENIZER_FILES, subject_files, tokenizer_files
from neuron_assets.tables.parquet import TableFacts, read_table
from neuron_assets.tables.store import TableStore

_LOG = logging.getLogger(__name__)

_EXPLAINED = ("explanations", "meanings")


class State:
    """What is there already, in the files and in the instance's history."""

    def __init__(
        self,
        study: Study,
        neurons: int | Literal["all"] | None,
        store: TableStore,
        desk: RequestDesk,
        instance: DagsterInstance,
    ) -> None:
        """`neurons` are those to be explained; None: as the study says."""
        self._study, self._neurons = study, neurons
        self._store, self._desk, self._instance = store, desk, instance
        self._lineages = lineages(study)
        self._damaged: set[object] = set()

    def stands(self, table: str, layer: int | None) -> bool:
        """Whether it can be read, and the world outside is still as it was when it was made."""
        key = None if layer is None else self._key(layer)
        path = self._store.path(self._study.name, table, key)
        if (facts := self._readable(table, key)) is None:
            return table == "labels" and not path.exists() and self._labels(layer) is None
        if any(facts.notes.get(note) != now() for note, now in self._must_be_as_noted(table, layer).items()):
            return False
        if table == "candidates" and not self._knows_labels(facts, key):
            return False
        if table != "explanations" or layer is None:
            return True
        explained = set(read_table(path, facts.table)["neuron_index"])
        return explained.issuperset(self._study.neuron_indices(layer, self._neurons))

    def _readable(self, table: str, key: str | None) -> TableFacts | None:
        """Of a table that is there, of this lineage, made from what its inputs hold now, and passed its checks."""
        path = self._store.path(self._study.name, table, key)
        try:
            facts = self._store.current_facts(path, self._lineages[table])
        except TableError as error:
            if isinstance(error, UnreadableTable) and path not in self._damaged:
                self._damaged.add(path)
                _LOG.warning("%s Where it is asked for, it is made again now.", error)
            return None
        return facts if self._is_recorded(table, key) else None

    def _must_be_as_noted(self, table: str, layer: int | None) -> Mapping[str, Callable[[], str | None]]:
        """What a file notes of the world outside the study, and how it is now; nothing may be lost."""
        study = self._study
        notes: dict[str, dict[str, Callable[[], str | None]]] = {
            "excerpts": {DOCUMENTS: lambda: self._documents, TOKENIZER_FILES: lambda: tokenizer_files(study)},
            **{table: {note: partial(now, study) for note, now in FORWARD_NOTES.items()} for table in FORWARD},
            **{table: {LOST: lambda: None, ANSWERED_BY: lambda: self._explainer} for table in _EXPLAINED},
            "revised_explanations": {LOST: lambda: None},
            "labels": {ENTRIES: lambda: self._labels(layer)},
            "simulations": {
                LOST: lambda: None,
                ANSWERED_BY: lambda: self._simulator,
                SIMULATED: lambda: simulated_in_words(study),
            },
            "judgements": {LOST: lambda: None, ANSWERED_BY: self._judge, JUDGED: lambda: judged_in_words(study)},
            "ablations": {SUBJECT_FILES: lambda: subject_files(study)},
            **{table: {SCORERS: lambda: scorers_in_words(study)} for table in ("scores", "metrics")},
            "comparison": {COMPARED: lambda: compared_contents(study, self._store)},
            "spending": {REQUESTS: lambda: str(n_requests(study, self._desk.store))},
        }
        return notes.get(table, {})

    def _labels(self, layer: int | None) -> str | None:
        return None if layer is None else labels_version(self._study, self._store, layer)

    def _knows_labels(self, facts: TableFacts, key: str | None) -> bool:
        """Whether candidates were made from the labels that are there; older ones may be from before there were any."""
        labels = self._store.path(self._study.name, "labels", key)
        return not labels.exists() or self._store.name(labels) in facts.inputs

    def _key(self, layer: int) -> str:
        return layer_key(layer, self._study.subject.n_layers)

    @cached_property
    def _explainer(self) -> str:
        return self._desk.explainer(self._study)

    @cached_property
    def _simulator(self) -> str:
        return self._desk.simulator(self._study)

    def _judge(self) -> str:
        return self._desk.judge(self._study)

    @cached_property
    def _documents(self) -> str:
        """What the corpus holds now, by its version; files that stand as they were are not read again."""
        study = self._study
        made, state = last_materialization(self._instance, asset_key(study, "excerpts"), None), files_state(study)
        if made is not None and state is not None and made.metadata.get(FILES) == dg.MetadataValue.text(state):
            return str(made.metadata[VERSION].value)
        return documents_version(study)

    def stands_for_all_layers(self, table: str) -> bool:
        """Whether it stands and is made from all layers of its inputs that can be read."""
        study, store = self._study, self._store
        facts, keys = self._readable(table, None), map(self._key, study.layer_indices)
        there = [(name, key) for key in keys for name in INPUTS[table] if self._readable(name, key) is not None]
        return facts is not None and {store.name(store.path(study.name, *each)) for each in there} == set(facts.inputs)

    def _is_recorded(self, table: str, key: str | None) -> bool:
        """Whether Dagster knows of it, and of no blocking check that failed."""
        last = last_materialization(self._instance, asset_key(self._study, table), key)
        return last is not None and BLOCKED_BY not in last.metadata
