"""Who explains and who simulates, as assets that are observed: who answers now is their data version.

Put here: `explainer_model` and `simulator_model`. Keep out: what they do.
https://docs.dagster.io/guides/build/assets/external-assets
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import dagster as dg

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.specs import asset_key
from neuron_assets.study import Study


def language_model_assets(study: Study) -> list[dg.AssetsDefinition]:
    explainer = _spec(study, "explainer_model", "Who writes the explanations.", study.explainer_identity)
    simulator = _spec(study, "simulator_model", "Who predicts activations.", study.simulator_identity)
    return [
        _observed(explainer, lambda desk: desk.explainer(study)),
        _observed(simulator, lambda desk: desk.simulator(study)),
    ]


def _spec(study: Study, name: str, text: str, identity: str) -> dg.AssetSpec:
    model, _, parameters = identity.partition("?")
    pairs = (pair.partition("=") for pair in parameters.split("&") if pair)
    return dg.AssetSpec(
        asset_key(study, name),
        group_name=study.name,
        description=f"{text} By the study: `{model}`, with the parameters under Metadata; who answers is observed.",
        metadata={"model": model, **{name: unquote(value) for name, _, value in pairs}},
        owners=list(study.owners),
        tags={"neuron_assets/role": name.removesuffix("_model")},
        kinds={"python"},
    )


def _observed(spec: dg.AssetSpec, who_is_it: Callable[[RequestDesk], str]) -> dg.AssetsDefinition:
    decorator: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.multi_observable_source_asset(
        specs=[spec], name="__".join(spec.key.path), required_resource_keys={"desk"}
    )

    def observe(context: dg.AssetExecutionContext) -> dg.ObserveResult:
        who = who_is_it(context.resources.desk)
        return dg.ObserveResult(
            asset_key=spec.key, data_version=dg.DataVersion(who), metadata={"answered_by": who.partition("?")[0]}
        )

    return decorator(observe)
