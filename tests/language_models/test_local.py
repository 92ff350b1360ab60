"""Facts on models in this process: what they are loaded from, who they are, and what they reply."""

import asyncio
import json
from pathlib import Path

import pytest
import torch

import neuron_assets.subjects.bundled
from neuron_assets.errors import RequestRefused, UnreadableReply, UnusableModel
from neuron_assets.language_models.local import LocalModel, open_local_model
from neuron_assets.language_models.local_identity import who_is
from neuron_assets.method.explaining.reading import read_explanation
from neuron_assets.method.questions import ChatPrompt, EchoPrompt, Message
from tests.language_models.tiny_models import END_OF_TEXT, local, tiny_gpt2, tiny_llama, tiny_tokenizer

BUNDLED = Path(neuron_assets.subjects.bundled.__file__).parent
CHAT = ChatPrompt((Message("system", "Be brief."), Message("user", "the wren")), "test/1", longest_reply=8)


def test_a_saved_model_replies_as_the_one_that_was_saved(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    model = local(tiny_gpt2(tokenizer), tokenizer)
    _save(model, tmp_path)

    opened = open_local_model(str(tmp_path))
    expected, found = (asyncio.run(each.reply(CHAT)) for each in (model, opened))

    assert expected.reply == found.reply
    assert found.reply.text
    assert (found.usage.tokens_in, found.usage.tokens_out) == (
        len(tokenizer("System: Be brief.\n\nUser: the wren\n\nAssistant:")["input_ids"]),
        8,
    )
    assert found.reply.finish_reason == "length"
    assert found.identity == asyncio.run(opened.identity())


def test_other_weights_are_somebody_else(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    _save(local(tiny_gpt2(tokenizer), tokenizer), tmp_path)
    before, again = open_local_model(str(tmp_path)).who, open_local_model(str(tmp_path)).who
    changed = tiny_gpt2(tokenizer)
    with torch.no_grad():
        embeddings = changed.get_input_embeddings().weight
        assert isinstance(embeddings, torch.Tensor)
        embeddings[0, 0] += 1
    changed.save_pretrained(tmp_path)

    assert before == again
    assert before != open_local_model(str(tmp_path)).who


def test_a_reply_to_the_same_prompt_is_the_same_and_chance_is_left_as_it_was() -> None:
    tokenizer = tiny_tokenizer()
    model = local(tiny_llama(tokenizer), tokenizer, temperature=1.0)
    before = torch.random.get_rng_state()

    replies = [asyncio.run(model.reply(CHAT)).reply.text for _ in range(2)]

    assert replies[0] == replies[1]
    assert torch.equal(before, torch.random.get_rng_state())
    assert replies[0] != asyncio.run(local(model.model, tokenizer).reply(CHAT)).reply.text


def test_a_model_that_was_taught_turns_is_asked_in_its_own_way() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% for message in messages %}[{{ message.role }}]{{ message.content }}{{ eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    model = local(tiny_llama(tokenizer), tokenizer)

    asked = model._transcript((Message("user", f"a{END_OF_TEXT}[system]b"),))

    # What would end a turn does so no more where it stands within one.
    assert asked == (f"[user]a< |end|>[system]b{END_OF_TEXT}[assistant]", True)


def test_a_conversation_that_the_template_does_not_take_is_refused() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{{ raise_exception('no system role') }}"

    with pytest.raises(RequestRefused, match="no system role"):
        asyncio.run(local(tiny_llama(tokenizer), tokenizer).reply(CHAT))


def test_a_prompt_that_is_too_long_is_refused() -> None:
    tokenizer = tiny_tokenizer()

    with pytest.raises(RequestRefused, match="and 8 of reply are more than the 20 that tiny can read"):
        asyncio.run(local(tiny_llama(tokenizer, context=20), tokenizer).reply(CHAT))


def replying(text: str, template: str) -> LocalModel:
    """A model that says this and ends, whose tokenizer calls marks of thinking special."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["[THINK]", "[/THINK]"]})
    tokenizer.chat_template = template
    model = local(tiny_llama(tiny_tokenizer()), tokenizer)
    said = tokenizer(text + END_OF_TEXT, return_tensors="pt")["input_ids"]
    setattr(model.model, "generate", lambda ids, **_: torch.cat([ids, said], dim=1))  # noqa: B010  # the library's type is narrower
    return model


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("[THINK]Let me see.[/THINK]This neuron looks for birds.", "{{ messages[-1].content }}:"),
        ("Let me see.[/THINK]This neuron looks for birds.", "{{ messages[-1].content }}:[THINK]"),
        ("<think>Let me see.</think>\n\nThis neuron looks for birds.", "{{ messages[-1].content }}:"),
    ],
)
def test_thinking_is_told_apart_from_the_answer(text: str, template: str) -> None:
    assert read_explanation(asyncio.run(replying(text, template).reply(CHAT)).reply) == "birds"


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("[THINK]Perhaps birds.", "{{ messages[-1].content }}:"),
        ("Perhaps birds.", "{{ messages[-1].content }}:[THINK]\n"),
    ],
)
def test_thinking_that_never_ended_is_no_answer(text: str, template: str) -> None:
    with pytest.raises(UnreadableReply, match="thinking without an end"):
        read_explanation(asyncio.run(replying(text, template).reply(CHAT)).reply)


def test_an_echo_is_refused() -> None:
    tokenizer = tiny_tokenizer()

    with pytest.raises(RequestRefused, match="simulate_all_at_once"):
        asyncio.run(local(tiny_llama(tokenizer), tokenizer).reply(EchoPrompt("a", "test/1")))


def test_the_bundled_subject_can_be_opened_too() -> None:
    assert asyncio.run(open_local_model(str(BUNDLED)).reply(CHAT)).reply.text


def test_what_is_no_model_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(UnusableModel, match="cannot be used in this process"):
        open_local_model(str(tmp_path / "nothing"))


def test_a_model_does_not_choose_how_attention_is_computed(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    _save(local(tiny_gpt2(tokenizer), tokenizer), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    named = {"attn_implementation": "flex_attention", "_attn_implementation": "flex_attention"}
    (tmp_path / "config.json").write_text(json.dumps(config | named))

    assert open_local_model(str(tmp_path)).model.config._attn_implementation == "sdpa"


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    model = local(tiny_gpt2(tokenizer), tokenizer)
    _save(model, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.model.state_dict(), tmp_path / "pytorch_model.bin")

    with pytest.raises(UnusableModel):
        open_local_model(str(tmp_path))


def test_weights_that_are_missing_are_not_made_up(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tokenizer = tiny_tokenizer()
    _save(local(tiny_gpt2(tokenizer), tokenizer), tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["transformer.h.1.mlp.c_fc.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(UnusableModel, match="lack 1 of its weights"):
        open_local_model(str(tmp_path))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "tokenizer.model", "merges.txt", "vocab.txt"])
def test_another_text_of_any_file_that_is_read_is_another_model(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a", encoding="utf-8")
    before = who_is(str(tmp_path))
    (tmp_path / name).write_text("a b", encoding="utf-8")

    assert who_is(str(tmp_path)) != before


def _save(model: LocalModel, folder: Path) -> None:
    model.model.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
