"""What the `rules` explainer and simulator cost a neuron, on the bundled subject's own activations."""

import time
from itertools import islice

import numpy as np

from benchmarks.row import Row
from neuron_assets.assets.opening import open_documents
from neuron_assets.method.excerpts import cut_excerpts
from neuron_assets.method.records import SPLITS, Exemplars, Tokens
from neuron_assets.method.rules.fitting import RuleParameters, explain_by_rules
from neuron_assets.method.rules.simulating import simulate_by_rules
from neuron_assets.project import BUNDLED_STUDIES
from neuron_assets.study import read_study
from neuron_assets.subject_opening import open_subject
from neuron_assets.subjects.harvest import HarvestPlan, Kept, harvest

N_NEURONS = 24
N_SIMULATED = 20


def benchmark() -> list[Row]:
    """Seconds of one thread's CPU time, the mean over some neurons of layer 2."""
    study = read_study(BUNDLED_STUDIES / "bundled" / "study.yaml")
    subject = open_subject(study)
    documents = list(islice(open_documents(study), 200))
    ids = [subject.tokenize(document.text) for document in documents]
    plan = study.cut_plan
    cut = cut_excerpts([document.name for document in documents], ids, plan, "some documents")
    kept = {SPLITS[0]: Kept(study.splits.train.top, study.splits.train.random)}
    layer = harvest(subject, cut.token_ids, np.zeros(len(cut.pools), np.int8), [2], HarvestPlan(kept))[2]
    strings = tuple(subject.token_strings(range(int(cut.token_ids.max()) + 1)))
    pool = layer.pools["train"]
    exemplars = [
        Exemplars(
            tokens=Tokens(cut.token_ids[rows], strings),
            activations=np.concatenate([pool.top.rows[neuron], pool.random.rows[neuron]]).astype(np.float32),
            is_top=np.arange(len(rows)) < study.splits.train.top,
            document_indices=cut.document_indices[rows],
            excerpt_indices=rows,
        )
        for neuron in range(N_NEURONS)
        for rows in [np.concatenate([pool.top.excerpts[neuron], pool.random.excerpts[neuron]])]
    ]
    began = time.process_time()
    texts = [explain_by_rules(each, RuleParameters()) for each in exemplars]
    explained = time.process_time()
    held_out = Tokens(cut.token_ids[:N_SIMULATED], strings)
    for text in texts:
        simulate_by_rules(text, held_out)
    simulated = time.process_time()
    return [
        Row("rules: explaining a neuron from 200 excerpts, CPU s", f"{(explained - began) / N_NEURONS:.3f}"),
        Row(f"rules: simulating {N_SIMULATED} excerpts, CPU s", f"{(simulated - explained) / N_NEURONS:.4f}"),
    ]
