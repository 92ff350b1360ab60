"""Who explains and who simulates, as assets that are observed: who answers now is their data version.

Put here: `explainer_model` and `simulator_model`. Keep out: what they do, and what follows from it (`refreshing.py`).
https://docs.dagster.io/guides/build/assets/external-assets
"""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

import dagster as dg

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.estimating import Estimate, estimate
from neuron_assets.assets.partitions import layer_index
from neuron_assets.assets.refreshing import OBSERVED_BY, outdated_layers
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import ROLES, Role, asset_key
from neuron_assets.errors import NeuronAssetsError
from neuron_assets.model_sections import brief
from neuron_assets.study import Study
from neuron_assets.tables.store import TableStore


def language_model_assets(study: Study) -> list[dg.AssetsDefinition]:
    return [_observed(study, "explainer"), _observed(study, "simulator")]


def _observed(study: Study, role: Role) -> dg.AssetsDefinition:
    decorator: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.multi_observable_source_asset(
        specs=[_spec(study, role)], name=f"{study.name}__{role}_model"
    )

    def observe(
        context: dg.AssetExecutionContext,
        desk: dg.ResourceParam[RequestDesk],
        table_store: dg.ResourceParam[TableStore],
    ) -> dg.ObserveResult:
        tag_run(context, study)
        who = desk.explainer(study) if role == "explainer" else desk.simulator(study)
        outdated = outdated_layers(context.instance, study, role, who)
        facts = {"seen": brief(who), OBSERVED_BY: context.run.tags.get("dagster/schedule_name", "hand")}
        facts |= {"outdated_layers": ", ".join(outdated) or "none"} | _refresh_takes(
            study, role, outdated, desk, table_store
        )
        return dg.ObserveResult(
            asset_key=asset_key(study, f"{role}_model"), data_version=dg.DataVersion(who), metadata=facts
        )

    return decorator(observe)


def _spec(study: Study, role: Role) -> dg.AssetSpec:
    text, identity = {
        "explainer": ("Who writes the explanations.", study.explainer_identity),
        "simulator": ("Who predicts activations.", study.simulator_identity),
    }[role]
    model, _, parameters = identity.partition("?")
    pairs = (pair.partition("=") for pair in parameters.split("&") if pair)
    return dg.AssetSpec(
        asset_key(study, f"{role}_model"),
        group_name=study.name,
        description=f"{text} By the study: `{model}`, with the parameters under Metadata; who answers is observed.",
        metadata={"model": model, **{name: unquote(value) for name, _, value in pairs}},
        owners=list(study.owners),
        tags={"neuron_assets/role": role},
        kinds={"python"},
    )


def _refresh_takes(
    study: Study, role: Role, layers: Sequence[str], desk: RequestDesk, tables: TableStore
) -> dict[str, str]:
    """What making these layers again would ask of servers, if none of it were answered yet; one that fails is told."""
    neurons = {layer_index(layer): study.neuron_indices(layer_index(layer)) for layer in layers}
    try:
        estimates = estimate(study, neurons, desk.store, tables) if layers else []
    except NeuronAssetsError as error:
        return {"refresh_takes": str(error)}
    asked_again = [*ROLES[ROLES.index(role) :], *(["revision", "judge"] if role == "explainer" else [])]
    return {f"refresh_takes_{one.role}": _in_words(one) for one in estimates if one.role in asked_again}


def _in_words(one: Estimate) -> str:
    money = "price unknown" if one.money is None else f"about ${one.money:,.2f}"
    return f"{one.requests:,} requests to {one.model}, {money}"
