"""A study file is read strictly, and every mistake is named with its mend."""

import hashlib
from pathlib import Path

import dagster as dg
import pytest

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.books import Errand
from neuron_assets.assets.explainers import open_explainer
from neuron_assets.definitions import build_definitions
from neuron_assets.errors import InvalidStudy, LayerOutOfRange, NeuronOutOfRange, UnreadableStudy
from neuron_assets.lineage import FINAL, INPUTS, lineages
from neuron_assets.method.records import NeuronId
from neuron_assets.project import BUNDLED_STUDIES, Project
from neuron_assets.sections import parse_layers
from neuron_assets.study import Study, read_study
from neuron_assets.subjects.catalog import SHIPPED, TOKENIZER
from tests.scenario import CORPUS, write_study
from tests.subjects.autoencoders import write_autoencoder, written_config

HOSTED = {"provider": "openai_compatible", "model": "parrot"}


def study(tmp_path: Path, **changes: object) -> Study:
    return read_study(write_study(tmp_path, **changes))


def test_every_bundled_study_and_the_template_are_valid(tmp_path: Path) -> None:
    for path in BUNDLED_STUDIES.glob("*/study.yaml"):
        assert read_study(path).name == path.parent.name
    (tmp_path / "mine").mkdir()
    template = (BUNDLED_STUDIES.parent / "templates" / "study.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine" / "study.yaml").write_text(template, encoding="utf-8")

    assert read_study(tmp_path / "mine" / "study.yaml").neuron_indices(0) == read_study(
        BUNDLED_STUDIES / "bundled" / "study.yaml"
    ).neuron_indices(0)


def test_the_twin_differs_from_the_bundled_study_in_its_subject_only() -> None:
    trained, twin = (read_study(BUNDLED_STUDIES / name / "study.yaml") for name in ("bundled", "bundled_untrained"))
    own = {"name", "folder", "description", "subject", "controls"}

    assert trained.model_dump(exclude=own) == twin.model_dump(exclude=own)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"explainr": {"provider": "rules"}}, "`explainr` is no key of a study; did you mean `explainer`?"),
        ({"corpus": {"provider": "standard_library", "excerptlength": 9}}, "did you mean `excerpt_length`?"),
        ({"scoring": {"top": 0}}, "`scoring.top`: Input should be greater than or equal to 1"),
        ({"scoring": {"top": 6, "random": 3}}, "cannot exceed what `splits.valid` keeps"),
        ({"subject": {"provider": "bundled", "n_layers": 7, "n_neurons": 768}}, "has 6 layers of 768 neurons"),
        ({"corpus": {"provider": "text_files"}}, "`corpus.folder`: Field required"),
        ({"corpus": CORPUS | {"excerpt_length": 200}}, "bundled reads 128 tokens at most, not 200"),
        ({"corpus": CORPUS | {"pattern": "../*.txt"}}, "`pattern` names files below `folder`"),
        ({"asking": {"most_at_once": 1001}}, "`asking.most_at_once`: Input should be less than or equal to 1000"),
        ({"owners": ["me"]}, "`owners.0`: String should match pattern"),
        ({"neurons": []}, "`neurons"),
        ({"neurons": [True]}, "`neurons"),
        ({"layers": "0-x"}, "no layer or range of layers"),
        ({"controls": {"untrained": "../other"}}, "`controls.untrained`: String should match pattern"),
        ({"explainer": {"provider": "planted"}}, "`planted` explains the subject `planted` only"),
        ({"splits": {"train": {"top": 0, "random": 0}}}, "must keep at least one excerpt"),
        ({"explainer": {"provider": "written"}}, "`explainer.file`: Field required"),
        ({"explainer": {**HOSTED, "parameters": {"max_tokens": 500}}}, "write `room_to_think` for more"),
        ({"folder": "other"}, "a study is named after its folder"),
        ({"subject": None}, "`subject`: Field required"),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidStudy) as caught:
        study(tmp_path, **changes)

    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("text", ["subject: [unclosed", "\t- : :", "\x00"])
def test_a_file_that_is_no_yaml_is_refused(tmp_path: Path, text: str) -> None:
    path = write_study(tmp_path)
    path.write_text(text, encoding="utf-8")

    with pytest.raises(UnreadableStudy):
        read_study(path)


def test_a_file_without_keys_is_refused(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    path.write_text("just words", encoding="utf-8")

    with pytest.raises(InvalidStudy):
        read_study(path)


def test_a_layer_or_neuron_that_the_subject_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayerOutOfRange, match=r"Layer 6 does not exist: bundled has 6 layers, 0 to 5"):
        study(tmp_path, layers=[0, 6])
    with pytest.raises(NeuronOutOfRange, match=r"L0N768"):
        study(tmp_path, neurons=[768])
    with pytest.raises(NeuronOutOfRange):
        study(tmp_path).check_neuron(NeuronId(5, 768))


def test_a_smaller_choice_of_neurons_is_part_of_a_larger_one(tmp_path: Path) -> None:
    found = study(tmp_path)

    assert len(found.neuron_indices(2)) == 3
    assert set(found.neuron_indices(2)) < set(found.neuron_indices(2, 50))
    assert found.neuron_indices(2, "all") == tuple(range(768))
    assert found.neuron_indices(2) != found.neuron_indices(3)


@pytest.mark.parametrize(
    ("text", "layers"), [("0-5", (0, 1, 2, 3, 4, 5)), ("3", (3,)), ("0,2,7-9", (0, 2, 7, 8, 9)), ("L01-L03", (1, 2, 3))]
)
def test_layers_are_read_as_people_write_them(text: str, layers: tuple[int, ...]) -> None:
    assert parse_layers(text) == layers


