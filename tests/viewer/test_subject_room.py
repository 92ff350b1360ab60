"""The room of the subject: who is held, until when, and who waits."""

from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from neuron_assets.errors import UnusableSubject
from neuron_assets.study import Study, read_study
from neuron_assets.viewer.subject_room import SubjectRoom
from tests.scenario import write_study


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of studies whose subject was opened, in their order; nothing is."""
    names: list[str] = []

    def open_subject(study: Study) -> Any:
        names.append(study.name)
        return study.name

    monkeypatch.setattr("neuron_assets.subject_opening.open_subject", open_subject)
    return names


def study(root: Path, name: str, **changes: object) -> Study:
    return read_study(write_study(root, name, **changes))


def test_studies_of_one_subject_share_it(tmp_path: Path, opened: list[str]) -> None:
    room = SubjectRoom()
    one, same = study(tmp_path, "one"), study(tmp_path, "same", neurons={"per_layer": 1})

    with room.lent(one) as first:
        pass
    with room.lent(same) as second:
        pass

    assert first is second
    assert opened == ["one"]
    assert room.holds(same)


def test_another_subject_or_other_units_take_its_place(tmp_path: Path, opened: list[str]) -> None:
    room = SubjectRoom()
    plain = study(tmp_path, "plain")
    untrained = study(tmp_path, "untrained", subject={"provider": "bundled_untrained"})
    signed = study(tmp_path, "signed", units={"signed": True})

    for each in (plain, untrained, signed, plain):
        assert not room.holds(each)
        with room.lent(each):
            pass

    assert opened == ["plain", "untrained", "signed", "plain"]


def test_a_subject_whose_files_were_written_anew_is_opened_anew(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    room, one = SubjectRoom(), study(tmp_path, "one")
    for files in ({"subject_files": "a"}, {"subject_files": "a"}, {"subject_files": "b"}):
        monkeypatch.setattr("neuron_assets.viewer.subject_room.forward_notes", lambda _study, now=files: now)
        with room.lent(one):
            pass

    assert opened == ["one", "one"]


def test_nothing_is_held_before_it_is_asked_for_or_after_it_could_not_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_subject(study: Study) -> Any:
        raise UnusableSubject(study.name, "its weights are missing")

    monkeypatch.setattr("neuron_assets.subject_opening.open_subject", open_subject)
    room, one = SubjectRoom(), study(tmp_path, "one")

    assert not room.holds(one)
    with pytest.raises(UnusableSubject, match="weights are missing"), room.lent(one):
        pass
    assert not room.holds(one)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")])
def test_where_memory_runs_out_the_subject_is_dropped_and_it_is_told(
    tmp_path: Path, opened: list[str], error: Exception
) -> None:
    room, one = SubjectRoom(), study(tmp_path, "one")

    with pytest.raises(UnusableSubject, match="memory does not suffice"), room.lent(one):
        raise error

    assert not room.holds(one)
    with room.lent(one):  # and the next one is let in
        assert opened == ["one", "one"]


def test_who_comes_second_waits(tmp_path: Path, opened: list[str]) -> None:
    room, one = SubjectRoom(), study(tmp_path, "one")
    order: list[str] = []

    def come() -> None:
        with room.lent(one):
            order.append("the second is in")

    second = Thread(target=come)
    with room.lent(one):
        second.start()
        order.append("the first is in")
    second.join()

    assert order == ["the first is in", "the second is in"]
    assert opened == ["one"]
