"""Facts on the groups of a neuron's top excerpts, and on lists of what they mean."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from neuron_assets.errors import UnreadableExplanation
from neuron_assets.method.meanings import (
    BESIDE,
    NOT_PARTED,
    Group,
    MeaningParameters,
    as_list,
    firing_tokens,
    meanings_of,
)
from neuron_assets.method.records import Exemplars, Tokens
from neuron_assets.method.rules.language import parse, parse_meanings
from neuron_assets.method.rules.simulating import simulate_by_rules

Excerpt = Sequence[tuple[str, float]]


def exemplars(top: Sequence[Excerpt], random: Sequence[Excerpt] = ()) -> Exemplars:
    excerpts = [*top, *random]
    strings = tuple(dict.fromkeys(token for excerpt in excerpts for token, _ in excerpt))
    codes = np.array([[strings.index(token) for token, _ in excerpt] for excerpt in excerpts])
    activations = np.array([[value for _, value in excerpt] for excerpt in excerpts])
    rows = np.arange(len(excerpts))
    return Exemplars(Tokens(codes, strings), activations, rows < len(top), rows, rows)


def on(token: str, strength: float = 10.0) -> Excerpt:
    """One token that fires, between others that do not."""
    return [(" a", 0.0), (token, strength), (" b", 0.0)]


def groups(of: Exemplars, most: int = 2, fewest: int = 1) -> tuple[Group, ...]:
    found = meanings_of(of, MeaningParameters(most, fewest))[most].value
    assert found is not None
    return found


def tops(found: Sequence[Group]) -> list[list[int]]:
    return [group.top.tolist() for group in found]


def test_excerpts_are_parted_by_which_tokens_fire_in_them() -> None:
    two = exemplars([on(" rain"), on(" self"), on("Rain"), on(" self"), on("self"), on(" rain")])

    assert tops(groups(two)) == [[0, 2, 5], [1, 3, 4]]


def test_what_stands_beside_a_token_that_fires_tells_it_from_the_same_token_elsewhere() -> None:
    after_not = [(" not", 0.0), (" x", 9.0), (" a", 0.0)]
    after_the = [(" the", 0.0), (" x", 9.0), (" b", 0.0)]
    two = exemplars([after_not, after_the, after_not, after_the])

    assert tops(groups(two)) == [[0, 2], [1, 3]]


def test_what_has_nothing_in_common_stays_together_beside_what_has() -> None:
    others = [[(f" {letter}", 0.0), (letter * 3, 9.0), (f"{letter}s", 0.0)] for letter in "defg"]

    assert tops(groups(exemplars([*others, *[on(" self")] * 4]))) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def drawn(seed: int) -> Exemplars:
    """Excerpts of five tokens of a dozen, of which some fire."""
    random = np.random.default_rng(seed)
    words = [f" w{number}" for number in range(12)]
    return exemplars(
        [
            [(words[code], float(strength)) for code, strength in zip(codes, strengths, strict=True)]
            for codes, strengths in zip(
                random.integers(12, size=(14, 5)), random.integers(11, size=(14, 5)), strict=True
            )
        ]
    )


def by_hand(of: Exemplars, n_groups: int) -> list[list[int]]:
    """Ward's joining with every group's centre and spread computed anew."""
    number = {
        (step, string): place
        for place, (step, string) in enumerate((s, t) for s in (-1, 0, 1) for t in of.tokens.strings)
    }
    vectors = np.zeros((len(of.activations), len(number)))
    for row, (codes, does) in enumerate(zip(of.tokens.codes.tolist(), of.activations.tolist(), strict=True)):
        for place in (place for place, value in enumerate(does) if value > max(does) / 2):
            for step in (-1, 0, 1):
                if 0 <= place + step < len(codes):
                    vectors[row, number[step, of.tokens.strings[codes[place + step]]]] = BESIDE if step else 1.0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = [[row] for row in range(len(vectors))]

    def spread(rows: list[int]) -> float:
        return float(((vectors[rows] - vectors[rows].mean(axis=0)) ** 2).sum())

    while len(found) > n_groups:
        pairs = list(combinations(range(len(found)), 2))
        costs = [spread(found[a] + found[b]) - spread(found[a]) - spread(found[b]) for a, b in pairs]
        a, b = pairs[int(np.argmin(np.round(costs, 9)))]
        found[a] = sorted(found[a] + found.pop(b))
    return found


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n_groups", [2, 3, 5])
def test_the_two_groups_are_joined_that_spread_least(seed: int, n_groups: int) -> None:
    of = drawn(seed)

    assert tops(groups(of, n_groups)) == by_hand(of, n_groups)


def test_a_longer_list_parts_one_group_of_the_shorter() -> None:
    of = drawn(3)
    two, three = tops(groups(of, 2)), tops(groups(of, 3))
    kept = [group for group in two if group in three]

    assert len(kept) == 1
    (parted,) = (group for group in two if group not in three)
    assert sorted(row for group in three if group not in kept for row in group) == parted


def test_how_a_vocabulary_is_numbered_changes_no_group() -> None:
    of, order = drawn(5), np.random.default_rng(0).permutation(12)
    place = np.argsort(order)
    strings = of.tokens.strings
    assert len(strings) == 12
    renumbered = Tokens(place[of.tokens.codes], tuple(strings[code] for code in order.tolist()))
    other = Exemplars(renumbered, of.activations, of.is_top, of.document_indices, of.excerpt_indices)

    assert tops(groups(other, 4)) == tops(groups(of, 4))


def test_random_excerpts_go_with_the_meaning_that_fires_in_them_and_quiet_ones_with_all() -> None:
    random = [on(" rain", 8.0), on(" self", 9.0), on(" rain", 2.0), on(" x", 0.0)]
    rain, self = groups(exemplars([on(" rain"), on(" rain"), on(" self"), on(" self")], random))

    assert (rain.top.tolist(), rain.random.tolist()) == ([0, 1], [4, 6, 7])
    assert (self.top.tolist(), self.random.tolist()) == ([2, 3], [5, 6, 7])
    assert rain.rows.tolist() == [0, 1, 4, 6, 7]


def test_silent_top_excerpts_are_in_no_group() -> None:
    found = groups(exemplars([on(" rain"), on(" x", 0.0), on(" self"), on(" x", -3.0)]))

    assert tops(found) == [[0], [2]]


@pytest.mark.parametrize(
    "top",
    [[on(" rain")] * 4 + [on(" self")], [on(" rain")], [on(" x", 0.0)] * 4, []],
    ids=["small", "one", "silent", "none"],
)
def test_a_group_of_too_few_excerpts_is_no_meaning(top: list[Excerpt]) -> None:
    random = [on(" a", 0.0)]
    answers = meanings_of(exemplars(top, random), MeaningParameters(most=3, fewest_excerpts=2))

    assert {number: answer.value for number, answer in answers.items()} == {2: None, 3: None}
    assert all(str(answer.failure).startswith(NOT_PARTED) for answer in answers.values())


def test_the_tokens_that_fire_are_counted_once_an_excerpt() -> None:
    twice = [(" self", 9.0), (" self", 8.0), ("x", 7.0)]
    of = exemplars([twice, on(" rain", 3.0), on(" rain", 9.0), on("x", 2.0), on("y", 0.0)])

    assert firing_tokens(of, 2) == ("x", " rain")
    assert firing_tokens(of, 9) == ("x", " rain", " self")


FIRST, SECOND = 'Activates on "a" (10). Otherwise about 0.', 'Activates on "a" (3), "b" (7). Otherwise about 1.'


def test_a_list_of_rules_means_the_strongest_of_its_entries() -> None:
    listed = as_list([FIRST, SECOND])
    tokens = Tokens(np.array([[0, 1, 2], [2, 0, 0]]), ("a", "b", "c"))

    assert listed == f"Any of these: 1. {FIRST} 2. {SECOND}"
    assert parse_meanings(listed) == (parse(FIRST), parse(SECOND))
    assert simulate_by_rules(listed, tokens).tolist() == [[10, 7, 1], [1, 10, 10]]
    assert parse_meanings(FIRST) == (parse(FIRST),)


def test_sentences_of_a_list_end_once() -> None:
    assert as_list(["rivers", "lakes of ice."]) == "Any of these: 1. rivers. 2. lakes of ice."


@pytest.mark.parametrize(
    "text",
    [
        "Any of these:",
        f"Any of these: {FIRST}",
        f"Any of these: 2. {FIRST}",
        f"Any of these: 1. {FIRST} {SECOND}",
        f"Any of these: 1. {FIRST} 3. {SECOND}",
        f"Any of these: 1. {FIRST} 2. something else.",
        f"Any of these: 1. Any of these: 1. {FIRST}",
    ],
)
def test_a_list_that_is_not_written_like_one_is_refused(text: str) -> None:
    with pytest.raises(UnreadableExplanation):
        simulate_by_rules(text, Tokens(np.array([[0]]), ("a",)))
