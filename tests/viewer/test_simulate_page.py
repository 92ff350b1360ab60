"""Simulating by hand: what a person sees, what is kept, and what it is worth."""

import html
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from neuron_assets.method.controls import SHUFFLED_CONTROL
from neuron_assets.method.labels import HandSimulation, ReadExcerpt
from neuron_assets.project import Project
from neuron_assets.viewer.excerpts import exact
from neuron_assets.viewer.marking import blank, filled, handed_out
from tests.viewer.labelling import Asked, asked_in, fields, read, squeezed


@pytest.fixture
def asked(made: Project, explained: tuple[int, int], tmp_path: Path) -> Asked:
    shutil.copytree(Path(made.tables).parent, tmp_path / "own", ignore=shutil.ignore_patterns("history", "storage"))
    return asked_in(tmp_path / "own", explained)


def _marked(asked: Asked, person: str = "Ann") -> dict[str, str]:
    """What this person gets next, with a mark on the second token of each excerpt."""
    form = fields(asked.get(f"simulate?person={person}"))
    return form | {f"v{number}_1": "7" for number in form["excerpts"].split()}


def _excerpt(number: int) -> ReadExcerpt:
    return ReadExcerpt(excerpts="cut", excerpt_index=number, document="a.txt", tokens=("a", "b\n  "))


def test_one_explanation_is_read_and_no_other(asked: Asked) -> None:
    page = read(asked.get("simulate?person=Ann"))
    rows = asked.candidates().filter(asked.candidates()["explanation"].is_not_null())
    shown_texts = [text for text in rows["explanation"].unique() if text in page]

    assert len(shown_texts) == 1
    assert not set(rows.filter(rows["author"] == SHUFFLED_CONTROL)["explanation"]) & set(shown_texts)


def test_another_candidate_may_be_asked_for(asked: Asked) -> None:
    row = asked.candidates().filter(asked.candidates()["author"] == SHUFFLED_CONTROL).row(0, named=True)
    page = read(asked.get(f"simulate?candidate={row['candidate']}"))

    assert row["explanation"] in page


def test_who_says_no_name_gets_no_excerpt(asked: Asked) -> None:
    page = asked.get("simulate")

    assert 'name="person"' in page.text
    assert 'class="marked"' not in page.text


def test_excerpts_are_of_valid_and_say_nothing_of_the_neuron(asked: Asked) -> None:
    page = asked.get("simulate?person=Ann")
    sheets = re.findall(r'<fieldset class="marked">(.*?)</fieldset>', page.text, re.DOTALL)
    rows = asked.study.rows("activations", asked.neuron)

    assert len(sheets) == 4
    for sheet in sheets:
        tokens = [html.unescape(token) for token in re.findall(r'<span dir="auto">(.*?)</span>', sheet, re.DOTALL)]
        assert squeezed("".join(tokens)) in asked.drawn("valid", by_token=True)
    assert rows is not None
    assert all(exact(value) not in page.text for values in rows["activations"] for value in values if abs(value) > 0.01)
    assert not re.search(r'class="[^"]*\b[ans]\d', page.text)
    assert "title=" not in "".join(sheets)


def test_marks_are_kept_and_scored_beside_the_model(asked: Asked) -> None:
    form = _marked(asked)
    answer = asked.post("simulate", form)
    kept = asked.kept.of(HandSimulation)
    page = read(asked.client.get(answer.headers["location"]))

    assert answer.status_code == 303
    assert {each.excerpt.excerpt_index for each in kept} == {int(number) for number in form["excerpts"].split()}
    assert all(each.values[:3] == (0, 7, 0) and each.author == "human:Ann" for each in kept)
    assert "Your simulation so far, Ann" in page
    assert "human:Ann" in page
    assert "Agreement of the two" in page


