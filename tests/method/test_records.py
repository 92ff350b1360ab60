"""Facts on how a neuron is named."""

import pytest

from neuron_assets.method.records import NeuronId


@pytest.mark.parametrize(
    "spelling",
    [
        "L5N131",
        " l5n131 ",
        "5.131",
        "5/131",
        "L5.131",
        "blocks.5.mlp.hook_post:131",
        "blocks.5.mlp.hook_post.131",
        "transformer.h.5.mlp.c_proj:131",
        "model.layers.5.mlp.down_proj[131]",
        "gpt_neox.layers.5.mlp.dense_4h_to_h.131",
        "transformer.h.5.mlp.fc_out:131",
        "model.layers.5.mlp.fc2:131",
        "model.decoder.layers.5.fc2:131",
        "transformer.blocks.5.ffn.down_proj:131",
    ],
)
def test_a_neuron_is_written_in_many_ways_and_printed_in_one(spelling: str) -> None:
    assert str(NeuronId.parse(spelling)) == "L5N131"


@pytest.mark.parametrize(
    "spelling",
    [
        "",
        "third",
        "5",
        "5.131.2",
        "L\N{ARABIC-INDIC DIGIT FIVE}N131",
        "L5N131N2",
        "blocks.5.attn.hook_z:131",
        "blocks.5.mlp.hook_pre:131",
        "transformer.h.5.attn.c_proj:131",
        "model.layers.5.mlp.up_proj:131",
        "model.layers.5.mlp.down_proj",
        "model.layers.5.mlp.down_proj[131",
        "model.layers.5.mlp.down_proj:131]",
        "5.mlp.down_proj:131",
    ],
)
def test_what_names_no_neuron_is_refused(spelling: str) -> None:
    with pytest.raises(ValueError, match="is no neuron; write it like L3N307"):
        NeuronId.parse(spelling)
