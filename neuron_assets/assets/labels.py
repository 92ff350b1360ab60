"""The step from what people wrote to a table that candidates are made from.

Put here: the asset `labels`. Keep out: the store that people write to (`tables/label_store.py`), what may be written
(`method/labels.py`), and simulations by hand, which are no candidates (`tables/hand_simulated.py`).
"""

import time

import dagster as dg

from neuron_assets.assets.partitions import layer_index
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import Result, asset_key, hand_over, seconds_since, table_asset
from neuron_assets.method.labels import PersonsExplanation
from neuron_assets.study import Study
from neuron_assets.tables.label_store import LabelStore
from neuron_assets.tables.labelled import labels_frame
from neuron_assets.tables.store import TableStore

ENTRIES = "entries"
"""Note of `labels`: what changes when somebody adds an explanation; none while there is none."""


def labels_asset(study: Study) -> dg.AssetsDefinition:
    @table_asset(study, "labels")
    def labels(context: dg.AssetExecutionContext, table_store: dg.ResourceParam[TableStore]) -> Result:
        tag_run(context, study)
        began, store, layer = time.monotonic(), LabelStore(table_store, study.name), layer_index(context.partition_key)
        version = store.version(layer)  # before reading: what is added meanwhile is taken in the next time
        kept = store.explanations(layer)
        for damaged in kept.damaged:
            context.log.warning("%s. It is left out; put the file back as it was, or remove it.", damaged)
        frame = labels_frame(kept.of(PersonsExplanation))
        facts = {"labels": frame.height, "authors": frame["author"].n_unique(), "damaged": len(kept.damaged)}
        named = {"damaged_files": "\n".join(map(str, kept.damaged))} if kept.damaged else {}
        context.add_asset_metadata(
            facts | named | seconds_since(began), asset_key(study, "labels"), context.partition_key
        )
        yield from hand_over(context, study, "labels", frame, notes={ENTRIES: version} if version else {})

    return labels


def labels_version(study: Study, store: TableStore, layer: int) -> str | None:
    """What `labels` of a layer made now would note; None while nobody has written of it."""
    return LabelStore(store, study.name).version(layer)