def test_what_was_done_is_drawn_beside_the_neuron_and_the_model(asked: Asked) -> None:
    form = _marked(asked)
    page = asked.client.get(asked.post("simulate", form).headers["location"]).text
    done = page[page.index("<details") : page.index("</details>")]
    maps = re.findall(r'aria-label="excerpt (\d), (.*?)">(.*?)</div>', done, re.DOTALL)

    assert [(number, whose) for number, whose, _ in maps] == [
        (str(number), whose) for number in range(1, 5) for whose in ("the neuron", "your marks", "the model")
    ]
    for _, whose, drawn in maps:
        tokens = re.findall(r'<span class="t ([^"]*)" title="([^"]*)">', drawn)
        if whose == "your marks":
            assert [colour.strip() for colour, _ in tokens] == ["", "s7", *[""] * (len(tokens) - 2)]
        assert all(("simulated" in told) == (whose != "the neuron") for _, told in tokens)
    rows = asked.study.rows("activations", asked.neuron)
    assert rows is not None
    peaks = rows.filter(rows["excerpt_index"].is_in(list(map(int, form["excerpts"].split()))))["peak"]
    assert all(f'title="{exact(peak)}"' in done for peak in peaks)


def test_nobody_else_sees_what_a_person_did(asked: Asked) -> None:
    asked.post("simulate", _marked(asked))
    asked.client.cookies.clear()
    nobody = read(asked.get("simulate?person=Ann&saved=4"))
    asked.post("simulate", _marked(asked, "Bob"))
    other = read(asked.get("simulate?person=Ann&saved=4"))

    for page in (nobody, other):
        assert "Your simulation" not in page
        assert "Agreement" not in page
        assert "Token by token" not in page


def test_an_excerpt_is_simulated_once_by_a_person(asked: Asked) -> None:
    form = _marked(asked)
    asked.post("simulate", form)
    before = asked.files()
    again = asked.post("simulate", form)

    assert (again.status_code, asked.files()) == (409, before)
    assert "already" in read(again)
    assert not set(form["excerpts"].split()) & set(_marked(asked)["excerpts"].split())
    assert asked.post("simulate", _marked(asked, "Bob")).status_code == 303


def test_excerpts_of_the_same_tokens_are_one(asked: Asked) -> None:
    form = _marked(asked)
    texts = asked.study.excerpts([int(number) for number in form["excerpts"].split()], ("excerpt_index", "tokens"))

    assert texts["tokens"].n_unique() == texts.height
    asked.post("simulate", form)
    kept = asked.kept.of(HandSimulation)
    assert len({each.excerpt.tokens for each in kept}) == len(kept)


def test_when_none_is_left_the_page_says_so(asked: Asked) -> None:
    while "No excerpt is left" not in (page := read(asked.get("simulate?person=Ann"))):
        before = len(asked.files())
        asked.post("simulate", _marked(asked))
        assert len(asked.files()) > before

    assert "Your simulation so far" in page
    assert len(asked.files()) > 4


@pytest.mark.parametrize("mark", ["11", "-1", "1.5", "x", "²", "٣", "007", "9" * 5000])
def test_what_is_no_mark_is_told_and_all_else_stays(asked: Asked, mark: str) -> None:
    form = _marked(asked)
    first, second, *_ = form["excerpts"].split()
    del form[f"v{second}_1"]
    form |= {f"v{first}_1": mark, f"silent{second}": "on"}
    page = asked.post("simulate", form)

    assert page.status_code == 422
    assert "no whole number from 0 to 10" in read(page)
    assert {name: text for name, text in fields(page).items() if text} == {
        name: text for name, text in form.items() if text
    }
    assert not asked.files()


def test_an_excerpt_without_marks_must_be_ticked_as_silent(asked: Asked) -> None:
    form = {name: "" if re.match(r"v\d+_1$", name) else text for name, text in _marked(asked).items()}
    ticks = {f"silent{number}": "on" for number in form["excerpts"].split()}

    assert asked.post("simulate", form).status_code == 422
    assert asked.post("simulate", form | ticks).status_code == 303
    assert not any(any(each.values) for each in asked.kept.of(HandSimulation))


def test_marks_and_silence_contradict_each_other(asked: Asked) -> None:
    form = _marked(asked)

    assert asked.post("simulate", form | {f"silent{form['excerpts'].split()[0]}": "on"}).status_code == 422


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"person": "<b>"}, 422),
        ({"person": ""}, 422),
        ({"cut": "of another corpus"}, 409),
        ({"explanation": "0" * 16}, 409),
        ({"excerpts": "999999 x ²"}, 409),
        ({"excerpts": ""}, 409),
    ],
)
def test_what_was_sent_for_something_else_is_refused(asked: Asked, wrong: Mapping[str, str], status: int) -> None:
    page = asked.post("simulate", {**_marked(asked), **wrong})

    assert (page.status_code, asked.files()) == (status, {})


