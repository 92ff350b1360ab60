"""Trying a request again that a server did not answer.

Here: how often, and after how long. Not here: which errors are worth it (`errors/asking.py`: TryAgain), and how many
requests are in flight (`limiter.py`).
"""

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from neuron_assets.errors import TryAgain
from neuron_assets.language_models.limiter import LONGEST_PAUSE_S, Sleep

_BACKOFF = wait_exponential_jitter(multiplier=0.5, max=60, jitter=1)


def trying(most_tries: int, sleep: Sleep, *, even_crowded: bool) -> AsyncRetrying:
    """Calls a request up to so many times, with growing pauses; raises the last TryAgain, and any other error at once.

    `even_crowded` says whether a server that is crowded counts as one that does not answer.
    """
    return AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, TryAgain) and (even_crowded or not error.crowded)),
        stop=stop_after_attempt(most_tries),
        wait=seconds_before_next,
        sleep=sleep,
        reraise=True,
    )


def seconds_before_next(state: RetryCallState) -> float:
    """Backs off, with jitter; the server's own wish goes first, within bounds."""
    error = None if state.outcome is None else state.outcome.exception()
    wish = error.after if isinstance(error, TryAgain) and error.after is not None else 0.0
    return min(max(_BACKOFF(state), wish), LONGEST_PAUSE_S)
