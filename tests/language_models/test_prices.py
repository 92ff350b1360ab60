"""Prices: the right model's, or none; never zero for what nobody knows."""

import math

import pytest

from neuron_assets.language_models.model import Usage
from neuron_assets.language_models.prices import Price, known_prices, price_of


def test_tokens_are_paid_by_the_million_and_cached_ones_at_their_own_price() -> None:
    price = Price(tokens_in=2.0, tokens_out=8.0, tokens_cached=0.5)
    usage = Usage(tokens_in=1_000_000, tokens_out=250_000, tokens_cached=400_000)

    assert price.money(usage) == pytest.approx(0.6 * 2.0 + 0.4 * 0.5 + 0.25 * 8.0)


def test_without_a_price_of_their_own_cached_tokens_cost_as_much_as_others() -> None:
    price = Price(tokens_in=2.0, tokens_out=8.0)

    assert price.money(Usage(1_000_000, 0, 400_000)) == 2.0


def test_a_batch_costs_half() -> None:
    price = Price(tokens_in=2.0, tokens_out=8.0)
    usage = Usage(1_000_000, 1_000_000)

    assert (price.money(usage), price.money(usage, batch=True)) == (10.0, 5.0)


def test_a_server_that_counts_more_cached_tokens_than_sent_ones_earns_nothing_back() -> None:
    price = Price(tokens_in=2.0, tokens_out=8.0, tokens_cached=0.0)

    assert price.money(Usage(tokens_in=100, tokens_cached=300)) == 0.0


@pytest.mark.parametrize("dollars", [-0.01, math.nan, math.inf])
def test_what_is_no_price_is_refused(dollars: float) -> None:
    with pytest.raises(ValueError, match="is not a price"):
        Price(tokens_in=dollars, tokens_out=1.0)
    with pytest.raises(ValueError, match="is not a price"):
        Price(tokens_in=1.0, tokens_out=1.0, tokens_cached=dollars)


@pytest.mark.parametrize(
    "identity",
    [
        "gpt-4.1-mini",
        "gpt-4.1-mini-2025-04-14",
        "gpt-4.1-mini-latest",
        "gpt-4.1-mini@api.openai.com/v1",
        "gpt-4.1-mini-2025-04-14@api.openai.com/v1#0f3a",
    ],
)
def test_a_name_stands_for_its_dated_versions_and_for_the_identity_that_begins_with_it(identity: str) -> None:
    assert price_of(identity) == known_prices().prices["gpt-4.1-mini"]


@pytest.mark.parametrize(
    "identity",
    [
        "qwen2.5-7b-instruct",
        "gpt-5-pro",  # not gpt-5
        "gpt-5.1",
        "gpt-4.1-mini-audio-preview",
        "gpt-4o-2024-11-20-realtime",
        "claude-sonnet-4-7",  # not claude-sonnet-4
        "my-gpt-4.1-mini",
        "",
    ],
)
def test_a_model_that_is_not_listed_has_no_price(identity: str) -> None:
    assert price_of(identity) is None


def test_the_longest_name_wins() -> None:
    assert price_of("gpt-4o-2024-05-13") == Price(5.0, 15.0, 5.0)
    assert price_of("gpt-4o-2024-08-06") == Price(2.5, 10.0, 1.25)


def test_a_study_overrules_the_list_and_adds_to_it() -> None:
    mine = {"gpt-4.1-mini": Price(9.0, 9.0), "tiny.gguf": Price(0.0, 0.0)}

    assert price_of("gpt-4.1-mini-2025-04-14", mine) == Price(9.0, 9.0)
    assert price_of("tiny.gguf@127.0.0.1:8080/v1", mine) == Price(0.0, 0.0)
    assert price_of("gpt-4.1", mine) == known_prices().prices["gpt-4.1"]


def test_a_short_name_of_a_study_goes_before_a_longer_one_of_the_list() -> None:
    assert price_of("gpt-4o-2024-05-13@api.openai.com/v1", {"gpt-4o": Price(1.0, 1.0)}) == Price(1.0, 1.0)


def test_a_study_may_price_a_model_by_what_it_calls_it() -> None:
    mine = {"anthropic/claude-sonnet-4": Price(3.0, 15.0)}
    resolved, alias = "anthropic/claude-4-sonnet-20250522@openrouter.ai/api/v1", "anthropic/claude-sonnet-4"

    assert price_of(resolved, mine, alias) == Price(3.0, 15.0)
    assert price_of(resolved, {**mine, "anthropic/claude-4-sonnet": Price(1.0, 2.0)}, alias) == Price(1.0, 2.0)
    assert price_of(resolved, {}, alias) is None


def test_what_a_study_calls_a_model_has_no_price_of_the_list() -> None:
    """An alias says nothing of who answers: a server of one's own may call anything gpt-4o."""
    assert price_of("llama@127.0.0.1:8080/v1", {}, "gpt-4o") is None


def test_the_list_says_when_it_was_written_and_no_cached_token_costs_more_than_a_fresh_one() -> None:
    known = known_prices()

    assert known.written_down.year >= 2026
    assert all((price.tokens_cached or 0.0) <= price.tokens_in < price.tokens_out for price in known.prices.values())