def test_a_name_that_nobody_can_have_is_told_before_the_work(asked: Asked) -> None:
    page = asked.get("simulate?person=%3Cscript%3E")

    assert page.status_code == 422
    assert 'class="marked"' not in page.text


def test_marks_from_another_site_are_not_kept(asked: Asked) -> None:
    assert asked.post("simulate", _marked(asked), Origin="http://evil.example").status_code == 403
    assert not asked.files()


def test_old_excerpts_are_not_simulated(asked: Asked) -> None:
    form = _marked(asked)
    asked.cut_anew()
    page = asked.get("simulate?person=Ann")

    assert "made from other content than" in read(page)
    assert 'class="marked"' not in page.text
    answer = asked.post("simulate", form)
    assert answer.status_code == 409
    assert "The corpus was cut anew since this page was made" in read(answer)
    assert "already" not in read(answer)


def test_excerpts_that_the_neuron_has_no_more_are_not_said_to_be_done(asked: Asked) -> None:
    page = asked.post("simulate", _marked(asked) | {"excerpts": "999999"})

    assert page.status_code == 409
    assert "none of this neuron's any more" in read(page)


def test_a_table_that_cannot_be_read_is_told_and_not_taken_for_done(asked: Asked) -> None:
    form = _marked(asked)
    asked.study.store.path("tiny", "activations", "L02").write_bytes(b"PAR1")
    page = asked.post("simulate", form)

    assert page.status_code == 500
    assert "Nothing was kept" in read(page)
    assert "activations/L02.parquet" in read(page)
    assert "already" not in read(page)


def test_after_explaining_anew_the_new_explanation_is_a_link_away(asked: Asked) -> None:
    page = asked.post("simulate", _marked(asked) | {"explanation": "0" * 16})
    link = f'href="/tiny/2/{asked.neuron.neuron_index}/simulate?person=Ann"'

    assert "explained anew" in read(page)
    assert "no such explanation" not in read(page)
    assert link in page.text
    assert link in asked.get("simulate?candidate=99&person=Ann").text


def test_a_refused_name_leaves_the_marks(asked: Asked) -> None:
    form = _marked(asked)
    page = asked.post("simulate", form | {"person": "<b>"})

    assert page.status_code == 422
    assert fields(page) == form | {"person": ""}
    assert asked.post("simulate", fields(page) | {"person": "Ann"}).status_code == 303


def test_a_name_in_other_letters_gets_no_excerpt_twice(asked: Asked) -> None:
    form = _marked(asked)
    asked.post("simulate", form)

    assert asked.post("simulate", form | {"person": "ANN"}).status_code == 409
    assert not set(form["excerpts"].split()) & set(_marked(asked, "ann")["excerpts"].split())
    assert "Your simulation so far" in read(asked.get("simulate?person=ANN"))


def test_without_an_explanation_there_is_nothing_to_read(asked: Asked) -> None:
    others = asked_in(Path(asked.project.tables).parent, (2, 0 if asked.neuron.neuron_index else 1))

    assert "no such explanation" in read(asked.get("simulate?candidate=99"))
    assert "neuron-assets materialize tiny --layers 2 --neurons all" in read(others.get("simulate?person=Ann"))


def test_half_of_what_is_handed_out_are_top_excerpts_in_the_order_of_all() -> None:
    left = [_excerpt(number) for number in range(10)]

    assert [each.excerpt_index for each in handed_out(left, frozenset({5, 7, 9}))] == [0, 1, 5, 7]
    assert [each.excerpt_index for each in handed_out(left, frozenset({9}))] == [0, 1, 2, 9]
    assert [each.excerpt_index for each in handed_out(left[:3], frozenset({0, 1, 2}))] == [0, 1, 2]


def test_a_token_is_drawn_in_one_line_and_the_next_line_stands_in() -> None:
    assert blank(_excerpt(1)).tokens == (("a", None), ("b⏎", "  "))


def test_tokens_that_are_left_alone_are_zero() -> None:
    assert filled(_excerpt(12), {"v12_0": " 3 ", "v11_1": "9"}).values == (3, 0)
