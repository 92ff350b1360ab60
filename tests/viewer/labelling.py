"""A project that people may write into, asked by its forms.

Here: the project, and what stands on a page. Not here: what must be so (`test_label_page.py`, `test_simulate_page.py`).
"""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from starlette.testclient import TestClient

from neuron_assets.method.records import NeuronId
from neuron_assets.project import Project
from neuron_assets.tables.label_store import Kept, LabelStore
from neuron_assets.tables.parquet import read_facts, read_table, write_table
from neuron_assets.viewer.app import create_app
from neuron_assets.viewer.excerpts import shown
from neuron_assets.viewer.shelf import OpenStudy, Shelf
from neuron_assets.viewer.torn_tokens import whole_tokens

if TYPE_CHECKING:
    from httpx2 import Response

HERE = "http://127.0.0.1:8787"


@dataclass(frozen=True)
class Asked:
    """One neuron of the study `tiny`, and whom to ask for its pages."""

    project: Project
    neuron: NeuronId
    client: TestClient

    @property
    def study(self) -> OpenStudy:
        return Shelf(self.project).study("tiny")

    @property
    def kept(self) -> Kept:
        return LabelStore(self.study.store, "tiny").of_neuron(self.neuron)

    def files(self) -> dict[Path, bytes]:
        """All that people wrote, by file."""
        root = Path(self.project.tables) / "tiny" / "labels"
        return {path: path.read_bytes() for path in root.rglob("*.json")}

    def get(self, below: str) -> "Response":
        return self.client.get(f"/tiny/{self.neuron.layer_index}/{self.neuron.neuron_index}/{below}")

    def post(self, below: str, form: Mapping[str, str], **headers: str) -> "Response":
        address = f"/tiny/{self.neuron.layer_index}/{self.neuron.neuron_index}/{below}"
        return self.client.post(address, data=form, headers={"Origin": HERE} | headers)

    def drawn(self, pool: str, *, by_token: bool = False) -> set[str]:
        """The neuron's excerpts of a pool as heat-maps draw them, or token by token, but for white space."""
        rows = self.study.rows("activations", self.neuron)
        assert rows is not None
        indices = rows.filter((pl.col("split") == pool) & (pl.col("kind") != "natural"))["excerpt_index"].unique()
        texts = self.study.excerpts(indices.to_list(), ("excerpt_index", "tokens"))["tokens"]
        torn = [tokens if by_token else [text for text, _ in whole_tokens(tokens)] for tokens in texts]
        return {squeezed("".join(shown(tokens))) for tokens in torn}

    def candidates(self) -> pl.DataFrame:
        rows = self.study.rows("candidates", self.neuron)
        assert rows is not None
        return rows

    def cut_anew(self) -> None:
        """The corpus, under activations that are of the old one."""
        path = self.study.store.path("tiny", "excerpts")
        facts = read_facts(path)
        write_table(path, read_table(path, "excerpts").with_columns(pl.col("document") + "!"), facts)


def asked_in(root: Path, neuron: tuple[int, int]) -> Asked:
    project = Project.from_environment({}, root)
    client = TestClient(create_app(project), base_url=HERE, follow_redirects=False)
    return Asked(project, NeuronId(*neuron), client)


def squeezed(text: str) -> str:
    """Without white space."""
    return re.sub(r"\s", "", text)


def read(page: "Response") -> str:
    """What a person reads on it: no tags, no colours, no entities."""
    return html.unescape(re.sub(r"<[^>]*>", "", page.text))


def fields(page: "Response") -> dict[str, str]:
    """The form that marks or writes, as a browser would send it."""
    form = re.search(r'<form class="(?:marking|write)".*?</form>', page.text, re.DOTALL)
    assert form is not None
    tags = re.findall(r"<input([^>]*)>", form[0])
    found = {}
    for tag in tags:
        known = {name: html.unescape(value) for name, value in re.findall(r'(\w+)="([^"]*)"', tag)}
        if known.get("type") != "checkbox" or tag.endswith(" checked"):
            found[known["name"]] = known.get("value", "on")
    return found
