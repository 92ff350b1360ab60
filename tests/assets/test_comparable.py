"""Facts on which studies may be compared: what has to be the same, and what may differ."""

from pathlib import Path

import pytest

from neuron_assets.assets.specs import asset_key
from neuron_assets.comparable import refuse_others
from neuron_assets.errors import InvalidStudy, NotComparable
from neuron_assets.lineage import tables_of
from neuron_assets.project import BUNDLED_STUDIES
from neuron_assets.study import read_study
from tests.assets.compared_studies import HOSTED, SCORING, SHORT, study_of
from tests.scenario import STUDY, assets_of

pytestmark = pytest.mark.slow


def test_the_bundled_study_and_its_twin_have_different_subjects() -> None:
    study, twin = (read_study(BUNDLED_STUDIES / name / "study.yaml") for name in ("bundled", "bundled_untrained"))

    with pytest.raises(NotComparable, match=r"subject\.provider: bundled and bundled_untrained"):
        refuse_others(study, twin)
    refuse_others(study, study.model_copy(update={"name": "again"}))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"corpus": {**dict(STUDY["corpus"]), "seed": 3}}, "corpus.seed: 0 and 3"),  # type: ignore[call-overload]
        ({"splits": {"valid": {"top": 4, "random": 5}}}, "splits.valid.top: 5 and 4"),
        ({"scoring": {**SCORING, "top": 2}}, "scoring.top: 3 and 2"),
        ({"scoring": {**SCORING, "calibration": "percentile"}}, "scoring.calibration: linear and percentile"),
        ({"units": {"signed": True}}, "units"),
        ({"activations": {"seed": 2}}, "activations.seed: 0 and 2"),
    ],
)
def test_what_is_not_the_same_is_named(tmp_path: Path, changes: dict[str, object], field: str) -> None:
    with pytest.raises(NotComparable) as caught:
        refuse_others(study_of(tmp_path, "one"), study_of(tmp_path, "other", **changes))

    assert f"\n  - {field}" in str(caught.value)
    assert "other cannot be compared with one" in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"explainer": SHORT},
        {"explainer": HOSTED, "simulator": HOSTED},
        {"explainer": {**HOSTED, "layout": "highlighted", "shown_top": 3}},
        {"neurons": {"per_layer": 9}, "layers": [2]},
        {"scoring": {**SCORING, "draws": 500, "scorers": ["simulation"], "calibration": "percentile"}},
        {"controls": {"shuffled": False}, "revision": {"rounds": 1}},
        {"activations": {"output_side": False}},
    ],
)
def test_what_may_differ_may_differ(tmp_path: Path, changes: dict[str, object]) -> None:
    refuse_others(study_of(tmp_path, "one"), study_of(tmp_path, "other", **changes))


def test_a_study_compares_only_where_it_is_asked_to(tmp_path: Path) -> None:
    without = study_of(tmp_path, "without")
    asking_for_it = study_of(tmp_path, "asking", compare_with=["nobody", "without", "without"])

    assert asking_for_it.compare_with == ("nobody", "without")
    assert "comparison" not in tables_of(without)
    keys = {asset_key(asking_for_it, key.path[-1]) for key in assets_of(without)}
    assert assets_of(asking_for_it) == keys | {asset_key(asking_for_it, "comparison")}
    with pytest.raises(InvalidStudy, match="nothing to be compared with in itself"):
        study_of(tmp_path, "self", compare_with=["self"])
