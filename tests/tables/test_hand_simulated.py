"""What people may simulate, and how it stands beside the model, on hand-made tables."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from neuron_assets.method.labels import HandSimulation, ReadExcerpt
from neuron_assets.method.records import NeuronId
from neuron_assets.method.scoring import score
from neuron_assets.tables.hand_simulated import CUT_ANEW, NOT_KEPT, excerpts_to_simulate, human_simulations
from neuron_assets.tables.label_store import LabelStore
from neuron_assets.tables.parquet import TableFacts, write_table
from neuron_assets.tables.rows import frame
from neuron_assets.tables.store import TableStore

NEURON, KEY, LENGTH = NeuronId(3, 7), "L03", 6
TOP, RANDOM, CALIBRATION, TEST = (0, 1, 2, 3), (3, 4, 5), (6,), (7,)
N = 9
THEN = datetime(2026, 5, 1, tzinfo=UTC)
ACTIVATIONS = np.random.default_rng(0).random((N, LENGTH)).astype(np.float32)
BY_MODEL = (ACTIVATIONS * 8 + np.random.default_rng(1).random((N, LENGTH))).astype(np.float32)


def excerpts(word: str = "w") -> pl.DataFrame:
    splits = ["valid"] * 6 + ["calibration", "test", "valid"]
    tokens = [[f"{word}{row}.{place}" for place in range(LENGTH)] for row in range(N)]
    return frame(
        "excerpts",
        {
            "excerpt_index": list(range(N)),
            "document_index": [row // 2 for row in range(N)],
            "document": [f"d{row // 2}" for row in range(N)],
            "split": splits,
            "text": ["".join(row) for row in tokens],
            "token_ids": np.zeros((N, LENGTH), np.int32),
            "tokens": tokens,
        },
    )


def activations() -> pl.DataFrame:
    kinds = [("valid", "top", TOP), ("valid", "random", RANDOM), ("calibration", "top", CALIBRATION)]
    kinds += [("test", "top", TEST), ("valid", "natural", (8,))]
    rows = [(split, kind, rank, index) for split, kind, those in kinds for rank, index in enumerate(those)]
    return frame(
        "activations",
        {
            "layer_index": 3,
            "neuron_index": 7,
            "split": [row[0] for row in rows],
            "kind": [row[1] for row in rows],
            "rank": [row[2] for row in rows],
            "excerpt_index": [row[3] for row in rows],
            "peak": [float(ACTIVATIONS[row[3]].max()) for row in rows],
            "activations": [ACTIVATIONS[row[3]].tolist() for row in rows],
        },
    )


def simulations(indices: Sequence[int]) -> pl.DataFrame:
    return frame(
        "simulations",
        {
            "layer_index": 3,
            "neuron_index": 7,
            "candidate": 1,
            "excerpt_index": list(indices),
            "simulator": "model",
            "explanation": "rivers",
            "simulated": [BY_MODEL[index].tolist() for index in indices],
            "distribution": pl.Series([None] * len(indices), dtype=pl.List(pl.List(pl.Float32))),
            "failure": pl.Series([None] * len(indices), dtype=pl.String),
        },
    )


class World:
    def __init__(self, root: Path) -> None:
        self.store = TableStore.at(str(root))
        self.labels = LabelStore(self.store, "mine")
        self.cut(excerpts())

    def cut(self, table: pl.DataFrame) -> None:
        path = self.store.path("mine", "excerpts")
        self.content = write_table(path, table, TableFacts("excerpts", "0")).content
        self.tokens = [tuple(row) for row in table["tokens"].to_list()]
        self.write("activations", activations())

    def write(self, table: str, rows: pl.DataFrame) -> None:
        facts = TableFacts(table, "0", {"mine/excerpts.parquet": self.content})
        write_table(self.store.path("mine", table, KEY), rows, facts)

    def simulate(
        self, index: int, values: Sequence[int] | None = None, text: str = "rivers", minutes: int = 0, person: str = "A"
    ) -> None:
        marked = [round(float(value) * 10) for value in ACTIVATIONS[index]] if values is None else values
        excerpt = ReadExcerpt(
            excerpts=self.content, excerpt_index=index, document=f"d{index // 2}", tokens=self.tokens[index]
        )
        self.labels.add(
            HandSimulation(
                person=person,
                neuron=NEURON,
                written_at=THEN + timedelta(minutes=minutes),
                text=text,
                excerpt=excerpt,
                values=tuple(marked),
            )
        )

    def offered(self, person: str = "A") -> list[int]:
        return [each.excerpt_index for each in excerpts_to_simulate(self.store, "mine", KEY, NEURON, person)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_only_valid_excerpts_of_the_neuron_are_offered(world: World) -> None:
    assert sorted(world.offered()) == [0, 1, 2, 3, 4, 5]


def test_where_the_model_simulated_only_those_excerpts_are_offered(world: World) -> None:
    world.write("simulations", simulations((0, 1, 4, 6)))

    assert sorted(world.offered()) == [0, 1, 4]


def test_nobody_is_offered_an_excerpt_twice(world: World) -> None:
    world.simulate(2)

    assert sorted(world.offered()) == [0, 1, 3, 4, 5]
    assert sorted(world.offered("B")) == [0, 1, 2, 3, 4, 5]


def test_the_order_of_what_is_offered_does_not_tell_top_from_random(world: World) -> None:
    orders = {tuple(world.offered(person)) for person in ("A", "B", "C", "D")}

    assert len(orders) > 1
    assert world.offered() == world.offered()


def test_without_labels_there_is_nothing(world: World) -> None:
    assert human_simulations(world.store, "mine", KEY, NEURON) == ()


def test_a_person_is_scored_over_all_excerpts_beside_the_model(world: World) -> None:
    world.write("simulations", simulations(range(6)))
    indices = [0, 2, 4, 5]
    for index in reversed(indices):
        world.simulate(index)
    (one,) = human_simulations(world.store, "mine", KEY, NEURON)
    true, by_hand = ACTIVATIONS[indices], np.round(ACTIVATIONS[indices] * 10)

    assert (one.person, one.explanation, one.candidate, one.simulator) == ("A", "rivers", 1, "model")
    assert sorted(one.excerpt_indices) == indices
    assert one.found is not None
    assert one.found.person.judgement.score.ev_correlation == pytest.approx(score(true, by_hand).ev_correlation)
    assert one.found.model.judgement.score.ev_correlation == pytest.approx(
        score(true, BY_MODEL[indices]).ev_correlation
    )
    assert one.found.agreement.ev_correlation == pytest.approx(score(BY_MODEL[indices], by_hand).ev_correlation)
    assert one.found.person.interval.n_documents == 2 + 1


def test_persons_and_texts_are_scored_apart(world: World) -> None:
    world.simulate(0)
    world.simulate(1, text="lakes")
    world.simulate(0, person="B")

    found = human_simulations(world.store, "mine", KEY, NEURON)
    assert [(one.person, one.explanation) for one in found] == [("A", "lakes"), ("A", "rivers"), ("B", "rivers")]


def test_only_the_first_simulation_of_an_excerpt_counts(world: World) -> None:
    world.simulate(0, minutes=0)
    world.simulate(0, [0] * LENGTH, minutes=1)
    world.simulate(0, [0] * LENGTH, text="lakes", minutes=2)
    (one,) = human_simulations(world.store, "mine", KEY, NEURON)

    assert one.explanation == "rivers"
    assert one.found is not None
    assert (one.found.person.judgement.score.ev_correlation or 0) > 0.9


def test_without_a_model_there_is_a_score_and_no_agreement(world: World) -> None:
    world.simulate(0)
    (one,) = human_simulations(world.store, "mine", KEY, NEURON)

    assert (one.candidate, one.simulator) == (None, None)
    assert one.found is not None
    assert one.found.person.judgement.score.ev_correlation is not None
    assert one.found.agreement.failure == "1 of 1 excerpts have no simulation by the model"


def test_over_another_cut_of_the_corpus_there_is_a_reason_and_no_number(world: World) -> None:
    world.write("simulations", simulations(range(6)))
    world.simulate(0)
    world.simulate(1)
    world.cut(excerpts("v"))
    (one,) = human_simulations(world.store, "mine", KEY, NEURON)

    assert one.found is None
    assert one.failure is not None
    assert one.left_out == {CUT_ANEW: 2}
    world.simulate(3)
    (one,) = human_simulations(world.store, "mine", KEY, NEURON)
    assert one.excerpt_indices == (3,)
    assert one.found is not None
    assert one.found.agreement.failure is not None, "the model's simulations are of the old cut"


def test_an_excerpt_of_another_pool_is_not_scored(world: World) -> None:
    world.simulate(7)
    (one,) = human_simulations(world.store, "mine", KEY, NEURON)

    assert one.found is None
    assert one.left_out == {NOT_KEPT: 1}
