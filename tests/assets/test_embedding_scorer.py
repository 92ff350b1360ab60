"""Facts on the scorer `embedding`: how alike a text and excerpts are, as a study's tables tell it."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import rankdata

from neuron_assets.errors import InvalidStudy
from neuron_assets.language_models.sentence_encoder import open_sentence_encoder
from neuron_assets.project import Project
from neuron_assets.study import Study
from tests.language_models.test_sentence_encoder import write_encoder
from tests.scenario import STUDY, make_project
from tests.served_tables import LAYERS, make, path_of, read

pytestmark = pytest.mark.slow

SPLITS = {**dict(STUDY["splits"]), "valid": {"top": 8, "random": 12}, "natural": 30}  # type: ignore[call-overload]
SCORING = {"top": 3, "random": 3, "draws": 100}
KEYS = ["layer_index", "neuron_index", "candidate"]
World = tuple[Project, Study]


def study_with(root: Path, *scorers: str, **changes: object) -> World:
    scoring = {**SCORING, "scorers": ["simulation", *scorers]}
    return make_project(root, splits=SPLITS, scoring=scoring, judging={"active_share": 0.3}, **changes)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("embedding")
    encoder = {"model": str(write_encoder(root / "encoder"))}
    world = study_with(root, "embedding", encoder=encoder)
    make(*world)
    return world


def test_an_excerpt_s_number_is_its_likeness_to_the_text(world: World, tmp_path: Path) -> None:
    project, study = world
    assert study.encoder is not None
    encoder = open_sentence_encoder(study.encoder.model)
    excerpts = read(project, "excerpts").select("excerpt_index", "tokens")
    rows = read(project, "judgements").join(excerpts, on="excerpt_index")
    assert rows.height > 20
    assert set(rows["scorer"]) == {"embedding"}
    assert rows["failure"].null_count() == rows.height
    for row in rows.sample(20, seed=0).to_dicts():
        text, excerpt = encoder.encode([row["explanation"], "".join(row["tokens"])])
        assert row["probability"] == pytest.approx((1 + float(text @ excerpt)) / 2, abs=1e-5)
        assert row["judge"] == f"embedding/1?model={encoder.who}&pooling=mean"


def test_the_score_is_the_share_of_pairs_in_the_right_order(world: World) -> None:
    project, _ = world
    metrics = read(project, "metrics").filter(pl.col("scorer") == "embedding")
    judged = read(project, "judgements")

    assert set(metrics["metric"]) == {"auroc"}
    defined = metrics.drop_nulls("value")
    assert defined.height > 0
    for row in defined.to_dicts():
        said = judged.filter(*(pl.col(key) == row[key] for key in KEYS))
        active = (said["stratum"] == "active").to_numpy()
        ranks = rankdata(said["probability"].to_numpy())
        n_active, n_other = int(active.sum()), int((~active).sum())
        share = (ranks[active].sum() - n_active * (n_active + 1) / 2) / (n_active * n_other)
        assert row["value"] == pytest.approx(share, abs=1e-9)
        assert row["simulator"] == "none"
    assert np.isfinite(defined["value"].to_numpy()).all()


def test_nothing_is_made_again_and_another_model_is_noticed(world: World) -> None:
    _, study = world
    assert study.encoder is not None
    assert make(*world) == []
    config = Path(study.encoder.model) / "tokenizer_config.json"
    before = config.read_bytes()
    config.write_bytes(before + b" ")
    runs = make(*world)
    config.write_bytes(before)

    assert [run.tables for run in runs] == [("judgements", "metrics")] * len(LAYERS)
    make(*world)


def test_a_judge_beside_it_keeps_what_it_said(world: World) -> None:
    project, study = world
    assert study.encoder is not None
    alone = read(project, "judgements")
    root = project.dagster_home.parent
    make(*study_with(root, "detection", "fuzzing"))
    without = read(project, "judgements")
    make(*study_with(root, "embedding", "fuzzing", "detection", encoder={"model": study.encoder.model}))
    rows = read(project, "judgements")

    assert set(without["scorer"]) == {"detection", "fuzzing"}
    assert rows.filter(pl.col("scorer") != "embedding").equals(without)
    assert without["probability"].n_unique() > 1
    assert rows.filter(pl.col("scorer") == "embedding").equals(alone)
    detection = rows.filter(pl.col("scorer") == "detection")
    assert detection.select(*KEYS, "excerpt_index").equals(alone.select(*KEYS, "excerpt_index"))
    assert path_of(project, "metrics", LAYERS[0]).exists()


def test_without_a_model_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidStudy, match=r"encoder\.model"):
        study_with(tmp_path, "embedding")
