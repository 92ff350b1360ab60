"""Opens a causal language model of the transformers library, out of a folder or a repository, as a subject.

Weights are read from safetensors only, and no code that stands beside them is run. Here: loading, and what is refused
before and after it. Not here: where a model keeps its neurons (`families.py`), who it is (`model_files.py`).
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers import PreTrainedTokenizerFast as FastTokenizer
from transformers.utils import logging as library_log
from transformers.utils.peft_utils import find_adapter_config_file

from neuron_assets.errors import UnusableSubject
from neuron_assets.subjects.families import anatomy
from neuron_assets.subjects.hooked import HookedSubject
from neuron_assets.subjects.pieces import Pieces, tokens_before_text
from neuron_assets.subjects.speaking import SpeakingSubject

DType = Literal["float32", "bfloat16", "float16"]
Beginning = Literal["auto", "never", "always"]

EVERY_GPU = "cuda:all"
"""A device: the layers are spread over all GPUs."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model is read from."""

    label: str
    """What messages call it."""
    path: str
    """A folder, or the name of a repository."""
    revision: str | None = None
    """Of a repository, the full commit; None for a folder, and then nothing is fetched."""

    @property
    def arguments(self) -> dict[str, Any]:
        """What every call of the library is told: never to run code that comes with a model."""
        local = self.revision is None
        # Told nothing of trust, the library asks on stdin, and runs such code on `y`.
        return {"revision": self.revision or "main", "local_files_only": local, "trust_remote_code": False}


def open_hugging_face(
    source: Source, *, dtype: DType = "float32", device: str = "auto", beginning: Beginning = "auto"
) -> HookedSubject:
    """Without its head; raises UnusableSubject, UnknownFamily, SubjectOfExperts, NeuronsDiffer.

    `device` is auto, cpu, cuda, cuda:1, mps, or cuda:all; `beginning` says whether every excerpt is read after the
    beginning-of-text token: as the tokenizer has it, never, or always.
    """
    tokenizer = _open_tokenizer(source)
    model = _open_model(source, dtype, device, AutoModel)
    return HookedSubject(source.label, model, *_reading(source, tokenizer, model, beginning))


def open_speaking(
    source: Source, *, dtype: DType = "float32", device: str = "auto", beginning: Beginning = "auto"
) -> SpeakingSubject:
    """As `open_hugging_face`, with its head; raises SubjectWithoutHead too."""
    tokenizer = _open_tokenizer(source)
    model = _open_model(source, dtype, device, AutoModelForCausalLM)
    return SpeakingSubject(source.label, model, *_reading(source, tokenizer, model, beginning))


def open_hugging_face_pieces(source: Source) -> Pieces:
    """The tokenizer alone; raises UnusableSubject."""
    return Pieces(_open_tokenizer(source).backend_tokenizer)


def _open_tokenizer(source: Source) -> FastTokenizer:
    if source.revision is None and not Path(source.path).is_dir():
        raise UnusableSubject(source.label, f"there is no folder {source.path}")
    if source.revision is not None and Path(source.path).exists():  # the library would open that, whatever it holds
        reason = f"{Path(source.path).absolute()} has the name of the repository and would be taken for it"
        raise UnusableSubject(source.label, reason, "Start from another folder, or name the folder as ./FOLDER.")
    with _told_of(source):
        tokenizer = AutoTokenizer.from_pretrained(source.path, **source.arguments)
    if not isinstance(tokenizer, FastTokenizer):
        raise UnusableSubject(source.label, "its tokenizer is not one of the library `tokenizers` (tokenizer.json)")
    return tokenizer


def _reading(
    source: Source, tokenizer: FastTokenizer, model: PreTrainedModel, beginning: Beginning
) -> tuple[Pieces, tuple[int, ...]]:
    with _told_of(source):
        pieces = Pieces(tokenizer.backend_tokenizer)  # first: padding, which it switches off, would count as beginning
        before = _tokens_before(source, tokenizer, model.config, beginning)
        _check_vocabulary(source, tokenizer, model, before)
        return pieces, before


def _open_model(source: Source, dtype: DType, device: str, making: Any) -> PreTrainedModel:
    """`making` is one of the library's automatic classes; it has no types there."""
    with _told_of(source):
        _check_no_adapter(source)
        config = AutoConfig.from_pretrained(source.path, **source.arguments)
        _check_config(source, config)
    _check_device(source, device)
    kind: Any = MODEL_MAPPING[type(config)]
    # Set, not asked for: the library would do as config.json says, which may name a kernel of anybody's.
    config._attn_implementation = "sdpa" if kind._supports_sdpa else "eager"  # noqa: SLF001  # without public names
    with torch.device("meta"), _told_of(source):  # no weights yet: what cannot be heard is not read
        anatomy(source.label, making.from_config(config, trust_remote_code=False))
    with _told_of(source):
        model, loading = making.from_pretrained(
            source.path,
            config=config,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, by name
            device_map="auto" if device == EVERY_GPU else None,
            **source.arguments,
        )
        model.requires_grad_(requires_grad=False)
        if device != EVERY_GPU:
            model.to(_device(device))
    _check_complete(source, loading)
    opened: PreTrainedModel = model
    return opened


