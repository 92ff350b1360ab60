"""A server that says no to all, or to what a study cannot do without, ends the run and is named; it is not asked on."""

import pytest

from neuron_assets.errors import ParametersRefused
from tests.language_models.misbehaving_server import refusal, running
from tests.language_models.one_request import identity, opened


def test_a_server_that_wants_what_cannot_be_changed_is_not_asked_for_ever() -> None:
    wants = refusal(400, "'max_tokens' is not supported. Use 'max_completion_tokens' instead.", param="max_tokens")
    with (
        running(behaviour=lambda _body, number: wants if number < 20 else None) as server,
        pytest.raises(ParametersRefused, match="Use 'max_completion_tokens' instead"),
    ):
        identity(opened(server, more={"max_tokens": 500}))

    assert server.n_requests == 3  # what is learned, learned in vain, and the longer reply
