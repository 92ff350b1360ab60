"""Facts on explainers that are told what a neuron makes the model say."""

from pathlib import Path

import polars as pl
import pytest

from neuron_assets.errors import InvalidStudy
from neuron_assets.lineage import inputs_of, lineages
from neuron_assets.method.fencing import escaped
from tests.polite_server import asking, is_a_probe, is_about_simulating, polite_server
from tests.scenario import make_project
from tests.served_tables import make, read

pytestmark = pytest.mark.slow

N_TOLD = 3


def test_each_neuron_is_told_of_with_its_own_tokens_and_nothing_else_changes(tmp_path: Path) -> None:
    with polite_server() as server:
        sections = asking(server.url)
        project, plain = make_project(tmp_path, **sections)
        explainer = {**dict(sections["explainer"]), "shown_output_side": N_TOLD}  # type: ignore[call-overload]
        _, told = make_project(tmp_path, **sections | {"explainer": explainer})
        make(project, told)
        questions = [body for body in server.bodies if not is_a_probe(body) and not is_about_simulating(body)]

    statistics = read(project, "neuron_statistics")
    explained = read(project, "explanations").select("layer_index", "neuron_index")
    sides = explained.join(statistics, on=explained.columns, maintain_order="left")
    said = [
        "\n".join(
            line
            for title, tokens in (("More likely next:", row["pushes_up"]), ("Less likely next:", row["pushes_down"]))
            for line in (title, "<start>", *map(escaped, tokens[:N_TOLD]), "<end>")
        )
        for row in sides.to_dicts()
    ]
    shown = [body["messages"][-1]["content"] for body in questions]

    assert len(said) == len(shown) == 6
    assert all(sum(side in text for text in shown) == 1 for side in said)
    assert "neuron_statistics" in inputs_of(told, "explanations")
    assert "neuron_statistics" not in inputs_of(plain, "explanations")
    assert lineages(plain)["explanations"] != lineages(told)["explanations"]
    assert lineages(plain)["neuron_statistics"] == lineages(told)["neuron_statistics"]
    assert sides.filter(pl.col("pushes_up").is_null()).is_empty()


def test_what_is_not_kept_cannot_be_told(tmp_path: Path) -> None:
    hosted = dict(asking("http://127.0.0.1:1/v1")["explainer"])  # type: ignore[call-overload]
    with pytest.raises(InvalidStudy, match=r"activations\.output_side"):
        make_project(tmp_path, explainer=hosted | {"shown_output_side": 2}, activations={"output_side": False})