def _check_complete(source: Source, loading: Mapping[str, Any]) -> None:
    """The library would leave such weights as they were drawn, and only warn."""
    if missing := sorted(loading["missing_keys"]):
        reason = f"its files lack {len(missing)} of its weights, {missing[0]} first"
        raise UnusableSubject(source.label, reason)
    if others := sorted(loading["mismatched_keys"]):
        name, found, expected = others[0]
        told = f"{name} is {list(found)}, its config.json asks for {list(expected)}"
        raise UnusableSubject(source.label, f"{len(others)} of its weights have another shape: {told}")


def _check_no_adapter(source: Source) -> None:
    told = {name: source.arguments[name] for name in ("revision", "local_files_only")}
    if find_adapter_config_file(source.path, **told) is not None:
        reason = "it is an adapter of another model (adapter_config.json): merge the two, save that, and take it"
        raise UnusableSubject(source.label, reason)


def _check_config(source: Source, config: PreTrainedConfig) -> None:
    masked = type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
    known = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and type(config) in MODEL_MAPPING
    if not known or config.is_encoder_decoder or masked:
        raise UnusableSubject(source.label, f"a {config.model_type} model is no causal language model")
    if getattr(config, "quantization_config", None) is not None:
        reason = "its weights are quantised, and what its neurons do is not what the model's own would; take the full"
        raise UnusableSubject(source.label, f"{reason} weights")


def _check_device(source: Source, asked: str) -> None:
    if asked == EVERY_GPU and find_spec("accelerate") is None:
        reason = f"the device {EVERY_GPU} needs the library accelerate"
        raise UnusableSubject(source.label, reason, "pip install 'neuron-assets[gpu]'")
    try:
        torch.empty(0, device=_device("cuda" if asked == EVERY_GPU else asked))
    except (RuntimeError, AssertionError) as error:
        reason = f"there is no device {asked} here ({str(error).splitlines()[0]})"
        raise UnusableSubject(source.label, reason, "Mend `device` in the run config of `activations`.") from error


def _device(asked: str) -> torch.device:
    if asked != "auto":
        return torch.device(asked)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _check_vocabulary(
    source: Source, tokenizer: FastTokenizer, model: PreTrainedModel, before: tuple[int, ...]
) -> None:
    """Special tokens may be more than the model knows where no text is read after them: no text holds them."""
    embeddings: Any = model.get_input_embeddings()
    n_known = len(embeddings.weight)
    own = tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False).values()
    added = tokenizer.backend_tokenizer.get_added_tokens_decoder()
    n_read = 1 + max([*own, *(each for each, token in added.items() if not token.special), *before], default=-1)
    if n_read > n_known:
        reason = f"its tokenizer writes {n_read} tokens, and the model knows {n_known}: they belong to different models"
        raise UnusableSubject(source.label, reason)


def _tokens_before(
    source: Source, tokenizer: FastTokenizer, config: PreTrainedConfig, beginning: Beginning
) -> tuple[int, ...]:
    if beginning == "never":
        return ()
    own = tokens_before_text(tokenizer.backend_tokenizer)
    if own or beginning == "auto":
        return own
    token_id = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else config.bos_token_id
    if token_id is None:
        reason = "it has no beginning-of-text token, and `beginning_of_text: always` asks for one"
        raise UnusableSubject(source.label, reason)
    return (int(token_id),)


_COMPLAINTS = (
    *(OSError, ValueError, RuntimeError, AssertionError, KeyError, ImportError, SafetensorError),
    *(StrictDataclassError, TypeError, AttributeError),  # of a config.json that says what nobody expects
)


@contextmanager
def _told_of(source: Source) -> Iterator[None]:
    """Inside, whatever the libraries complain of becomes UnusableSubject, and they report nothing else.

    Of what they would report, a head that is not loaded is meant, and weights that are missing are refused.
    """
    verbosity = library_log.get_verbosity()
    library_log.set_verbosity(logging.ERROR)
    bars = library_log.set_tqdm_hook(lambda make, given, named: make(*given, **{**named, "disable": True}))
    try:
        yield
    except _COMPLAINTS as error:
        told = f"the library knows no {error}" if isinstance(error, KeyError) else str(error)
        lines = [line.strip() for line in told.splitlines() if line.strip()]
        raise UnusableSubject(source.label, " ".join(lines[:2]).rstrip(".") or type(error).__name__) from error
    finally:
        library_log.set_verbosity(verbosity)
        library_log.set_tqdm_hook(bars)
