"""The grammar: what is written is read back, and nothing else is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_assets.errors import UnreadableExplanation
from neuron_assets.method.rules.classes import CLASSES, PLACES
from neuron_assets.method.rules.language import ANY, ANYWHERE, Context, Rule, Ruleset, Target, parse, render

TEXT = (
    'Activates on " raise", " return" (8), numbers (3). Right after ".": 2 more, "path" (7). '
    'Right after numbers: 1 less. Within 8 tokens after " if": " return" (9), any token (1). '
    'Later on a line with "def": "self" (0). In a comment: 3 more. Otherwise about 0.'
)


def token(what: str) -> Target:
    return Target("token", what)


RULES = Ruleset(
    (
        Rule(ANYWHERE, token(" raise"), "sets", 8),
        Rule(ANYWHERE, token(" return"), "sets", 8),
        Rule(ANYWHERE, Target("class", "numbers"), "sets", 3),
        Rule(Context("after", "."), ANY, "adds", 2),
        Rule(Context("after", "."), token("path"), "sets", 7),
        Rule(Context("after class", "numbers"), ANY, "adds", -1),
        Rule(Context("near", " if"), token(" return"), "sets", 9),
        Rule(Context("near", " if"), ANY, "sets", 1),
        Rule(Context("line", "def"), token("self"), "sets", 0),
        Rule(Context("place", "in a comment"), ANY, "adds", 3),
    ),
    otherwise=0,
)


def test_rules_are_written_as_sentences() -> None:
    assert render(RULES) == TEXT


def test_sentences_are_read_as_rules() -> None:
    assert parse(TEXT) == RULES


def test_white_space_around_a_text_is_allowed() -> None:
    assert parse("  Otherwise about 2.\n") == Ruleset((), 2)


def _targets(*, with_any: bool) -> st.SearchStrategy[Target]:
    named = st.builds(Target, st.just("token"), st.text(max_size=6)) | st.builds(
        Target, st.just("class"), st.sampled_from(list(CLASSES))
    )
    return named | st.just(ANY) if with_any else named


def _rules_of(context: Context) -> st.SearchStrategy[list[Rule]]:
    anywhere = context == ANYWHERE
    setting = st.builds(Rule, st.just(context), _targets(with_any=not anywhere), st.just("sets"), st.integers(0, 10))
    adding = st.builds(Rule, st.just(context), st.just(ANY), st.just("adds"), st.integers(1, 10) | st.integers(-10, -1))
    # Two additions in a row would be written as one number, so there is at most one.
    return st.tuples(st.lists(adding, max_size=0 if anywhere else 1), st.lists(setting, min_size=1, max_size=4)).map(
        lambda both: [*both[0], *both[1]]
    )


CONTEXTS = (
    st.just(ANYWHERE)
    | st.builds(Context, st.sampled_from(["after", "near", "line"]), st.text(max_size=6))
    | st.builds(Context, st.just("after class"), st.sampled_from(list(CLASSES)))
    | st.builds(Context, st.just("place"), st.sampled_from(list(PLACES)))
)


@given(
    st.lists(CONTEXTS, unique=True, max_size=4).flatmap(lambda contexts: st.tuples(*map(_rules_of, contexts))),
    st.integers(0, 10),
)
def test_whatever_is_written_is_read_back(groups: tuple[list[Rule], ...], otherwise: int) -> None:
    ruleset = Ruleset(tuple(rule for group in groups for rule in group), otherwise)

    assert parse(render(ruleset)) == ruleset


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "the end of the text"),
        ("References to films.", "References to films."),
        ("Otherwise about 11.", "11."),
        ("Otherwise about 0", "the end of the text"),
        ("Otherwise about 0. And so on.", " And so on."),
        ('Activates on "a" (11). Otherwise about 0.', "11). Otherwise about 0."),
        ('Activates on "a". Otherwise about 0.', ". Otherwise about 0."),
        ('Activates on "a (5). Otherwise about 0.', '"a (5). Otherwise about 0.'),
        ('Activates on "\\x" (5). Otherwise about 0.', '"\\\\x" (5). Otherwise about 0.'),
        ("Activates on films (5). Otherwise about 0.", "films (5). Otherwise about 0."),
        ("Activates on any token (5). Otherwise about 0.", "any token (5). Otherwise about 0."),
        ("Activates on 3 more. Otherwise about 0.", "3 more. Otherwise about 0."),
        ("Right after films: 3 more. Otherwise about 0.", "films: 3 more. Otherwise about 0."),
        ("In a dream: 3 more. Otherwise about 0.", "In a dream: 3 more. Otherwise about 0."),
        ('Activates on "a" (5).Otherwise about 0.', "Otherwise about 0."),
    ],
)
def test_what_is_not_grammar_is_refused_by_place(text: str, place: str) -> None:
    with pytest.raises(UnreadableExplanation) as refusal:
        parse(text)

    assert f"cannot read '{place}'" in str(refusal.value)


@given(st.text(max_size=60))
def test_any_other_text_is_refused_or_read_whole(text: str) -> None:
    try:
        ruleset = parse(text)
    except UnreadableExplanation:
        return

    assert parse(render(ruleset)) == ruleset