@pytest.mark.parametrize("text", ["", "a", "3-1", "1-", "-1", "1..3"])
def test_other_layers_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no layer"):
        parse_layers(text)


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"layers": [1]}, set()),
        ({"neurons": "all"}, set()),
        ({"description": "other", "owners": ["team:safety"]}, set()),
        (
            {"scoring": {"top": 3, "random": 3, "draws": 200}},
            {"scores", "metrics", "layer_summary", "trends", "comparison", *FINAL},
        ),
        (
            {"activations": {"output_side": False}},
            set(list(INPUTS)[2:-1])
            - {"explanations", "counterexamples", "revised_explanations", "meanings"}
            - {"candidates", "simulations", "judgements", "labels"},
        ),
        (
            {"explainer": {"provider": "rules", "n_rules": 3}},
            set(list(INPUTS)[3:-1]) - {"token_index", "labels"},
        ),
        ({"activations": {"sampled_tokens": 64}}, set(list(INPUTS)[1:-1]) - {"labels"}),
        ({"corpus": CORPUS | {"seed": 1}}, set(INPUTS) - {"spending", "labels"}),
    ],
)
def test_a_field_changes_the_lineage_of_what_hangs_on_it_only(
    tmp_path: Path, changes: dict[str, object], changed: set[str]
) -> None:
    before, after = lineages(study(tmp_path / "a")), lineages(study(tmp_path / "b", **changes))

    assert changed == {table for table in INPUTS if before[table] != after[table]}


def test_layers_may_be_written_as_a_range(tmp_path: Path) -> None:
    assert study(tmp_path, layers="1-3").layer_indices == (1, 2, 3)


def test_another_text_of_written_explanations_is_another_explainer(tmp_path: Path) -> None:
    changes = {"explainer": {"provider": "written", "file": "texts.yaml"}}
    identities = []
    for text in ("L0N1: one", "L0N1: two"):
        path = write_study(tmp_path, **changes)
        (path.parent / "texts.yaml").write_text(text, encoding="utf-8")
        identities.append(read_study(path).explainer_identity)

    assert identities[0] != identities[1]


def test_a_key_that_stands_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    path.write_text(path.read_text(encoding="utf-8") + "scoring: {top: 2}\n", encoding="utf-8")

    with pytest.raises(UnreadableStudy, match=r"'scoring' stands twice.* line"):
        read_study(path)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("L9N1: it", LayerOutOfRange, "Layer 9 does not exist"),
        ("L0N5000: it", NeuronOutOfRange, "L0N5000 does not exist"),
        ("first: it", UnreadableStudy, "'first' is no neuron"),
        ("L0N1: it\nL0N1: that", UnreadableStudy, "stands twice"),
        ("L0N1: ''", UnreadableStudy, "L0N1 must have a text"),
        ("- L0N1", UnreadableStudy, "must hold a neuron"),
    ],
)
def test_written_explanations_of_what_does_not_exist_are_refused(
    tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    path = write_study(tmp_path, explainer={"provider": "written", "file": "texts.yaml"})
    (path.parent / "texts.yaml").write_text(text, encoding="utf-8")

    with (
        pytest.raises(error, match=message),
        open_explainer(read_study(path), RequestDesk(""), Errand("explanations", 0, None)),
    ):
        pass


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"explainr": {"provider": "rules"}}, "did you mean `explainer`?"),
        ({"units": {"provider": "directions", "file": "nowhere.safetensors"}}, "the file does not exist"),
        ({"units": {"provider": "sparse_autoencoders", "folder": "odd"}}, "says `architecture: odd`"),
    ],
)
def test_a_study_that_cannot_be_read_is_shown_with_its_reason(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    path = write_study(tmp_path, "broken", **changes)
    odd = written_config(4, 5, "blocks.0.hook_resid_pre", architecture="odd")
    write_autoencoder(path.parent / "odd" / "layer_0", odd, {})
    graph = build_definitions(Project.from_environment({}, tmp_path)).resolve_asset_graph()
    shown = graph.get(dg.AssetKey(["broken", "unreadable_study"]))

    assert reason in str(shown.description)
    assert dg.AssetKey(["bundled", "scores"]) in graph.get_all_asset_keys()


def test_the_catalog_names_the_weights_that_are_shipped() -> None:
    folder = BUNDLED_STUDIES.parent / "subjects" / "bundled"
    found = [
        hashlib.sha256((folder / name).read_bytes()).hexdigest()[:12]
        for name in ("model.safetensors", "tokenizer.json")
    ]

    assert found == [SHIPPED["bundled"].weights, TOKENIZER]


def test_studies_are_found_in_the_project_and_in_the_named_folders(tmp_path: Path) -> None:
    write_study(tmp_path / "home", "mine")
    write_study(tmp_path / "more", "theirs")
    write_study(tmp_path / "home", "Bad-Name")
    environment = {
        "DAGSTER_HOME": str(tmp_path / "home" / "dagster_home"),
        "NEURON_ASSETS_STUDIES": str(tmp_path / "more" / "studies"),
    }
    project = Project.from_environment(environment, tmp_path)

    assert {"bundled", "bundled_untrained", "planted", "mine", "theirs"} == set(project.study_files())
    assert str(tmp_path / "home" / "data") == project.tables
    assert (
        Project.from_environment({"NEURON_ASSETS_DATA": "s3://bucket/neurons"}, tmp_path).tables
        == "s3://bucket/neurons"
    )


def test_the_project_is_found_from_a_folder_within_it(tmp_path: Path) -> None:
    (tmp_path / "dagster_home").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)

    assert tmp_path / "dagster_home" == Project.from_environment({}, tmp_path / "a" / "b").dagster_home
