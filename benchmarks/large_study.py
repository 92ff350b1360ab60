"""A study as large as the largest that was published, without its months of work: 48 layers of 6,400 neurons.

`python -m benchmarks.large_study FOLDER` writes it: a project with the study `large` and each table that the viewer
reads, through the project's own writing; some minutes and a gigabyte or two. Words, texts and neurons are drawn from a
seed: each neuron fires on a few tokens, its top excerpts hold them, and its explanation names them.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from jaxtyping import Float, Int

from neuron_assets.lineage import inputs_of, lineages
from neuron_assets.method.records import SPLITS, Tokens
from neuron_assets.project import Project
from neuron_assets.study import Study, read_study
from neuron_assets.tables.layer_keys import layer_key
from neuron_assets.tables.parquet import TableFacts, write_table
from neuron_assets.tables.rows import Corpus, frame
from neuron_assets.tables.store import TableStore
from neuron_assets.tables.token_index import token_index_frame

NAME = "large"
LENGTH = 64
N_WORDS = 4000
N_FAVOURITES = 3
"""Tokens that a neuron fires on."""
N_TOP = N_RANDOM = 10
POOLS = ("train", "valid")
"""Of which neurons keep excerpts."""
AUTHORS = ("rules", "shuffled_control")
SAMPLES = ("top_and_random", "random_only")
_OPENINGS = ("fires on", "the word", "words such as", "what follows", "mentions of", "names like")


@dataclass(frozen=True, slots=True)
class Size:
    layers: int = 48
    neurons: int = 6400
    excerpts: int = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """All excerpts, and where each word stands."""

    codes: Int[np.ndarray, "excerpt token"]
    tokens: tuple[str, ...]
    pools: Int[np.ndarray, " excerpt"]
    holding: dict[str, Int[np.ndarray, "word top"]]
    """By pool, excerpts that hold each word; others where too few do."""

    def corpus(self) -> Corpus:
        return Corpus(Tokens(self.codes, self.tokens), _documents(len(self.codes)))


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """The neurons of one layer."""

    layer_index: int
    favourites: Int[np.ndarray, "neuron favourite"]
    explanations: tuple[str, ...]
    random: np.random.Generator

    @property
    def neurons(self) -> Int[np.ndarray, " neuron"]:
        return np.arange(len(self.favourites), dtype=np.int32)


def write_large_study(folder: Path, size: Size) -> Project:
    """The project in `folder`, with that study in it; what was there of it is replaced."""
    (folder / "dagster_home").mkdir(parents=True, exist_ok=True)
    path = folder / "studies" / NAME / "study.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(_said(size)), encoding="utf-8")
    project, study, text = Project.from_environment({}, folder), read_study(path), _text(size)
    write = _Writing(study, TableStore.at(project.tables), lineages(study))
    write(None, "excerpts", _excerpts(text))
    summaries = []
    for layer_index in range(size.layers):
        layer = _layer(layer_index, size, text)
        tables = dict(_tables(layer, text, study))
        for table, rows in tables.items():
            write(layer_key(layer_index, size.layers), table, rows)
        summaries.append(_summary(layer, tables["scores"]))
    write(None, "layer_summary", pl.concat(summaries))
    return project


@dataclass(frozen=True, slots=True)
class _Writing:
    study: Study
    store: TableStore
    lineages: dict[str, str]
    contents: dict[str, str] = field(default_factory=dict)
    """Hashes of what was written, by path."""

    def __call__(self, key: str | None, table: str, rows: pl.DataFrame) -> None:
        notes = {"study": self.study.name, "subject": self.study.subject_label}
        path = self.store.path(self.study.name, table, key)
        keys = {source: None if source == "excerpts" else key for source in inputs_of(self.study, table)}
        names = [self.store.name(self.store.path(self.study.name, source, of)) for source, of in keys.items()]
        inputs = {name: self.contents[name] for name in names if name in self.contents}
        facts = write_table(path, rows, TableFacts(table, self.lineages[table], inputs, notes))
        self.contents[self.store.name(path)] = facts.content


def _said(size: Size) -> dict[str, Any]:
    subject = {"model": "synthetic/subject", "revision": "0" * 40, "n_layers": size.layers, "n_neurons": size.neurons}
    kept = {"top": N_TOP, "random": N_RANDOM}
    return {
        "description": "Synthetic neurons, as many as GPT-2 XL has.",
        "subject": subject,
        "corpus": {"provider": "standard_library", "excerpt_length": LENGTH},
        "splits": dict.fromkeys(POOLS, kept),
    }


def _text(size: Size) -> Text:
    """Words by Zipf's law, of one to four syllables."""
    random = np.random.default_rng(0)
    syllables = [first + second for first in "bdfgklmnprstvz" for second in "aeiou"]
    words = sorted({"".join(random.choice(syllables, random.integers(1, 5))) for _ in range(3 * N_WORDS)})
    tokens = tuple(f" {word}" for word in random.permutation(words)[:N_WORDS].tolist())
    shares = 1 / (np.arange(len(tokens)) + 50)
    codes = random.choice(len(tokens), (size.excerpts, LENGTH), p=shares / shares.sum()).astype(np.int32)
    pools = _documents(size.excerpts) % len(SPLITS)
    holding = {}
    for pool in POOLS:
        of_pool = np.flatnonzero(pools == SPLITS.index(pool)).astype(np.int32)
        held = random.choice(of_pool, (len(tokens), N_TOP))
        for word, of_word in (
            pl.DataFrame({"word": codes[of_pool].ravel(), "excerpt": np.repeat(of_pool, LENGTH)})
            .unique(maintain_order=True)
            .group_by("word")
        ):
            some = of_word["excerpt"].to_numpy()[:N_TOP]
            held[int(str(word[0])), : len(some)] = some
        holding[pool] = held
    return Text(codes, tokens, pools, holding)


