"""What a person may write, and which of several labels counts."""

from datetime import UTC, datetime, timedelta

import pytest

from neuron_assets.errors import InvalidLabel
from neuron_assets.method.labels import (
    HandSimulation,
    PersonsExplanation,
    PersonsRating,
    ReadExcerpt,
    counted,
    distinct,
    excerpts_of,
    is_human,
    known_as,
    standing_ratings,
    tidied,
)
from neuron_assets.method.records import NeuronId

NEURON = NeuronId(1, 2)
THEN = datetime(2026, 5, 1, 12, tzinfo=UTC)


def explained(person: str = "Ann", text: str = "rivers", minutes: int = 0) -> PersonsExplanation:
    return PersonsExplanation(person=person, neuron=NEURON, written_at=THEN + timedelta(minutes=minutes), text=text)


def simulated(*values: int, tokens: str = "abc", person: str = "Ann", minutes: int = 0) -> HandSimulation:
    return HandSimulation(
        person=person,
        neuron=NEURON,
        written_at=THEN + timedelta(minutes=minutes),
        text="rivers",
        excerpt=ReadExcerpt(excerpts="0", excerpt_index=3, document="d", tokens=tuple(tokens)),
        values=values,
    )


@pytest.mark.parametrize("name", ["Ann", "李 明", "Zoë_2", "أحمد", "नीरज", "J.-P. Serre", "a" * 40])
def test_names_of_any_script_are_names(name: str) -> None:
    author = explained(person=tidied(name)).author

    assert author == f"human:{tidied(name)}"
    assert is_human(author)


@pytest.mark.parametrize(
    "name", ["", " ", "Ann ", "a" * 41, "a\nb", "a\x00", "<b>", "a/b", "Ann\u202e", "\ud83d", "a  b", "e\u0301"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidLabel, match="name was not kept"):
        explained(person=name)


@pytest.mark.parametrize("text", ["", " rivers", "a\nb", "a\x07b", "\ud83d", "a" * 2001])
def test_an_explanation_is_one_line_that_can_be_read(text: str) -> None:
    with pytest.raises(InvalidLabel, match="explanation was not kept"):
        explained(text=text)


def test_what_a_form_sends_can_be_tidied() -> None:
    assert tidied("  cafe\u0301 \r\n names ") == "caf\u00e9 names"


def test_a_rating_is_one_of_three() -> None:
    with pytest.raises(InvalidLabel, match="good, partly, wrong, not 'fine'"):
        PersonsRating(person="Ann", neuron=NEURON, written_at=THEN, text="x", rating="fine")


@pytest.mark.parametrize("values", [(), (1, 2), (0, 11, 0), (0, -1, 0)])
def test_a_simulation_has_a_whole_number_for_each_token(values: tuple[int, ...]) -> None:
    with pytest.raises(InvalidLabel, match="simulation was not kept"):
        simulated(*values)


def test_a_label_knows_when_it_was_written() -> None:
    with pytest.raises(InvalidLabel, match="time zone"):
        PersonsExplanation(person="Ann", neuron=NEURON, written_at=THEN.replace(tzinfo=None), text="rivers")


def test_the_first_simulation_of_an_excerpt_counts() -> None:
    later, first = simulated(1, 1, 1, minutes=5), simulated(0, 0, 9, minutes=1)
    others = (simulated(2, 2, 2, person="Bob"), simulated(3, 3, 3, tokens="abd", minutes=9))

    assert counted([later, *others, first]) == (others[0], first, others[1])
    assert excerpts_of("Ann", [later, *others], NEURON) == {tuple("abc"), tuple("abd")}
    assert excerpts_of("Ann", [later], NeuronId(1, 3)) == frozenset()


def test_the_last_rating_of_a_text_stands() -> None:
    ratings = [
        PersonsRating(person="Ann", neuron=NEURON, written_at=THEN + timedelta(minutes=minutes), text=text, rating=told)
        for minutes, text, told in ((3, "a", "good"), (1, "a", "wrong"), (2, "b", "partly"))
    ]

    assert [(each.text, each.rating) for each in standing_ratings(ratings)] == [("b", "partly"), ("a", "good")]


def test_the_same_text_of_one_person_is_told_once() -> None:
    same = [explained(minutes=5), explained(minutes=1), explained(person="Bob", minutes=3)]

    assert distinct(same) == (same[1], same[2])


@pytest.mark.parametrize("other", ["ann", "ANN", "\N{FULLWIDTH LATIN CAPITAL LETTER A}nn"])
def test_a_name_is_the_same_however_it_is_written(other: str) -> None:
    marked = [simulated(1, 2, 3), simulated(4, 5, 6, person=other, minutes=1)]
    rated = [
        PersonsRating(person=name, neuron=NEURON, written_at=THEN + timedelta(minutes=at), text="x", rating=rating)
        for at, (name, rating) in enumerate((("Ann", "good"), (other, "wrong")))
    ]

    assert known_as(other) == known_as("Ann") != known_as("Anna")
    assert counted(marked) == (marked[0],)
    assert excerpts_of(other, marked[:1], NEURON) == {("a", "b", "c")}
    assert distinct([explained(), explained(other, minutes=1)]) == (explained(),)
    assert standing_ratings(rated) == (rated[1],)
