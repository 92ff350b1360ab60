"""Whatever is changed of a model is seen by the tables that it makes, or stands here with the reason why not."""

from pathlib import Path

import pytest

from neuron_assets.lineage import lineages
from neuron_assets.study import Study, read_study
from tests.scenario import write_study

OTHER: dict[str, object] = {
    "model": "parrot-2",
    "base_url": "http://127.0.0.1:10/v1",
    "api_key_env": "OTHER_KEY",
    "context_length": 4096,
    "api": "completions",
    "temperature": 0.5,
    "top_p": 0.5,
    "seed": 7,
    "structured": "none",
    "parameters": {"reasoning_effort": "low"},
    "room_to_think": 7,
    "asks": 7,
    "revision": "main",
    "dtype": "bfloat16",
    "device": "cpu",
    "layout": "highlighted",
    "shown_top": 3,
    "shown_random": 3,
    "samples": 3,
    "shown_output_side": 3,
    "method": "logprobs",
}
"""Of each field another value than its default."""

IN_NO_LINEAGE = {
    "provider": "another provider is another section",
    "base_url": "who answers is observed, and its address with it",
    "api_key_env": "a key changes no answer",
    "context_length": "it is checked, not sent",
    "device": "it changes no more than rounding",
}
HOSTED = {"provider": "openai_compatible", "model": "parrot", "base_url": "http://127.0.0.1:9/v1"}
LOCAL = {"provider": "local", "model": "parrot"}
NO_JSON = {"structured": "the reply is no JSON"}

ROLES = [
    pytest.param("explainer", HOSTED, IN_NO_LINEAGE | NO_JSON, id="hosted explainer"),
    pytest.param("explainer", LOCAL, IN_NO_LINEAGE, id="local explainer"),
    pytest.param("simulator", HOSTED, IN_NO_LINEAGE, id="hosted simulator, json"),
    pytest.param("simulator", {**HOSTED, "method": "logprobs"}, IN_NO_LINEAGE | NO_JSON, id="hosted, logprobs"),
    pytest.param("simulator", LOCAL, IN_NO_LINEAGE, id="local simulator"),
]


def study(root: Path, role: str, section: dict[str, object]) -> Study:
    return read_study(write_study(root, **{role: section}))


@pytest.mark.parametrize(("role", "section", "exceptions"), ROLES)
def test_each_field_of_a_model_is_in_the_lineage_or_has_a_reason_not_to_be(
    tmp_path: Path, role: str, section: dict[str, object], exceptions: dict[str, str]
) -> None:
    table = {"explainer": "explanations", "simulator": "simulations"}[role]
    fields = set(type(getattr(study(tmp_path, role, section), role)).model_fields)
    before = lineages(study(tmp_path, role, section))[table]
    seen = {
        name
        for name in fields & OTHER.keys()
        if before != lineages(study(tmp_path, role, changed(section, name)))[table]
    }

    assert seen == fields - exceptions.keys()


def changed(section: dict[str, object], name: str) -> dict[str, object]:
    """The section with another value of the field: the other one, or the default where that stands there."""
    if section.get(name) == OTHER[name]:
        return {key: value for key, value in section.items() if key != name}
    return {**section, name: OTHER[name]}