def _documents(n_excerpts: int) -> Int[np.ndarray, " excerpt"]:
    """Ten excerpts each."""
    return (np.arange(n_excerpts) // 10).astype(np.int32)


def _excerpts(text: Text) -> pl.DataFrame:
    documents = _documents(len(text.codes))
    strings = pl.Series(text.tokens).gather(text.codes.ravel())
    tokens = strings.reshape(text.codes.shape).cast(pl.List(pl.String))
    columns = {
        "excerpt_index": np.arange(len(text.codes), dtype=np.int32),
        "document_index": documents,
        "document": [f"document {number}" for number in documents.tolist()],
        "split": [SPLITS[pool] for pool in text.pools.tolist()],
        "text": tokens.list.join(""),
        "token_ids": text.codes,
        "tokens": tokens,
    }
    return frame("excerpts", columns)


def _layer(layer_index: int, size: Size, text: Text) -> Layer:
    random = np.random.default_rng([1, layer_index])
    favourites = random.integers(0, len(text.tokens), (size.neurons, N_FAVOURITES))
    openings = random.integers(0, len(_OPENINGS), size.neurons)
    explanations = tuple(
        f"{_OPENINGS[opening]} {', '.join(text.tokens[token].strip() for token in own)} in texts of layer {layer_index}"
        for opening, own in zip(openings.tolist(), favourites.tolist(), strict=True)
    )
    return Layer(layer_index, favourites, explanations, random)


def _tables(layer: Layer, text: Text, study: Study) -> Iterator[tuple[str, pl.DataFrame]]:
    activations = _activations(layer, text)
    statistics = _statistics(layer, text, activations)
    shown = activations.filter(pl.col("split") == "train")
    share = study.activations.active_share
    yield "activations", activations
    yield "neuron_statistics", statistics
    yield "token_index", token_index_frame(shown, text.corpus(), statistics, active_share=share)
    yield from _texts(layer)
    yield "simulations", _simulations(layer, activations)
    yield "scores", _scores(layer)


def _activations(layer: Layer, text: Text) -> pl.DataFrame:
    """Strong on the neuron's tokens, weak here and there."""
    kept = []
    for pool in POOLS:
        of_pool = np.flatnonzero(text.pools == SPLITS.index(pool))
        top = np.sort(text.holding[pool][layer.favourites[:, 0]], axis=1)
        drawn = layer.random.choice(of_pool, (len(layer.neurons), N_RANDOM))
        kept.append(np.concatenate([top, drawn], axis=1))
    excerpts = np.concatenate(kept, axis=1).astype(np.int32)  # [neuron, pool x kind x rank]
    per_neuron = excerpts.shape[1]
    values = np.maximum(layer.random.standard_normal((excerpts.size, LENGTH), np.float32) - 1, 0) * np.float32(0.3)
    codes, own = text.codes[excerpts.ravel()], np.repeat(layer.favourites, per_neuron, axis=0)
    for place in range(N_FAVOURITES):
        values += (codes == own[:, place, None]) * (3 - place + values)
    values = values.astype(np.float16).astype(np.float32)
    kinds = ["top"] * N_TOP + ["random"] * N_RANDOM
    ranks = [*range(N_TOP), *range(N_RANDOM)] * len(POOLS)
    columns = {
        "layer_index": layer.layer_index,
        "neuron_index": np.repeat(layer.neurons, per_neuron),
        "split": _tiled([pool for pool in POOLS for _ in kinds], layer),
        "kind": _tiled(kinds * len(POOLS), layer),
        "rank": np.tile(np.asarray(ranks, np.int32), len(layer.neurons)),
        "excerpt_index": excerpts.ravel(),
        "peak": values.max(axis=1),
        "activations": values,
    }
    return frame("activations", columns)


def _tiled(values: Sequence[str], layer: Layer) -> pl.Series:
    return pl.Series(values).gather(np.tile(np.arange(len(values)), len(layer.neurons)))


def _statistics(layer: Layer, text: Text, activations: pl.DataFrame) -> pl.DataFrame:
    n = len(layer.neurons)
    peaks = activations.filter(pl.col("split") == "train").group_by("neuron_index").agg(pl.col("peak").max())
    pushed = layer.random.integers(0, len(text.tokens), (2, n, 10))
    up, down = (
        pl.Series(text.tokens).gather(each.ravel()).reshape((n, 10)).cast(pl.List(pl.String)) for each in pushed
    )
    weights = np.sort(layer.random.random((n, 10)).astype(np.float32), axis=1)[:, ::-1]
    columns = {
        "layer_index": layer.layer_index,
        "neuron_index": layer.neurons,
        "n_tokens": text.codes.size // len(SPLITS),
        "n_sampled_tokens": text.codes.size // len(SPLITS),
        "maximum": peaks.sort("neuron_index")["peak"].cast(pl.Float64),
        **{name: layer.random.random(n) for name in ("mean", "variance", "share_positive", "skewness")},
        "share_active": layer.random.random(n) / 50,
        "kurtosis": layer.random.gamma(2, 30, n),
        **{f"quantile_{name}": layer.random.random(n) for name in (50, 90, 99, 999)},
        "pushes_up": up,
        "pushes_up_weights": weights,
        "pushes_down": down,
        "pushes_down_weights": -weights,
    }
    return frame("neuron_statistics", columns)


def _texts(layer: Layer) -> Iterator[tuple[str, pl.DataFrame]]:
    """An explanation of each neuron; it and another's as candidates."""
    of_neuron = {"layer_index": layer.layer_index, "explainer": "synthetic", "failure": None}
    own = {"neuron_index": layer.neurons, "sample": 0, "explanation": layer.explanations}
    yield "explanations", frame("explanations", own | of_neuron)
    lent = np.roll(layer.neurons, 1)
    both = np.stack([layer.neurons, lent], axis=1)  # [neuron, author]
    of_own = np.asarray(AUTHORS)[None, :] == AUTHORS[0]
    columns = {
        "neuron_index": np.repeat(layer.neurons, len(AUTHORS)),
        "candidate": np.tile(np.arange(len(AUTHORS), dtype=np.int32), len(layer.neurons)),
        "parent": None,
        "author": _tiled(AUTHORS, layer),
        "taken_from": pl.Series(both.ravel()).set(pl.Series(np.tile(of_own, (len(both), 1)).ravel()), None),
        "explanation": pl.Series(layer.explanations).gather(both.ravel()),
    }
    yield "candidates", frame("candidates", columns | of_neuron)


def _simulations(layer: Layer, activations: pl.DataFrame) -> pl.DataFrame:
    """Of the own text: the truth in whole numbers; of the control: little."""
    valid = activations.filter(pl.col("split") == "valid")
    truth: Float[np.ndarray, "row token"] = valid["activations"].explode().to_numpy().reshape(-1, LENGTH)
    by_author = [np.minimum(np.round(truth * 3), 10), (truth > 0.15).astype(np.float32)]
    shape = (len(layer.neurons), len(AUTHORS), -1, LENGTH)
    simulated = np.stack([each.reshape(len(layer.neurons), -1, LENGTH) for each in by_author], axis=1).reshape(shape)
    per_author = simulated.shape[2]
    excerpts = valid["excerpt_index"].to_numpy().reshape(len(layer.neurons), 1, per_author)
    columns = {
        "layer_index": layer.layer_index,
        "neuron_index": np.repeat(layer.neurons, len(AUTHORS) * per_author),
        "candidate": np.tile(np.repeat(np.arange(len(AUTHORS)), per_author), len(layer.neurons)).astype(np.int32),
        "excerpt_index": np.repeat(excerpts, len(AUTHORS), axis=1).ravel(),
        "simulator": "synthetic",
        "explanation": None,
        "simulated": simulated.reshape(-1, LENGTH).astype(np.float32),
        "distribution": None,
        "failure": None,
    }
    return frame("simulations", columns).unique(
        ["neuron_index", "candidate", "excerpt_index"], keep="first", maintain_order=True
    )


def _scores(layer: Layer) -> pl.DataFrame:
    n, each = len(layer.neurons), len(AUTHORS) * len(SAMPLES)
    values = np.clip(layer.random.normal([0.6, 0.4, 0.05, 0.02], 0.15, (n, each)), -1, 1).ravel()
    sums = layer.random.random((n * each, 3, 8))
    columns = {
        "layer_index": layer.layer_index,
        "neuron_index": np.repeat(layer.neurons, each),
        "candidate": np.tile(np.repeat(np.arange(len(AUTHORS), dtype=np.int32), len(SAMPLES)), n),
        "author": _tiled([author for author in AUTHORS for _ in SAMPLES], layer),
        "chosen": np.tile(np.repeat([True, False], len(SAMPLES)), n),
        "sample": _tiled([*SAMPLES] * len(AUTHORS), layer),
        "scorer": "simulation",
        "explainer": "synthetic",
        "simulator": "synthetic",
        "ev_correlation": values,
        "ev_correlation_low": values - 0.1,
        "ev_correlation_high": values + 0.1,
        "r2": values**2,
        "absolute_deviation": values / 2,
        "failure": None,
        "interval_failure": None,
        "n_excerpts": N_TOP + N_RANDOM,
        "n_documents": 15,
        "n_tokens": (N_TOP + N_RANDOM) * LENGTH,
        "document_sums": pl.Series(sums.reshape(n * each, -1))
        .reshape((n * each, 3, 8))
        .cast(pl.List(pl.List(pl.Float64))),
    }
    return frame("scores", columns)


def _summary(layer: Layer, scores: pl.DataFrame) -> pl.DataFrame:
    value = pl.col("ev_correlation")
    rows = scores.group_by(
        "layer_index", "author", "scorer", "sample", "explainer", "simulator", maintain_order=True
    ).agg(
        n_neurons=pl.len(),
        mean=value.mean(),
        quantile_10=value.quantile(0.1),
        median=value.median(),
        quantile_90=value.quantile(0.9),
        share_above_half=(value > 0.5).mean(),
        best_neuron=pl.col("neuron_index").get(value.arg_max()),
        worst_neuron=pl.col("neuron_index").get(value.arg_min()),
    )
    untold = ("interval_failure", "gain", "gain_low", "gain_high", "gain_failure")
    told = rows.to_dict(as_series=True) | {"n_undefined": 0, "layer_index": layer.layer_index, **dict.fromkeys(untold)}
    return frame("layer_summary", told | {"mean_low": rows["mean"] - 0.01, "mean_high": rows["mean"] + 0.01})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    for name, default in (("layers", Size().layers), ("neurons", Size().neurons), ("excerpts", Size().excerpts)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    write_large_study(asked.folder, Size(asked.layers, asked.neurons, asked.excerpts))
    print(f"{asked.folder}/studies/{NAME} is written; look at it with: cd {asked.folder} && neuron-assets view")


if __name__ == "__main__":
    main()
