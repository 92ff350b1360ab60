"""What may be written under `subject`, and what of it can change a table."""

import json
from pathlib import Path

import pytest

from neuron_assets.errors import InvalidStudy, LayerOutOfRange
from neuron_assets.lineage import INPUTS, lineages
from neuron_assets.study import Study, read_study
from neuron_assets.subject_sections import HuggingFaceSubject
from neuron_assets.subjects.catalog import SHIPPED, size_on_the_hub
from tests.scenario import CORPUS, write_study

COMMIT = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
LLAMA = {"model_type": "llama", "num_hidden_layers": 2, "intermediate_size": 48, "max_position_embeddings": 2048}
HARVESTED = set(INPUTS) - {"excerpts", "spending", "labels"}


def study(folder: Path, subject: object, /, **changes: object) -> Study:
    return read_study(write_study(folder, subject=subject, **changes))


def model_folder(folder: Path, **config: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize(
    ("subject", "label", "sizes"),
    [
        (f"openai-community/gpt2@{COMMIT}", "openai-community/gpt2@607a30d", (12, 3072)),
        ({"model": "Qwen/Qwen3-0.6B", "revision": COMMIT}, "Qwen/Qwen3-0.6B@607a30d", (28, 3072)),
        ({"model": "some/model", "revision": COMMIT, "n_layers": 3, "n_neurons": 7}, "some/model@607a30d", (3, 7)),
        ("./models/mine", "mine", (2, 48)),
        ({"provider": "hugging_face", "model": "./models/mine"}, "mine", (2, 48)),
        ("bundled", "bundled", (6, 768)),
        ({"provider": "bundled_untrained", "seed": 3}, "bundled_untrained", (6, 768)),
        ({}, "bundled", (6, 768)),
    ],
)
def test_a_subject_is_written_in_one_line_or_in_full(
    tmp_path: Path, subject: object, label: str, sizes: tuple[int, int]
) -> None:
    model_folder(tmp_path / "studies/tiny/models/mine", **LLAMA)

    read = study(tmp_path, subject).subject

    assert (read.label, (read.n_layers, read.n_neurons)) == (label, sizes)


@pytest.mark.parametrize(
    ("config", "sizes"),
    [
        ({"model_type": "gpt2", "n_layer": 3, "n_embd": 8, "n_inner": None}, (3, 32)),
        ({"model_type": "gpt2", "n_layer": 3, "n_embd": 8, "n_inner": 21}, (3, 21)),
        ({"model_type": "opt", "num_hidden_layers": 3, "hidden_size": 8, "ffn_dim": 20}, (3, 20)),
        ({"model_type": "bloom", "n_layer": 3, "hidden_size": 8}, (3, 32)),
        ({"model_type": "gemma3", "num_hidden_layers": 9, "text_config": LLAMA}, (2, 48)),
    ],
)
def test_a_folder_tells_its_sizes(tmp_path: Path, config: dict[str, object], sizes: tuple[int, int]) -> None:
    model_folder(tmp_path / "studies/tiny/mine", **config)

    read = study(tmp_path, "./mine").subject

    assert (read.n_layers, read.n_neurons) == sizes


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        ("openai-community/gpt2", "must be a full commit, 40 hexadecimal digits; `git ls-remote"),
        ("openai-community/gpt2@main", "`revision` of openai-community/gpt2 must be a full commit"),
        (f"openai-community/gpt2@{COMMIT[:39]}", "must be a full commit"),
        (f"some/model@{COMMIT}", "the sizes of some/model are not known. Write `n_layers`"),
        ("nobody/nothing@main", "`revision` of nobody/nothing must be a full commit"),
        ({"model": "nobody/nothing"}, "`revision` of nobody/nothing must be a full commit"),
        ("bundeld", "there is no bundeld; did you mean `bundled`?"),
        ("mine", "(If mine is a folder, write ./mine.)"),
        ("", "it is empty; write `bundled`, ./FOLDER, or NAME/MODEL@COMMIT"),
        ({"model": "./nowhere", "revision": COMMIT}, "a folder is known by its contents"),
        ({"modle": "./mine"}, "`subject.modle` is no key of a study; did you mean `model`, of the provider hugging_"),
        ({"model": "gpt2", "provider": "bundled"}, "did you mean `model`, of the provider hugging_face?"),
        ("./nowhere", "there is no folder"),
        ("./untold", "the sizes of ./untold are not known"),
        ({"model": "./mine", "revision": COMMIT}, "a folder is known by its contents"),
        ({"model": "../../etc@x/.."}, "there is no folder"),
        ({"model": "a/b/c", "revision": COMMIT, "n_layers": 1, "n_neurons": 1}, "is no repository; write NAME/MODEL"),
        (
            {"model": "./mine", "n_neurons": 64, "n_layers": 2},
            "mine has 2 layers of 48 neurons, the study says 2 of 64; take `n_layers` and `n_neurons` out",
        ),
        ({"model": "./mine", "dtype": "float8"}, "`subject.dtype`: Input should be 'float32'"),
        ({"model": "./mine", "dtyp": "float32"}, "`subject.dtyp` is no key of a study; did you mean `dtype`?"),
        ({"provider": "nobody"}, "`subject`: Input tag 'nobody'"),
        (7, "`subject`: keys and values belong here"),
    ],
)
def test_a_wrong_subject_is_named(tmp_path: Path, subject: object, message: str) -> None:
    model_folder(tmp_path / "studies/tiny/mine", **LLAMA)
    model_folder(tmp_path / "studies/tiny/untold", model_type="llama")

    with pytest.raises(InvalidStudy) as caught:
        study(tmp_path, subject)

    assert message in str(caught.value)
    assert "Value error" not in str(caught.value)


