"""Documents become excerpts and pools in one way that nothing but the seed and the documents decides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_assets.errors import NoDocuments, TooFewDocuments
from neuron_assets.method.excerpts import CutPlan, cut_excerpts
from neuron_assets.method.records import SPLITS

PLAN = CutPlan(length=4, fewest_documents=2)


def documents(n_documents: int, n_tokens: int = 21) -> tuple[list[str], list[list[int]]]:
    """Token `1000 * document + place`, so that every token tells where it is from."""
    return (
        [f"{number}.txt" for number in range(n_documents)],
        [[1000 * number + place for place in range(n_tokens)] for number in range(n_documents)],
    )


def test_an_excerpt_is_an_unbroken_stretch_of_one_document() -> None:
    cut = cut_excerpts(*documents(12), PLAN, "test")

    assert cut.token_ids.shape == (12 * 5, 4)
    assert (cut.token_ids[:, 0] // 1000 == cut.document_indices).all()
    assert (np.diff(cut.token_ids, axis=1) == 1).all()
    assert {0, 4, 8, 12, 16} == set((cut.token_ids[:, 0] % 1000).tolist())


def test_a_document_is_never_in_two_pools() -> None:
    cut = cut_excerpts(*documents(30), PLAN, "test")
    pools = {document: set(cut.pools[cut.document_indices == document].tolist()) for document in range(30)}

    assert all(len(found) == 1 for found in pools.values())


def test_pools_hold_about_equally_many_excerpts() -> None:
    names, ids = documents(60)
    ids = [tokens[: 4 + number % 17] for number, tokens in enumerate(ids)]
    counts = np.bincount(cut_excerpts(names, ids, PLAN, "test").pools)

    assert counts.max() - counts.min() <= 5


def test_a_long_document_gives_a_seeded_choice_of_its_excerpts() -> None:
    plan = CutPlan(length=4, fewest_documents=2, most_per_document=3)
    cut, again = (cut_excerpts(*documents(12), plan, "test") for _ in range(2))
    other = cut_excerpts(*documents(12), CutPlan(length=4, fewest_documents=2, most_per_document=3, seed=1), "test")

    assert {3} == set(np.bincount(cut.document_indices).tolist())
    assert (cut.token_ids == again.token_ids).all()
    assert (cut.token_ids != other.token_ids).any()


@given(st.permutations(range(12)))
def test_the_order_in_which_documents_come_does_not_matter_to_pools_and_choice(order: list[int]) -> None:
    names, ids = documents(12)
    plan = CutPlan(length=4, fewest_documents=2, most_per_document=3)
    first = cut_excerpts(names, ids, plan, "test")
    second = cut_excerpts([names[i] for i in order], [ids[i] for i in order], plan, "test")

    assert _by_excerpt(first.token_ids, first.pools) == _by_excerpt(second.token_ids, second.pools)


def test_excerpts_stand_in_a_shuffled_order() -> None:
    cut = cut_excerpts(*documents(40), PLAN, "test")

    assert np.count_nonzero(np.diff(cut.document_indices) == 0) < 20


def test_too_short_or_too_few_documents_are_refused() -> None:
    with pytest.raises(NoDocuments, match="The corpus somewhere holds no document"):
        cut_excerpts(*documents(12, n_tokens=3), PLAN, "somewhere")
    with pytest.raises(NoDocuments):
        cut_excerpts([], [], PLAN, "somewhere")
    with pytest.raises(TooFewDocuments, match=f"The {SPLITS[3]} pool would hold 1 documents, 2 are needed"):
        cut_excerpts(*documents(7), PLAN, "somewhere")


def _by_excerpt(token_ids: np.ndarray, pools: np.ndarray) -> dict[int, int]:
    return dict(zip(token_ids[:, 0].tolist(), pools.tolist(), strict=True))
