"""Facts on a model and a tokenizer that were saved together: which tokens it reads, and after which."""

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from neuron_assets.errors import UnusableSubject
from neuron_assets.subjects.hooked import HookedSubject
from neuron_assets.subjects.hugging_face import Beginning, Source, open_hugging_face
from tests.subjects.small_models import ENDING, byte_level, small_config, small_model, write_model


def opened(folder: Path, beginning: Beginning = "auto") -> HookedSubject:
    return open_hugging_face(Source("mine", str(folder)), device="cpu", beginning=beginning)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, small_model(small_config("llama", vocab_size=300)), byte_level(vocab_size=320))

    with pytest.raises(UnusableSubject, match="its tokenizer writes 320 tokens, and the model knows 300"):
        opened(tmp_path)


def test_added_tokens_that_a_text_may_hold_belong_to_the_vocabulary(tmp_path: Path) -> None:
    tokenizer = byte_level()
    tokenizer.add_special_tokens(["<never>"])
    write_model(tmp_path, small_model(small_config("llama", vocab_size=320)), tokenizer)
    assert opened(tmp_path).n_layers == 2
    tokenizer.add_tokens(["neurons"])
    write_model(tmp_path, small_model(small_config("llama", vocab_size=320)), tokenizer)

    with pytest.raises(UnusableSubject, match="its tokenizer writes 322 tokens, and the model knows 320"):
        opened(tmp_path)


def test_a_beginning_that_the_model_does_not_know_is_refused(tmp_path: Path) -> None:
    model = small_model(small_config("llama", vocab_size=320, bos_token_id=320))
    model.save_pretrained(tmp_path)
    PreTrainedTokenizerFast(tokenizer_object=byte_level()).save_pretrained(tmp_path)  # type: ignore[no-untyped-call]

    assert opened(tmp_path).n_layers == 2
    with pytest.raises(UnusableSubject, match="its tokenizer writes 321 tokens, and the model knows 320"):
        opened(tmp_path, "always")


@pytest.mark.parametrize("beginning", [False, True])
def test_padding_is_no_beginning_of_a_text(tmp_path: Path, *, beginning: bool) -> None:
    tokenizer = byte_level(beginning=beginning)
    tokenizer.enable_padding(direction="left", length=8, pad_id=1, pad_token=ENDING)
    tokenizer.enable_truncation(4)
    write_model(tmp_path, small_model(small_config("llama")), tokenizer)

    assert opened(tmp_path)._beginning.tolist() == [0] * beginning