def test_a_subject_that_is_left_empty_is_asked_for(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    path.write_text("subject:\n", encoding="utf-8")

    with pytest.raises(InvalidStudy, match="it is empty; write `bundled`"):
        read_study(path)


@pytest.mark.parametrize("subject", [{"provider": "hugging_face"}, {"model": 7}, {"model": None}])
def test_a_model_that_is_not_named_is_asked_for_and_nothing_else(tmp_path: Path, subject: object) -> None:
    with pytest.raises(InvalidStudy) as caught:
        study(tmp_path, subject)

    assert str(caught.value).count("\n  - ") == 1
    assert "`subject.model`" in str(caught.value)


def test_messages_call_a_subject_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(LayerOutOfRange, match="Layer 12 does not exist: openai-community/gpt2@607a30d has 12 layers"):
        study(tmp_path, f"openai-community/gpt2@{COMMIT}", layers=[12])


def test_excerpts_are_no_longer_than_the_subject_reads(tmp_path: Path) -> None:
    model_folder(tmp_path / "studies/tiny/mine", **(LLAMA | {"max_position_embeddings": 32}))

    with pytest.raises(InvalidStudy, match="mine reads 32 tokens at most, not 33"):
        study(tmp_path, "./mine", corpus=CORPUS | {"excerpt_length": 33})


def test_the_catalog_holds_each_name_with_any_capitals() -> None:
    known = size_on_the_hub("eleutherai/pythia-70M-deduped")

    assert known is not None
    assert (known.n_layers, known.n_neurons) == (6, 2048)
    assert size_on_the_hub("gpt2-xl") == size_on_the_hub("openai-community/gpt2-xl")
    assert size_on_the_hub("nobody/nothing") is None
    assert SHIPPED["bundled"].size.n_layers == 6


@pytest.mark.parametrize(
    ("subject", "changed"),
    [
        ({"model": "./other"}, set[str]()),
        ({"model": "./mine", "dtype": "bfloat16"}, HARVESTED),
        ({"model": "./mine", "beginning_of_text": "never"}, HARVESTED),
        ({"model": "some/model", "revision": COMMIT, "n_layers": 2, "n_neurons": 48}, {"excerpts", *HARVESTED}),
    ],
)
def test_a_folder_is_no_ingredient_and_what_changes_an_activation_is(
    tmp_path: Path, subject: object, changed: set[str]
) -> None:
    for name in ("mine", "other"):
        model_folder(tmp_path / "studies/tiny" / name, **LLAMA)

    before, after = lineages(study(tmp_path, "./mine")), lineages(study(tmp_path, subject))

    assert changed == {table for table in INPUTS if before[table] != after[table]}


def test_another_revision_is_another_subject(tmp_path: Path) -> None:
    one, other = (lineages(study(tmp_path, f"gpt2@{digit * 40}")) for digit in "ab")

    assert {table for table in INPUTS if one[table] != other[table]} == {"excerpts", *HARVESTED}


def test_a_subject_that_is_made_in_python_says_its_sizes() -> None:
    subject = HuggingFaceSubject(provider="hugging_face", model="./mine", n_layers=1, n_neurons=2)

    assert (subject.is_folder, subject.label, subject.tokenizer) == (True, "mine", "folder")
