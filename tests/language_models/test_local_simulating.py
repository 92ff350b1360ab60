"""Facts on simulating by a model in this process: it gives what one pass a prompt would give, only sooner."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    GraniteConfig,
    GraniteForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

import neuron_assets.subjects.bundled
from neuron_assets.errors import UnusableModel
from neuron_assets.language_models.local import LocalModel, open_local_model
from neuron_assets.language_models.local_simulating import simulate_all_at_once
from neuron_assets.method.questions import EchoPrompt
from neuron_assets.method.simulating.all_at_once import echo_simulation_question
from tests.language_models.tiny_models import END_OF_TEXT, FEW_SHOT, local, tiny_gpt2, tiny_llama, tiny_tokenizer

BUNDLED = Path(neuron_assets.subjects.bundled.__file__).parent
FAMILIES = {"llama": tiny_llama, "gpt2": tiny_gpt2}
ITEMS: list[tuple[str, list[list[str]]]] = [
    ("names of birds.", [[" the", " wren", "\n", "10"], ["\t", "?", "<tokens>", END_OF_TEXT]]),
    ("a", [["x", "", " \N{SNOWMAN}", "\\"]]),
    ("numbers that are written as words", []),
    ("the middle of a long word", [["re", "lent", "less", "ly", ".", " "]] * 2),
]


def simulated(model: LocalModel, items: Sequence[tuple[str, list[list[str]]]], rows_at_once: int) -> list[np.ndarray]:
    return list(simulate_all_at_once(model, items, FEW_SHOT, rows_at_once=rows_at_once))


def one_prompt_at_a_time(model: LocalModel, explanation: str, tokens: list[str]) -> np.ndarray:
    """The plain truth: the whole prompt, whole rows of logits, and for 10 in two tokens one pass a place."""
    prompt = echo_simulation_question(explanation, tokens, FEW_SHOT, about="").prompt
    assert isinstance(prompt, EchoPrompt)
    read = model.tokenizer(prompt.text, split_special_tokens=True, return_offsets_mapping=True)
    ids, starts = read["input_ids"], [start for start, _ in read["offset_mapping"]]
    rows = []
    lines = prompt.text.splitlines(keepends=True)
    for n in range(len(lines) - 1 - len(tokens), len(lines) - 1):
        place = starts.index(sum(map(len, lines[: n + 1])) - len("?\n"))
        first = _log_probabilities(model, ids[:place])
        digits = _ids(model, "0123456789")
        shares = [math.exp(first[digit]) for digit in digits]
        if "10" in model.tokenizer.get_vocab():
            shares.append(math.exp(first[_ids(model, "10")[0]]))
        else:
            after_one = _log_probabilities(model, [*ids[:place], digits[1]])
            more = [math.exp(after_one[digit]) for digit in digits]
            shares = [shares[0], shares[1] * (1 - sum(more)), *shares[2:], shares[1] * more[0]]
        rows.append([share / sum(shares) for share in shares])
    return np.array(rows)


def _log_probabilities(model: LocalModel, ids: list[int]) -> list[float]:
    with torch.inference_mode():
        found: list[float] = model.model(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1).tolist()
    return found


def _ids(model: LocalModel, text: str) -> list[int]:
    pieces = [text] if text == "10" else list(text)
    return [model.tokenizer.get_vocab()[piece] for piece in pieces]


@pytest.mark.parametrize("ten", [True, False], ids=["ten in one token", "ten in two tokens"])
@pytest.mark.parametrize("family", FAMILIES)
def test_sharing_and_batching_change_nothing_but_speed(family: str, ten: bool) -> None:  # noqa: FBT001
    tokenizer = tiny_tokenizer(ten=ten)
    model = local(FAMILIES[family](tokenizer), tokenizer)

    for rows_at_once in (1, 2, 50):
        found = simulated(model, ITEMS, rows_at_once)
        assert [each.shape for each in found] == [(2, 4, 11), (1, 4, 11), (0, 0, 11), (2, 6, 11)]
        for (explanation, excerpts), distributions in zip(ITEMS, found, strict=True):
            for tokens, distribution in zip(excerpts, distributions, strict=True):
                expected = one_prompt_at_a_time(model, explanation, tokens)
                assert expected == pytest.approx(distribution, rel=2e-4, abs=1e-7)  # far within 1e-5


def test_the_explanation_and_the_tokens_before_change_the_numbers() -> None:
    tokenizer = tiny_tokenizer()
    model = local(tiny_llama(tokenizer), tokenizer)

    cats, dogs = simulated(model, [("cats", [["a", "b"], ["a", "b"]]), ("dogs", [["a", "b"], ["a", "b"]])], 4)
    (worded,) = simulated(model, [("cats", [["c", "a"], ["c", "c"]])], 4)

    assert np.abs(cats[0] - dogs[0]).max() > 1e-3
    assert np.abs(worded[0][1] - worded[1][1]).max() > 1e-4
    assert np.array_equal(worded[0][0], worded[1][0])  # nothing is told of what comes later
    assert dogs[0] == pytest.approx(dogs[1], abs=1e-6)


def test_items_are_taken_as_they_are_needed() -> None:
    tokenizer = tiny_tokenizer()
    taken = []

    def items() -> Iterator[tuple[str, list[list[str]]]]:
        for number in range(100):
            taken.append(number)
            yield "cats", [["a", "b"]]

    found = simulate_all_at_once(local(tiny_llama(tokenizer), tokenizer), items(), FEW_SHOT, rows_at_once=4)
    next(found)

    assert taken == [0, 1, 2, 3]


def test_whole_rows_of_logits_are_never_made_where_ten_is_one_token() -> None:
    tokenizer = tiny_tokenizer()
    model = local(tiny_llama(tokenizer), tokenizer)
    places: list[int] = []
    head = model.model.get_output_embeddings()  # type: ignore[no-untyped-call]
    head.register_forward_hook(lambda _module, _inputs, output: places.append(output[..., 0].numel()))

    simulated(model, ITEMS, 8)

    assert places == [16]  # the proof that the head can be read by rows, on a few tokens, once


def test_an_excerpt_that_is_too_long_has_no_simulation_and_costs_no_other_its_own() -> None:
    tokenizer = tiny_tokenizer()
    prompt = echo_simulation_question("cats", ["a", "b"], FEW_SHOT, about="").prompt
    assert isinstance(prompt, EchoPrompt)
    just_enough = len(tokenizer(prompt.text)["input_ids"])
    model = local(tiny_llama(tokenizer, context=just_enough), tokenizer)

    (found,) = simulated(model, [("cats", [["a", "b"], ["a", "bbb"], ["c", "d"]])], 3)

    assert np.isnan(found[1]).all()
    assert np.isfinite(found[[0, 2]]).all()


def test_what_a_model_makes_nan_of_has_no_simulation() -> None:
    tokenizer = tiny_tokenizer()
    model = local(tiny_llama(tokenizer), tokenizer)
    snowman = tokenizer("\N{SNOWMAN}")["input_ids"][0]
    with torch.no_grad():
        _embeddings(model.model)[snowman] = torch.nan

    (found,) = simulated(model, [("cats", [["a", "\N{SNOWMAN}", "b"], ["a", "b", "c"]])], 2)

    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


def test_excerpts_of_unequal_length_are_refused() -> None:
    tokenizer = tiny_tokenizer()

    with pytest.raises(ValueError, match="An excerpt of 1 tokens stands among excerpts of 2"):
        simulated(local(tiny_llama(tokenizer), tokenizer), [("cats", [["a", "b"], ["a"]])], 2)


def _windowed(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    config = MistralConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4
    )
    config.sliding_window = 16
    return MistralForCausalLM(config)


def _scaled(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    config = GraniteConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        logits_scaling=7.0,
        initializer_range=0.4,
    )
    return GraniteForCausalLM(config)


TAB, LINE_END = "\u0109", "\u010a"
"""As they are written in the alphabet of byte-level tokenizers."""


@pytest.mark.parametrize(
    ("build", "tokenizer", "reason"),
    [
        (lambda tokenizer: tiny_llama(tokenizer, 64), tiny_tokenizer(), "it can read 64"),
        (_windowed, tiny_tokenizer(), "attend to the whole text"),
        (_scaled, tiny_tokenizer(), "hidden states times its output matrix"),
        (tiny_llama, tiny_tokenizer(merges=[(TAB, "5")]), "tab before a rating"),
        (tiny_llama, tiny_tokenizer(merges=[(LINE_END, "N")]), "across the end of a line"),
    ],
)
def test_a_model_that_cannot_be_read_this_way_is_refused(
    build: Callable[[PreTrainedTokenizerFast], PreTrainedModel], tokenizer: PreTrainedTokenizerFast, reason: str
) -> None:
    with pytest.raises(UnusableModel, match=reason):
        simulated(local(build(tokenizer), tokenizer), ITEMS, 4)


def test_the_bundled_subject_is_too_short_to_simulate() -> None:
    with pytest.raises(UnusableModel, match="it can read 128"):
        simulated(open_local_model(str(BUNDLED)), ITEMS, 4)


def _embeddings(model: PreTrainedModel) -> torch.Tensor:
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    return weight
