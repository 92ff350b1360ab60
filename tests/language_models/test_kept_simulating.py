"""Facts on simulations that are kept: they are those of the model, each computed once, in order whatever is kept."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuron_assets.language_models import kept_simulating
from neuron_assets.language_models.asker import Used
from neuron_assets.language_models.kept_simulating import Item, KeptSimulator
from neuron_assets.language_models.local import LocalModel
from neuron_assets.language_models.local_simulating import simulate_all_at_once
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.method.questions import EchoPrompt
from neuron_assets.method.records import Answer
from neuron_assets.method.simulating.all_at_once import echo_simulation_question
from neuron_assets.method.simulating.simulated import SimulatedExcerpt
from tests.language_models.tiny_models import FEW_SHOT, local, tiny_llama, tiny_tokenizer

ITEMS: list[Item] = [
    ("L0N0", "names of birds", [[" the", " wren", "\n", "10"], ["\t", "?", "<tokens>", "x"]]),
    ("L0N1", "a", [["x", "", " \N{SNOWMAN}", "\\"]]),
    ("L0N2", "numbers that are written as words", []),
    ("L0N3", "the middle of a long word", [["re", "lent", "less"], ["ly", ".", " "], ["so", " it", "!"]]),
    ("L0N4", "full stops", [[".", "a"], [" ", "."]]),
]
N_EXCERPTS = 8


@pytest.fixture(scope="module")
def model() -> LocalModel:
    tokenizer = tiny_tokenizer()
    return local(tiny_llama(tokenizer), tokenizer)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RequestStore]:
    with RequestStore.open(str(tmp_path / "requests.sqlite")) as opened:
        yield opened


class Counted:
    """A simulator whose excerpts, computed and kept, are counted."""

    def __init__(self, model: LocalModel, store: RequestStore, rows_at_once: int = 3) -> None:
        self.n_computed = self.n_kept = 0
        self.used: list[Used] = []
        self._simulator = KeptSimulator(model, FEW_SHOT, store, rows_at_once, self._count, self.used.append)

    def __call__(self, items: Sequence[Item] = ITEMS) -> list[Sequence[Answer[SimulatedExcerpt]]]:
        return list(self._simulator.simulate(items))

    def _count(self, n_computed: int, n_kept: int) -> None:
        self.n_computed += n_computed
        self.n_kept += n_kept


def distributions(answers: Sequence[Sequence[Answer[SimulatedExcerpt]]]) -> list[list[np.ndarray]]:
    found = [[answer.value for answer in of_item] for of_item in answers]
    return [[value.distribution for value in of_item if value and value.distribution is not None] for of_item in found]


def assert_those_of_the_model(
    answers: Sequence[Sequence[Answer[SimulatedExcerpt]]], model: LocalModel, items: Sequence[Item] = ITEMS
) -> None:
    expected = list(simulate_all_at_once(model, [item[1:] for item in items], FEW_SHOT, rows_at_once=8))
    found = distributions(answers)
    assert [len(of_item) for of_item in found] == [len(item[2]) for item in items]
    for of_item, wanted in zip(found, expected, strict=True):
        assert of_item == [pytest.approx(each, rel=1e-4, abs=1e-7) for each in wanted]


@pytest.mark.parametrize("rows_at_once", [1, 3, 50])
def test_what_is_kept_are_the_simulations_of_the_model(
    model: LocalModel, store: RequestStore, rows_at_once: int
) -> None:
    assert_those_of_the_model(Counted(model, store, rows_at_once)(), model)
    assert len(store) == N_EXCERPTS


def test_nothing_is_computed_twice_and_the_numbers_stay_the_very_same(
    model: LocalModel, store: RequestStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Counted(model, store)
    computed = first()
    second = Counted(model, store)
    monkeypatch.setattr(kept_simulating, "simulate_all_at_once", lambda *_, **__: pytest.fail("it was computed again"))
    kept = second()

    assert (first.n_computed, first.n_kept) == (N_EXCERPTS, 0)
    assert (second.n_computed, second.n_kept) == (0, N_EXCERPTS)
    for before, after in zip(distributions(computed), distributions(kept), strict=True):
        assert np.array_equal(before, after)


@pytest.mark.parametrize(
    "kept",
    [
        [ITEMS[0]],
        [ITEMS[1], ITEMS[4]],
        [("", ITEMS[3][1], ITEMS[3][2][1:2])],
        [("", ITEMS[0][1], ITEMS[0][2][1:]), ("", ITEMS[4][1], ITEMS[4][2][:1])],
    ],
    ids=["the first item", "two items", "an excerpt in the middle", "parts of two items"],
)
@pytest.mark.parametrize("most_ahead", [1, 64])
def test_only_what_is_missing_is_computed_and_items_stay_in_order(
    model: LocalModel, store: RequestStore, kept: Sequence[Item], most_ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_simulating, "_MOST_KEPT_AHEAD", most_ahead)
    before = Counted(model, store)
    before(kept)
    now = Counted(model, store)

    assert_those_of_the_model(now(), model)
    assert now.n_computed == N_EXCERPTS - before.n_computed
    assert now.n_kept == before.n_computed > 0


def test_whoever_uses_a_simulation_is_told_of_it_computed_or_kept(model: LocalModel, store: RequestStore) -> None:
    first, second = Counted(model, store), Counted(model, store)
    first()
    second()

    assert sorted(one.about for one in first.used) == [about for about, _, excerpts in ITEMS for _ in excerpts]
    assert set(second.used) == set(first.used)
    assert all(store.get(one.key) for one in first.used)


def test_another_model_computes_anew(model: LocalModel, store: RequestStore) -> None:
    Counted(model, store)()
    other = Counted(replace(model, who="tiny@others"), store)

    assert_those_of_the_model(other(), model)
    assert (other.n_computed, len(store)) == (N_EXCERPTS, 2 * N_EXCERPTS)


def test_another_explanation_computes_anew(model: LocalModel, store: RequestStore) -> None:
    Counted(model, store)()
    other = Counted(model, store)
    other([("L0N1", "b", ITEMS[1][2])])

    assert other.n_computed == 1


def test_an_excerpt_that_is_too_long_is_a_failure_and_is_not_kept(store: RequestStore) -> None:
    tokenizer = tiny_tokenizer()
    prompt = echo_simulation_question("cats", ["a", "b"], FEW_SHOT, about="").prompt
    assert isinstance(prompt, EchoPrompt)
    just_enough = len(tokenizer(prompt.text)["input_ids"])
    short = local(tiny_llama(tokenizer, context=just_enough), tokenizer)
    cats: list[Item] = [("L0N0", "cats", [["a", "b"], ["a", "bbb"], ["c", "d"]])]

    (answers,) = Counted(short, store)(cats)
    again = Counted(short, store)
    (answers_again,) = again(cats)

    for told in (answers, answers_again):
        assert [answer.value is None for answer in told] == [False, True, False]
        assert told[1].failure is not None
        assert "too long" in told[1].failure
    assert (len(store), again.n_computed, again.n_kept) == (2, 1, 2)


def test_what_was_computed_is_kept_before_the_next_is(model: LocalModel, store: RequestStore) -> None:
    simulated = KeptSimulator(model, FEW_SHOT, store, rows_at_once=1).simulate(ITEMS)
    next(simulated)
    simulated.close()  # type: ignore[attr-defined]  # it is a generator

    assert len(store) == len(ITEMS[0][2])


def test_the_worked_examples_are_read_once_however_many_items_there_are(model: LocalModel, store: RequestStore) -> None:
    n_read: list[int] = []
    hook = model.model.base_model.register_forward_hook(
        lambda _module, _inputs, output: n_read.append(output.last_hidden_state.shape[0])
    )
    try:
        many: list[Item] = [(f"L0N{n}", f"words of {n} letters", [["a", "b"]]) for n in range(40)]
        Counted(model, store, rows_at_once=4)(many)
    finally:
        hook.remove()

    assert n_read.count(4) == 10  # full batches only
    assert len(n_read) - 10 <= 4  # the worked examples, and the proof of the output matrix
