"""The packaged examples are sound, and a file that is not is refused with its place."""

from pathlib import Path

import pytest

from neuron_assets.errors import UnreadableStudy
from neuron_assets.few_shot import few_shot_digest, few_shot_neurons, read_few_shot
from neuron_assets.method.few_shot import FewShotExcerpt, FewShotNeuron
from neuron_assets.method.records import LARGEST

SOUND = """
- explanation: fruit
  excerpts:
    - {tokens: [An, " apple"], scaled: [0, 10], first_revealed: 1}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "few_shot.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def non_zero_share(neuron: FewShotNeuron) -> float:
    numbers = [number for excerpt in neuron.excerpts for number in excerpt.scaled]
    return sum(number > 0 for number in numbers) / len(numbers)


def test_two_neurons_are_sparse_and_one_is_not() -> None:
    shares = [non_zero_share(neuron) for neuron in few_shot_neurons()]

    assert len(shares) >= 3
    assert sum(share < 0.2 for share in shares) == 2
    assert all(0.05 < share < 0.6 for share in shares)


def test_every_neuron_is_scaled_by_its_own_largest_activation() -> None:
    assert {LARGEST} == {max(max(e.scaled) for e in neuron.excerpts) for neuron in few_shot_neurons()}


def test_excerpts_are_short_and_the_first_of_each_neuron_shows_it_at_work() -> None:
    for neuron in few_shot_neurons():
        assert 2 <= len(neuron.excerpts) <= 3
        assert all(12 <= len(excerpt.tokens) <= 40 for excerpt in neuron.excerpts)
        assert max(neuron.excerpts[0].scaled) >= 8


def test_explanations_end_a_sentence_that_others_begin() -> None:
    assert all(neuron.explanation == neuron.explanation.strip(" .") for neuron in few_shot_neurons())
    assert all(neuron.explanation[0].islower() for neuron in few_shot_neurons())


def test_tokens_after_the_unknown_ones_show_activity_somewhere() -> None:
    for neuron in few_shot_neurons():
        assert any(max(e.scaled[e.first_revealed :]) > 0 for e in neuron.excerpts)


def test_the_digest_is_the_same_at_every_call() -> None:
    again = few_shot_digest()
    few_shot_neurons.cache_clear()

    assert few_shot_digest() == again
    assert len(few_shot_digest()) == 16


def test_a_file_is_read_as_it_says(tmp_path: Path) -> None:
    found = read_few_shot(written(tmp_path, SOUND))

    assert found == (FewShotNeuron("fruit", (FewShotExcerpt(("An", " apple"), (0, 10), 1),)),)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("[0, 10]", "[0, 10, 0]", "1., excerpts, 1.: 2 tokens, but 3 numbers"),
        ("[0, 10]", "[0, 11]", "1., excerpts, 1., scaled, 2."),
        ("[0, 10]", "[-1, 10]", "1., excerpts, 1., scaled, 1."),
        ("[0, 10]", "[0, 9.5]", "1., excerpts, 1., scaled, 2."),
        ("[0, 10]", "[0, yes]", "1., excerpts, 1., scaled, 2."),
        ("[0, 10]", '[0, "10"]', "1., excerpts, 1., scaled, 2."),
        ("first_revealed: 1", "first_revealed: 2", "first_revealed is 2, but there are only 2 tokens"),
        ("first_revealed: 1", "first_revealed: -1", "1., excerpts, 1., first_revealed"),
        (", first_revealed: 1", "", "1., excerpts, 1., first_revealed"),
        ("first_revealed: 1", "first_revealed: 1, weight: 2", "1., excerpts, 1., weight"),
        ("An, ", "1, ", "1., excerpts, 1., tokens, 1."),
        ("explanation: fruit", "explanation: ''", "1., explanation"),
        ("[An, ", "[An ", "1., excerpts, 1.: 1 tokens, but 2 numbers"),
        ("excerpts:", "excerpts: [", "expected"),
        (SOUND, "[]", "the file"),
        (SOUND, "neurons: 3", "the file"),
    ],
)
def test_an_unsound_file_is_refused_with_its_place(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in SOUND

    with pytest.raises(UnreadableStudy, match=reason.replace(".", r"\.")):
        read_few_shot(written(tmp_path, SOUND.replace(old, new)))
