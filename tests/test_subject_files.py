"""What is known of a subject by its files: who it is, and how much there is to load."""

from pathlib import Path

from neuron_assets.study import Study, read_study
from neuron_assets.subject_files import forward_notes, weights_bytes
from tests.scenario import write_study


def study_of(root: Path, subject: object) -> Study:
    return read_study(write_study(root, subject=subject))


def test_the_weights_of_what_is_shipped_have_a_size(tmp_path: Path) -> None:
    assert 6e6 < (weights_bytes(study_of(tmp_path, "bundled")) or 0) < 8e6


def test_the_weights_of_a_folder_are_all_its_files_of_weights(tmp_path: Path) -> None:
    folder = tmp_path / "studies" / "tiny" / "mine"
    folder.mkdir(parents=True)
    study = study_of(tmp_path, {"model": "./mine", "n_layers": 2, "n_neurons": 8})
    assert weights_bytes(study) is None

    for name, size in (("model-1-of-2.safetensors", 30), ("model-2-of-2.safetensors", 12), ("notes.txt", 5)):
        (folder / name).write_bytes(b"x" * size)

    assert weights_bytes(study) == 42
    assert set(forward_notes(study)) == {"subject_files"}


def test_weights_that_were_never_fetched_have_no_size_and_are_not_fetched_for_it(tmp_path: Path) -> None:
    study = study_of(
        tmp_path, {"model": f"nobody/{tmp_path.name}", "revision": "0" * 40, "n_layers": 2, "n_neurons": 8}
    )

    assert weights_bytes(study) is None
    assert forward_notes(study) == {}
