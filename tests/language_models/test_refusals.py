"""What a server says instead of an answer, in words that help."""

import pytest

from neuron_assets.errors import RequestRefused
from neuron_assets.language_models.refusals import Refusal, error_of_refusal


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(400, "'max_tokens' is too large: 2832. This model's maximum context length is 4096 tokens"),
        Refusal(400, "the request exceeds the available context size", code="exceed_context_size_error"),
        Refusal(400, "too long", code="context_length_exceeded"),
    ],
)
def test_a_context_that_is_too_small_names_the_setting_to_lower(refusal: Refusal) -> None:
    error = error_of_refusal(refusal, "127.0.0.1:8080/v1", "parrot")

    assert isinstance(error, RequestRefused)
    assert f"{refusal.message} (400); a lower `room_to_think`" in str(error)


def test_another_refusal_does_not_speak_of_it() -> None:
    assert "room_to_think" not in str(error_of_refusal(Refusal(400, "your input was flagged"), "here", "parrot"))
