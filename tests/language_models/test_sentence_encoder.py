"""Facts on sentence-embedding models: vectors are what the formula says, and unusable models are refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from neuron_assets.errors import UnusableModel
from neuron_assets.language_models.local_identity import who_is
from neuron_assets.language_models.pooling import pooling_of
from neuron_assets.language_models.sentence_encoder import open_sentence_encoder

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "rain", "fell", "on", "roofs", "a", "list", "of", "numbers")
TEXTS = ("rain fell on roofs", "a list", "numbers")


def write_encoder(folder: Path, pooling: str | None = None) -> Path:
    """A small random BERT whose tokens are words."""
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    marks: Any = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks)  # type: ignore[no-untyped-call]
    torch.manual_seed(3)
    sizes: Any = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    model = BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=12, **sizes))
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    if pooling is not None:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_" + pooling: True}))
    return folder


def hidden(folder: Path, text: str) -> np.ndarray:
    """Of one text alone, without padding: [token, width]."""
    model: Any = BertModel.from_pretrained(folder)
    ids = [2, *(WORDS.index(word) for word in text.split()), 3]
    with torch.inference_mode():
        return np.asarray(model.eval()(torch.tensor([ids])).last_hidden_state[0])


@pytest.mark.parametrize("pooling", [None, "mean_tokens", "cls_token"])
def test_a_vector_is_the_mean_over_tokens_or_the_first_of_them_at_length_one(
    tmp_path: Path, pooling: str | None
) -> None:
    folder = write_encoder(tmp_path / "encoder", pooling)
    pooled = [
        hidden(folder, text)[0] if pooling == "cls_token" else hidden(folder, text).mean(axis=0) for text in TEXTS
    ]

    found = open_sentence_encoder(str(folder)).encode(TEXTS)

    for vector, expected in zip(found, pooled, strict=True):
        assert vector == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)


def test_what_goes_through_together_changes_nothing(tmp_path: Path) -> None:
    encoder = open_sentence_encoder(str(write_encoder(tmp_path / "encoder")))

    together = encoder.encode([*TEXTS] * 20)

    assert together[:3] == pytest.approx(np.concatenate([encoder.encode([text]) for text in TEXTS]), abs=1e-5)
    assert encoder.encode([]).shape == (0, 16)


def test_a_text_that_is_too_long_is_cut_off(tmp_path: Path) -> None:
    encoder = open_sentence_encoder(str(write_encoder(tmp_path / "encoder")))

    (long,), (longer,) = encoder.encode(["rain " * 20]), encoder.encode(["rain " * 30])

    assert long == pytest.approx(longer, abs=1e-6)


def test_it_is_known_by_its_files(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder")

    assert open_sentence_encoder(str(folder)).who == who_is(str(folder))


@pytest.mark.parametrize("pooling", ["max_tokens", "lasttoken"])
def test_another_way_to_pool_is_refused(tmp_path: Path, pooling: str) -> None:
    folder = write_encoder(tmp_path / "encoder", pooling)

    with pytest.raises(UnusableModel, match=f"pooling_mode_{pooling}"):
        open_sentence_encoder(str(folder))


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableModel, match="nowhere"):
        open_sentence_encoder(str(tmp_path / "nowhere"))
    folder = write_encoder(tmp_path / "cut")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UnusableModel):
        open_sentence_encoder(str(folder))


def test_a_layer_after_pooling_is_refused_not_left_out(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder", "mean_tokens")
    modules = [{"type": f"sentence_transformers.models.{kind}"} for kind in ("Transformer", "Pooling", "Normalize")]
    (folder / "modules.json").write_text(json.dumps(modules))
    assert pooling_of(str(folder)) == "mean"

    (folder / "modules.json").write_text(json.dumps([*modules, {"type": "sentence_transformers.models.Dense"}]))
    with pytest.raises(UnusableModel, match="Dense"):
        open_sentence_encoder(str(folder))


def test_where_nobody_can_tell_how_it_pools_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_arguments: object, **_options: object) -> None:
        raise LocalEntryNotFoundError("the hub cannot be asked")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
    with pytest.raises(UnusableModel, match="how it pools cannot be read"):
        pooling_of("somebody/encoder")
