"""What is observed of the world outside the study: its version in Dagster, written down wherever somebody looks.

Put here: the writing down. Keep out: the observable assets (`language_models.py`, `corpus.py`), and looking.
"""

import dagster as dg

from neuron_assets.model_sections import brief


def write_down(instance: dg.DagsterInstance, key: dg.AssetKey, version: str) -> None:
    """Records `version` as what was seen of that asset, unless it is what was seen last."""
    latest = instance.get_latest_data_version_record(key)
    seen = latest.asset_observation.data_version if latest and latest.asset_observation else None
    if seen != version:
        tags = {"dagster/data_version": version}
        instance.report_runless_asset_event(dg.AssetObservation(key, metadata={"seen": brief(version)}, tags=tags))


def seen_by_step(context: dg.AssetExecutionContext, key: dg.AssetKey, version: str) -> None:
    """Records what a step has found; what it makes then counts as made from that version."""
    write_down(context.instance, key, version)
    # Dagster looked at the inputs' versions before the step began, and would say that it was made from an older one.
    context.op_execution_context.get_step_execution_context().wipe_input_asset_version_info(key)
