"""The subject model, as an asset that is observed: its revision, or the digest of its files, is its data version.

Put here: `subject_model`. Keep out: opening it (`subject_opening.py`), digests of files (`subject_files.py`).
https://docs.dagster.io/guides/build/assets/external-assets
"""

from collections.abc import Callable
from typing import Any

import dagster as dg

from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import asset_key
from neuron_assets.study import Study
from neuron_assets.subject_files import subject_files, units_digest


def subject_version(study: Study) -> str:
    """Which subject that is now: its revision, or a digest of its files, and of those that its units are made from.

    Raises UnusableSubject or UnusableUnits.
    """
    return "+".join(filter(None, [subject_files(study) or study.subject.weights, units_digest(study)]))


def subject_model_asset(study: Study) -> dg.AssetsDefinition:
    spec = dg.AssetSpec(
        asset_key(study, "subject_model"),
        group_name=study.name,
        description=(
            f"The model whose neurons are explained: `{study.subject.label}`. Observe it to see whether its files have "
            "changed; what was made from others then shows as outdated."
        ),
        metadata={name: str(value) for name, value in study.subject.model_dump(exclude_none=True).items()},
        owners=list(study.owners),
        kinds={"pytorch"},
    )
    decorator: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.multi_observable_source_asset(
        specs=[spec], name="__".join(spec.key.path)
    )

    def observe(context: dg.AssetExecutionContext) -> dg.ObserveResult:
        tag_run(context, study)
        return dg.ObserveResult(asset_key=spec.key, data_version=dg.DataVersion(subject_version(study)))

    return decorator(observe)
