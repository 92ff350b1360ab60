"""A Hugging Face sentence-embedding model in this process: texts as vectors of length 1.

Weights are read from safetensors only, and no code that stands beside them is run. Here: loading it, and one vector a
text. Not here: how it is pooled (`pooling.py`), what is compared with what (`assets/similarity.py`), models that write
(`local.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel

from neuron_assets.errors import UnusableModel
from neuron_assets.language_models.local_identity import who_is
from neuron_assets.language_models.pooling import Pooling, pooling_of

_LONGEST = 512
"""Tokens, where a model does not say how many it reads: the rest of a text is cut off."""


@dataclass(frozen=True, slots=True, eq=False)
class SentenceEncoder:
    """One model and its tokenizer."""

    who: str
    """The name, and the sha256 of the files or the revision that they were taken from."""
    model: PreTrainedModel
    tokenizer: Any
    pooling: Pooling
    texts_at_once: int = 32

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "text width"]:
        """Their vectors, of length 1 each; what goes through the model together is of about one length."""
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        found = np.zeros((len(texts), self.model.config.get_text_config().hidden_size), np.float32)
        for start in range(0, len(texts), self.texts_at_once):
            rows = order[start : start + self.texts_at_once]
            found[rows] = self._encoded([texts[row] for row in rows])
        return found

    def _encoded(self, texts: Sequence[str]) -> Float[np.ndarray, "text width"]:
        longest = min(_LONGEST, getattr(self.model.config.get_text_config(), "max_position_embeddings", _LONGEST))
        batch = self.tokenizer(list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt").to(
            self.model.device
        )
        with torch.inference_mode():
            hidden = self.model(**batch).last_hidden_state.float()
        is_text = batch["attention_mask"].unsqueeze(-1).float()
        pooled = (
            hidden[:, 0] if self.pooling == "first_token" else (hidden * is_text).sum(1) / is_text.sum(1).clamp(min=1.0)
        )
        return np.asarray(torch.nn.functional.normalize(pooled, dim=1).cpu().numpy())


def open_sentence_encoder(name: str, *, device: str = "cpu", revision: str | None = None) -> SentenceEncoder:
    """Loads a folder of safetensors, or a repository by its name.

    Raises UnusableModel where there is none, where it needs code of its own, where a part of its weights is missing, or
    where it pools in a way that is not known here.
    """
    pooling = pooling_of(name, revision)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
        config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
        config._attn_implementation = "sdpa"  # noqa: SLF001  # as in `local.py`: config.json may name anybody's kernel
        loaded: Any = AutoModel.from_pretrained(
            name,
            revision=revision,
            config=config,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
        model, loading = loaded
        model = model.eval().requires_grad_(requires_grad=False).to(device)
    except (OSError, ValueError, RuntimeError, AssertionError, KeyError, SafetensorError) as error:
        raise UnusableModel(name, str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if missing := [key for key in loading["missing_keys"] if not key.startswith("pooler.")]:  # it is not asked
        raise UnusableModel(name, f"its files lack {len(missing)} of its weights")
    if model.config.is_encoder_decoder:
        raise UnusableModel(name, "it has a decoder, which needs a text of its own")
    return SentenceEncoder(who_is(name, revision), model, tokenizer, pooling)
