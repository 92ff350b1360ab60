"""Facts on opening models: what is read, and what is refused, each with its reason."""

import json
import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from neuron_assets.assets.forward_pass import Speed
from neuron_assets.errors import SubjectMismatch, SubjectOfExperts, UnusableSubject
from neuron_assets.subjects.hooked import HookedSubject
from neuron_assets.subjects.hugging_face import DType, Source, open_hugging_face, open_hugging_face_pieces
from neuron_assets.subjects.subject import check_sizes
from tests.subjects.small_models import (
    BEGINNING,
    byte_level,
    marked_spaces,
    small_config,
    small_model,
    write_model,
)

COMMIT = "0" * 40


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("llama"), small_model(small_config("llama")), marked_spaces())


@pytest.fixture
def folder(llama: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    for file in llama.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def opened(folder: Path, *, dtype: DType = "float32", device: str = "cpu") -> HookedSubject:
    return open_hugging_face(Source("mine", str(folder)), dtype=dtype, device=device)


def change(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def only_a_pickle(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")


def one_weight_less(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.down_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def one_layer_more(folder: Path) -> None:
    change(folder / "config.json", num_hidden_layers=3)


def one_weight_wider(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.mlp.down_proj.weight"] = torch.zeros(32, 50)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def of_other_sizes(folder: Path) -> None:
    change(folder / "config.json", hidden_size="wide")


def of_another_dtype(folder: Path) -> None:
    change(folder / "config.json", dtype="float31")


def of_another_activation(folder: Path) -> None:
    change(folder / "config.json", hidden_act="wavy")


def an_adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "some/llama"}', encoding="utf-8")


def half_of_a_pair(folder: Path) -> None:
    change(folder / "config.json", model_type="trocr")


def cut_short(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def code_of_its_own(folder: Path) -> None:
    change(folder / "config.json", model_type="evil", auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"})
    change(folder / "tokenizer_config.json", tokenizer_class="Evil", auto_map={"AutoTokenizer": ["evil.A", "evil.B"]})
    ran = f"from pathlib import Path\nPath({str(folder / 'it_ran')!r}).touch()\n"
    (folder / "evil.py").write_text(ran, encoding="utf-8")


def quantised(folder: Path) -> None:
    change(folder / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})


def no_language_model(folder: Path) -> None:
    change(folder / "config.json", model_type="vit")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (without("model.safetensors"), "no file named model.safetensors"),
        (only_a_pickle, "no file named model.safetensors"),
        (one_weight_less, "its files lack 1 of its weights, layers.1.mlp.down_proj.weight first"),
        (one_layer_more, "its files lack 9 of its weights"),
        (
            one_weight_wider,
            r"1 of its weights .*: layers.0.mlp.down_proj.weight is \[32, 50\], its config.json asks for \[32, 48\]",
        ),
        (of_other_sizes, "Validation error for field 'hidden_size': TypeError: Field 'hidden_size' expected int"),
        (of_another_dtype, "float31"),
        (of_another_activation, "the library knows no 'wavy'"),
        (an_adapter, "it is an adapter of another model"),
        (half_of_a_pair, "a trocr model is no causal language model"),
        (cut_short, "[Hh]eader|incomplete|[Ss]afetensors"),
        (without("config.json"), "config.json|model_type"),
        (without("tokenizer.json"), "[Tt]okenizer"),
        (code_of_its_own, "custom code"),
        (quantised, "its weights are quantised"),
        (no_language_model, "a vit model is no causal language model"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason(
    folder: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(folder)

    with pytest.raises(UnusableSubject, match=f"The subject mine cannot be used: .*({reason})"):
        opened(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableSubject, match=r"The subject mine cannot be used: there is no folder .*nowhere"):
        opened(tmp_path / "nowhere")


def test_experts_are_refused_before_any_weight_is_read(tmp_path: Path) -> None:
    write_model(tmp_path, small_model(small_config("mixtral")), byte_level())
    (tmp_path / "model.safetensors").unlink()

    with pytest.raises(SubjectOfExperts):
        opened(tmp_path)


def test_a_device_that_is_not_there_is_refused(llama: Path) -> None:
    for device in ("cuda:97", "abacus"):
        with pytest.raises(UnusableSubject, match=f"device {device} .* Mend `device` in the run config"):
            opened(llama, device=device)


def test_the_run_config_takes_only_what_may_be_a_device() -> None:
    for device in ("auto", "cpu", "mps", "cuda", "cuda:1", "cuda:all"):
        assert Speed(device=device).device == device
    for device in ("abacus", "cuda:", "cuda:-1", "cpu\n"):
        with pytest.raises(ValidationError, match="device"):
            Speed(device=device)


def test_several_gpus_need_accelerate_and_say_so(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuron_assets.subjects.hugging_face.find_spec", lambda _name: None)

    with pytest.raises(UnusableSubject, match=r"pip install 'neuron-assets\[gpu\]'"):
        opened(llama, device="cuda:all")


@pytest.mark.parametrize(("dtype", "expected"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_weights_are_opened_as_the_study_says(llama: Path, dtype: DType, expected: torch.dtype) -> None:
    subject = opened(llama, dtype=dtype)

    assert {weight.dtype for weight in subject._base.parameters()} == {expected}
    assert not any(weight.requires_grad for weight in subject._base.parameters())
    assert not subject._base.training


@pytest.mark.parametrize(("family", "expected"), [("llama", "sdpa"), ("gpt_neo", "eager")])
def test_attention_is_the_fast_one_where_the_family_has_it(family: str, expected: str, tmp_path: Path) -> None:
    write_model(tmp_path, small_model(small_config(family)), byte_level())
    change(tmp_path / "config.json", _attn_implementation="flex_attention", attn_implementation="flex_attention")

    assert opened(tmp_path)._base.config._attn_implementation == expected


def test_other_sizes_than_the_studys_are_refused(llama: Path) -> None:
    with pytest.raises(SubjectMismatch, match="mine has 48 neurons a layer, the study says 64"):
        check_sizes(opened(llama), n_layers=2, n_neurons=64)


def test_a_wrapper_that_sees_pictures_is_heard_where_it_reads(tmp_path: Path) -> None:
    text = small_config("gemma3_text").to_dict()
    vision = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = small_config("gemma3", text_config=text, vision_config=vision | {"image_size": 28, "patch_size": 14})
    write_model(tmp_path, small_model(config), byte_level())

    subject = opened(tmp_path)

    assert (subject.n_layers, subject.n_neurons) == (2, 48)
    assert type(subject._base).__name__ == "Gemma3TextModel"


@pytest.fixture
def hub(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The library's cache, with one commit of one repository in it; nothing else of the hub can be reached."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    shutil.copytree(llama, tmp_path / "models--some--llama/snapshots" / COMMIT)
    return tmp_path


def test_a_repository_is_opened_at_its_commit_and_at_no_other(hub: Path) -> None:
    subject = open_hugging_face(Source("some/llama", "some/llama", COMMIT), device="cpu")

    assert (subject.n_layers, subject.n_neurons) == (2, 48)
    with pytest.raises(UnusableSubject):
        open_hugging_face(Source("some/llama", "some/llama", "1" * 40), device="cpu")


def test_a_folder_of_a_repositorys_name_does_not_stand_in_for_it(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (hub / "here" / "some" / "llama").mkdir(parents=True)
    monkeypatch.chdir(hub / "here")

    with pytest.raises(UnusableSubject, match=r"here/some/llama has the name of the repository .* name the folder as"):
        open_hugging_face(Source("some/llama", "some/llama", COMMIT), device="cpu")


def test_opening_shows_no_bar_of_the_librarys_own(llama: Path, capfd: pytest.CaptureFixture[str]) -> None:
    opened(llama)

    assert capfd.readouterr().err == ""


def test_it_reads_without_its_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()

    pieces = open_hugging_face_pieces(Source("mine", str(folder)))

    assert pieces.text(pieces.tokenize("The cat\n sat")) == " The cat\n sat"
    assert BEGINNING not in pieces.token_strings(pieces.tokenize(f"a{BEGINNING}b"))


def test_code_beside_a_model_is_not_run_even_on_yes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code_of_its_own(folder)
    monkeypatch.setattr("sys.stdin", StringIO("y\n" * 9))

    for opening in (lambda: opened(folder), lambda: open_hugging_face_pieces(Source("mine", str(folder)))):
        with pytest.raises(UnusableSubject, match="custom code"):
            opening()

    assert not (folder / "it_ran").exists()
    assert "[y/N]" not in "".join(capfd.readouterr())
