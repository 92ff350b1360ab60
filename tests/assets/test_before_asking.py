"""What a study lacks for asking is told before anything long or dear is done; looks at who answers are booked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from neuron_assets.assets.specs import asset_key
from neuron_assets.assets.spending import spending_of
from neuron_assets.assets.study_component import build_study, table_resources
from neuron_assets.errors import KeyMissing, ModelWithoutPrice
from neuron_assets.project import Project
from neuron_assets.running import Wanted, materialize
from neuron_assets.study import Study
from tests.language_models.misbehaving_server import MODEL, MisbehavingServer
from tests.polite_server import asking, is_a_probe, polite_server
from tests.scenario import make_project

pytestmark = pytest.mark.slow

PRICES = {MODEL: {"tokens_in": 2.0, "tokens_out": 8.0}}
LAYER = "L01"


@pytest.fixture(scope="module")
def server() -> Iterator[MisbehavingServer]:
    with polite_server() as found:
        yield found


def make(project: Project, study: Study) -> None:
    resources: Any = table_resources(project.tables, project.requests)
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        materialize(Wanted(study, (1,)), instance, resources, lambda _run: None)


def make_in_one_run(project: Project, study: Study, *tables: str) -> bool:
    """As from the UI; says whether all of it was made."""
    assets: Any = build_study(study).assets
    resources: Any = table_resources(project.tables, project.requests)
    selection = dg.AssetSelection.assets(*(asset_key(study, table) for table in tables))
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        return dg.materialize(
            assets,
            selection=selection,
            instance=instance,
            resources=resources,
            partition_key=None if tables == ("excerpts",) else LAYER,
        ).success


def there(project: Project) -> set[str]:
    """The tables that were made."""
    return {path.relative_to(project.tables).parts[1] for path in Path(project.tables).rglob("*.parquet")}


def test_a_budget_in_dollars_needs_the_price_of_the_model_before_the_first_question(
    tmp_path: Path, server: MisbehavingServer
) -> None:
    server.bodies.clear()
    project, study = make_project(tmp_path, **asking(server.url, budget={"money": 5}))
    with pytest.raises(ModelWithoutPrice, match=f"nobody knows what {MODEL}@.* costs. Add `{MODEL}` under `prices`"):
        make(project, study)

    assert [is_a_probe(body) for body in server.bodies] == [True]
    assert there(project) == set()

    project, study = make_project(tmp_path, **asking(server.url, budget={"money": 5}, prices=PRICES))
    desk: Any = table_resources(project.tables, project.requests)["desk"]

    assert MODEL in desk.explainer(study)


def test_looks_at_who_answers_are_in_the_ledger(tmp_path: Path, server: MisbehavingServer) -> None:
    server.bodies.clear()
    project, study = make_project(tmp_path, **asking(server.url, prices=PRICES))
    desk: Any = table_resources(project.tables, project.requests)["desk"]
    desk.explainer(study)
    desk.simulator(study)
    (row,) = spending_of(study, project.requests)

    assert (row.asset, row.layer_index, row.requests) == ("observation", None, server.n_requests)
    assert row.tokens_in > 0
    assert row.money is not None


@pytest.mark.parametrize("role", ["explainer", "simulator"])
def test_a_missing_key_is_told_before_the_forward_pass(tmp_path: Path, role: str) -> None:
    hosted = {"provider": "openai_compatible", "model": MODEL, "base_url": "http://127.0.0.1:9/v1"}
    project, study = make_project(tmp_path, **{role: hosted | {"api_key_env": "NO_SUCH_KEY"}})
    with pytest.raises(KeyMissing, match="NO_SUCH_KEY"):
        make(project, study)

    assert there(project) == set()

    make_in_one_run(project, study, "excerpts")
    table = {"explainer": "explanations", "simulator": "simulations"}[role]
    with pytest.raises(KeyMissing, match="NO_SUCH_KEY"):
        make_in_one_run(project, study, "activations", "neuron_statistics", "explanations", "candidates", table)

    assert there(project) == {"excerpts.parquet"}
    assert make_in_one_run(project, study, "activations", "neuron_statistics")
