"""A server that is down for minutes: longer than the client waits, and no reason to lose a night's backfill.

Put here: after what a step is tried again, and when. Keep out: trying a request again (`language_models/trying.py`);
runs whose process died (dagster_home/dagster.yaml).
https://docs.dagster.io/guides/build/ops/op-retries
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg

from neuron_assets.errors import ServerUnreachable

WAITS = (60.0, 300.0, 600.0)
"""Seconds before each further try of a step in Dagster's own processes; a person's call ends at once."""


@contextmanager
def trying_again(context: dg.AssetExecutionContext, waits: Sequence[float]) -> Iterator[None]:
    """Asks Dagster for another try where no server answers; what was answered is kept, and not asked again.

    Any other error, such as a spent budget or a missing key, would only come again: it ends the step.
    """
    try:
        yield
    except ServerUnreachable as error:
        if context.retry_number < len(waits):
            raise _another_try(context, waits, str(error)) from error
        raise


def ask_lost_again(context: dg.AssetExecutionContext, waits: Sequence[float], n_lost: int) -> None:
    """The same where single questions got no answer, but once: those that fail again stay rows with a failure."""
    if n_lost and waits and context.retry_number == 0:
        raise _another_try(context, waits, f"{n_lost} questions got no answer.")


def _another_try(context: dg.AssetExecutionContext, waits: Sequence[float], why: str) -> dg.RetryRequested:
    wait = waits[context.retry_number]
    context.log.warning("%s The step is tried again in %g s.", why, wait)
    return dg.RetryRequested(len(waits), wait)
