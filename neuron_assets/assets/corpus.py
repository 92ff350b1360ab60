"""The documents, as an asset that is observed: a digest of them all is its data version.

Put here: `corpus`. Keep out: reading documents (`corpora/`), and the step that cuts them (`excerpts.py`).
https://docs.dagster.io/guides/build/assets/external-assets
"""

from collections.abc import Callable
from typing import Any

import dagster as dg

from neuron_assets.assets.corpus_reading import Hears, reading_facts
from neuron_assets.assets.opening import open_documents
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import asset_key
from neuron_assets.study import Study


def corpus_asset(study: Study) -> dg.AssetsDefinition:
    spec = dg.AssetSpec(
        asset_key(study, "corpus"),
        group_name=study.name,
        description=(
            f"The documents that the subject reads: `{study.corpus.source}`. Observe it to "
            "see whether they have changed; `excerpts`, and then what is below it, show as outdated."
        ),
        metadata={name: str(value) for name, value in study.corpus.model_dump(exclude_none=True).items()},
        owners=list(study.owners),
        kinds={"python"},
    )
    decorator: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.multi_observable_source_asset(
        specs=[spec], name="__".join(spec.key.path)
    )

    def observe(context: dg.AssetExecutionContext, reading: dg.ResourceParam[Hears]) -> dg.ObserveResult:
        tag_run(context, study)
        documents = open_documents(study, reading(context.log))
        if documents.pinned is None:
            documents.to_the_end()
        return dg.ObserveResult(
            asset_key=spec.key, data_version=dg.DataVersion(documents.version), metadata=reading_facts(documents)
        )

    return decorator(observe)
