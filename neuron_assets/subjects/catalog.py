"""The sizes of known subject models, as data: a graph of layers loads without torch, weights or a network.

Here: names and sizes, of what is shipped and of well-known models of the Hugging Face hub. Not here: anything that
opens a model (`bundled/`, `hugging_face.py`), the sizes that a folder states (`model_files.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SubjectSize:
    n_layers: int
    n_neurons: int
    """Neurons of one layer: the width of the MLP's hidden layer."""
    longest_excerpt: int | None = None
    """Tokens that it can read at once; None where that is not known, or more than any excerpt has."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """A subject that comes with this package."""

    size: SubjectSize
    weights: str
    """The first digits of the file's sha256 (of the tokenizer's, where there are no weights): other weights are another
    subject."""


TOKENIZER = "c7abb0f57db3"
"""First digits of the sha256 of the bundled tokenizer, which all subjects so far read with."""

SHIPPED: Mapping[str, Shipped] = {
    "bundled": Shipped(SubjectSize(n_layers=6, n_neurons=768, longest_excerpt=128), weights="9f2e482b9e85"),
    "bundled_untrained": Shipped(SubjectSize(n_layers=6, n_neurons=768, longest_excerpt=128), weights=TOKENIZER),
    "planted": Shipped(SubjectSize(n_layers=1, n_neurons=20, longest_excerpt=1024), weights=TOKENIZER),
}


def size_on_the_hub(model: str) -> SubjectSize | None:
    """Of a repository, if it is a well-known one; the hub does not care for capitals."""
    layers_and_neurons = _WELL_KNOWN.get(model.lower())
    if layers_and_neurons is None:
        return None
    longest = 1024 if "gpt2" in model.lower() else None  # all others read more than any excerpt has
    return SubjectSize(*layers_and_neurons, longest)


_BY_ORGANISATION: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "openai-community": {
        "gpt2": (12, 3072),
        "gpt2-medium": (24, 4096),
        "gpt2-large": (36, 5120),
        "gpt2-xl": (48, 6400),
    },
    "distilbert": {"distilgpt2": (6, 3072)},
    "eleutherai": {
        "gpt-neo-125m": (12, 3072),
        "gpt-neo-1.3b": (24, 8192),
        "gpt-neo-2.7b": (32, 10240),
        "gpt-j-6b": (28, 16384),
        "pythia-14m": (6, 512),
        "pythia-31m": (6, 1024),
        **{
            f"pythia-{name}{kind}": size
            for kind in ("", "-deduped")
            for name, size in {
                "70m": (6, 2048),
                "160m": (12, 3072),
                "410m": (24, 4096),
                "1b": (16, 8192),
                "1.4b": (24, 8192),
                "2.8b": (32, 10240),
                "6.9b": (32, 16384),
                "12b": (36, 20480),
            }.items()
        },
    },
    "meta-llama": {
        **{f"llama-2-7b{kind}": (32, 11008) for kind in ("-hf", "-chat-hf")},
        **{f"llama-2-13b{kind}": (40, 13824) for kind in ("-hf", "-chat-hf")},
        **{f"llama-2-70b{kind}": (80, 28672) for kind in ("-hf", "-chat-hf")},
        **{f"meta-llama-3-8b{kind}": (32, 14336) for kind in ("", "-instruct")},
        **{f"meta-llama-3-70b{kind}": (80, 28672) for kind in ("", "-instruct")},
        **{f"llama-3.1-8b{kind}": (32, 14336) for kind in ("", "-instruct")},
        **{f"llama-3.1-70b{kind}": (80, 28672) for kind in ("", "-instruct")},
        **{f"llama-3.2-1b{kind}": (16, 8192) for kind in ("", "-instruct")},
        **{f"llama-3.2-3b{kind}": (28, 8192) for kind in ("", "-instruct")},
    },
    "mistralai": {
        f"mistral-7b-{name}": (32, 14336)
        for name in ("v0.1", "v0.3", "instruct-v0.1", "instruct-v0.2", "instruct-v0.3")
    },
    "qwen": {
        **{
            f"qwen2.5-{name}{kind}": size
            for kind in ("", "-instruct")
            for name, size in {
                "0.5b": (24, 4864),
                "1.5b": (28, 8960),
                "3b": (36, 11008),
                "7b": (28, 18944),
                "14b": (48, 13824),
                "32b": (64, 27648),
                "72b": (80, 29568),
            }.items()
        },
        **{
            f"qwen3-{name}{kind}": size
            for kind in ("", "-base")
            for name, size in {
                "0.6b": (28, 3072),
                "1.7b": (28, 6144),
                "4b": (36, 9728),
                "8b": (36, 12288),
                "14b": (40, 17408),
            }.items()
        },
        "qwen3-32b": (64, 25600),
    },
    "google": {
        **{f"gemma-2b{kind}": (18, 16384) for kind in ("", "-it")},
        **{f"gemma-7b{kind}": (28, 24576) for kind in ("", "-it")},
        **{f"gemma-2-2b{kind}": (26, 9216) for kind in ("", "-it")},
        **{f"gemma-2-9b{kind}": (42, 14336) for kind in ("", "-it")},
        **{f"gemma-2-27b{kind}": (46, 36864) for kind in ("", "-it")},
        **{f"gemma-3-270m{kind}": (18, 2048) for kind in ("", "-it")},
        **{f"gemma-3-1b{kind}": (26, 6912) for kind in ("-pt", "-it")},
        **{f"gemma-3-4b{kind}": (34, 10240) for kind in ("-pt", "-it")},
        **{f"gemma-3-12b{kind}": (48, 15360) for kind in ("-pt", "-it")},
        **{f"gemma-3-27b{kind}": (62, 21504) for kind in ("-pt", "-it")},
    },
    "microsoft": {
        "phi-1": (24, 8192),
        "phi-1_5": (24, 8192),
        "phi-2": (32, 10240),
        "phi-3-mini-4k-instruct": (32, 8192),
        "phi-3-mini-128k-instruct": (32, 8192),
    },
    "facebook": {
        "opt-125m": (12, 3072),
        "opt-350m": (24, 4096),
        "opt-1.3b": (24, 8192),
        "opt-2.7b": (32, 10240),
        "opt-6.7b": (32, 16384),
        "opt-13b": (40, 20480),
        "opt-30b": (48, 28672),
    },
    "tiiuae": {"falcon-7b": (32, 18176), "falcon-7b-instruct": (32, 18176), "falcon-rw-1b": (24, 8192)},
    "bigscience": {
        "bloom-560m": (24, 4096),
        "bloom-1b1": (24, 6144),
        "bloom-1b7": (24, 8192),
        "bloom-3b": (30, 10240),
        "bloom-7b1": (30, 16384),
    },
}
"""Layers, and neurons of each, of well-known models."""

_WELL_KNOWN: Mapping[str, tuple[int, int]] = {
    f"{organisation}/{model}": size
    for organisation, models in _BY_ORGANISATION.items()
    for model, size in models.items()
} | dict(_BY_ORGANISATION["openai-community"])  # by their old names
