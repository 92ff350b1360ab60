"""Who explains and who simulates, as assets that are observed: their identity is their data version.

Put here: `explainer_model` and `simulator_model`. Keep out: what they do.
https://docs.dagster.io/guides/build/assets/external-assets
"""

from collections.abc import Callable

import dagster as dg

from neuron_assets.assets.specs import asset_key
from neuron_assets.study import Study


def language_model_assets(study: Study) -> list[dg.AssetsDefinition]:
    return [
        _observed(study, "explainer_model", "Who writes the explanations.", study.explainer_identity),
        _observed(study, "simulator_model", "Who predicts activations.", study.simulator_identity),
    ]


def _observed(study: Study, name: str, text: str, identity: str) -> dg.AssetsDefinition:
    spec = dg.AssetSpec(
        asset_key(study, name),
        group_name=study.name,
        description=f"{text} Identity now: `{identity}`.",
        metadata={"identity": identity},
        owners=list(study.owners),
        tags={"neuron_assets/role": name.removesuffix("_model")},
        kinds={"python"},
    )

    decorator: Callable[[Callable[[], dg.ObserveResult]], dg.AssetsDefinition] = dg.multi_observable_source_asset(
        specs=[spec], name=f"{study.name}__{name}"
    )
    return decorator(lambda: dg.ObserveResult(asset_key=spec.key, data_version=dg.DataVersion(identity)))
