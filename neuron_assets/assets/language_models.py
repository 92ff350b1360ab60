"""Who explains and who simulates, as assets that are observed: their identity is their data version.

Put here: `explainer_model` and `simulator_model`. Keep out: what they do.
https://docs.dagster.io/guides/build/assets/external-assets
"""

from collections.abc import Callable

import dagster as dg

from neuron_assets.assets.specs import asset_key
from neuron_assets.study import Study


def language_model_assets(study: Study) -> list[dg.SourceAsset]:
    return [
        _observed(study, "explainer_model", "Who writes the explanations.", lambda: study.explainer_identity),
        _observed(study, "simulator_model", "Who predicts activations.", lambda: study.simulator_identity),
    ]


def _observed(study: Study, name: str, text: str, identity: Callable[[], str]) -> dg.SourceAsset:
    @dg.observable_source_asset(
        key=asset_key(study, name),
        group_name=study.name,
        description=f"{text} Identity now: `{identity()}`.",
        metadata={"identity": identity()},
        tags={"neuron_assets/role": name.removesuffix("_model"), "dagster/kind/python": ""},
    )
    def observe() -> dg.DataVersion:
        return dg.DataVersion(identity())

    return observe
