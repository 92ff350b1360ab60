"""What the page of each asset tells in the UI: what it is, how it is made, what to look at, what it costs.

Put here: those texts, in Markdown. Keep out: what columns mean (`tables/schemas.py`), all that depends on a study
(`specs.py`).
"""

from collections.abc import Mapping

_FORWARD = """
**Made** in one forward pass of the subject over all excerpts, for all layers of the run: a backfill of a range of
layers is one run and one pass. Always together with `{other}`.

**Look at** `forward_passes` and `seconds_of_the_pass` under Metadata.

**Costs** the time of the pass: it asks no language model."""

STORIES: Mapping[str, str] = {
    "excerpts": """
**Made** from the study's documents: tokenized, cut, shuffled, and dealt into pools, a whole document into one pool, so
that none is both shown and scored.

**Look at** `pools` under Metadata: excerpts and documents of each.

**Costs** seconds. A new corpus makes everything below it anew.""",
    "activations": _FORWARD.format(other="neuron_statistics"),
    "neuron_statistics": _FORWARD.format(other="activations"),
    "explanations": """
**Made** by the explainer from the excerpts of the `train` pool that a neuron is strongest on. What is there already is
kept; a question that was answered once is never paid for again.

**Look at** `sample`, a neuron in colour, and at `failures` and `lost` (nobody answered: materialize again).

**Costs** one question a neuron where a language model explains: `requests`, `tokens_in`, `dollars`. When launching,
`per_layer` or `all` under *Config* explain more neurons.""",
    "counterexamples": """
**Made** where `rules` explain from one half of the documents of the `calibration` pool, which no explanation was
fitted to: of each neuron the excerpts that cost its explanation's score most. A language model writes sentences on
which the neuron should fire or stay silent, and the subject is run on them. Always with `revised_explanations`.

**Look at** `counterexamples` under Metadata, and in the table at `fault`: what the explanation says there wrongly,
`fires` or `silent`.

**Costs** seconds where `rules` explain; else a question a neuron and round, and short passes of the subject.""",
    "revised_explanations": """
**Made** by the explainer once more, with the counterexamples in sight. Whether the new text is better is decided on the
other half of the `calibration` documents, and told on `valid`.

**Look at** `changed` under Metadata: how many texts are not what they were.

**Costs** what explaining costs, once a round.""",
    "labels": """
**Made** from the explanations that people wrote of neurons of this layer, as the store of labels holds them
(`labels/entries` beside the tables). Nothing there is ever changed; materialize again to take in what is new.

**Look at** `labels` and `authors` under Metadata, and at `damaged`: files of the store that cannot be read.

**Costs** seconds; each label is then simulated as any other candidate is.""",
    "meanings": """
**Made** from the top excerpts of the `train` pool, parted into groups by which tokens fire in them. The explainer is
asked what each group means; the entries together are a list, and a candidate. Whether two meanings say more than the
one explanation, or three, is decided on `calibration`, and told on `valid`.

**Look at** `parted_in_2` under Metadata, how many neurons could be parted so, and in the table at `tokens`. How many
meanings helped is told by `scores`.

**Costs** what explaining costs, up to once an entry of each list.""",
    "candidates": """
**Made** from the explanations as they are, then revised ones and lists of meanings where the study asks for them, and a
control beside each: the same neuron with another neuron's text.

**Look at** `controls` under Metadata.

**Costs** nothing.""",
    "simulations": """
**Made** by the simulator, which reads the text alone, on excerpts of the `valid` pool, which the explainer never saw.

**Look at** `sample`: what the neuron did, and below it what was expected; and at `failures` and `lost`.

**Costs** a question an excerpt and candidate where a language model simulates: mostly more than all else together.""",
    "scores": """
**Made** by correlating simulated with true activations over all tokens at once. Beside the explanations stand their
controls: shuffled texts should score about 0, and lookups by token are the bar to clear.

**Look at** `best_and_worst`, neurons in colour, and at Metadata > *Plots*: `score_top_and_random` and
`score_random_only` by layer, with `shuffled_...`, `unigram_...` and `bigram_...` beside them.

**Costs** seconds, most of them for the intervals.""",
    "judgements": """
**Made** by the judge, who reads the text and says of each chosen excerpt of `valid` whether the neuron is active in it
(detection), or on the tokens that are marked (fuzzing). Which excerpts: by the seed, half of them active.

**Look at** `failures` and `lost`; the rows tell the kind of each excerpt, its right answer, and what was said.

**Costs** nothing where simulations are turned into verdicts; else a question an excerpt, scorer and candidate.""",
    "ablations": """
**Made** by running the subject again, with its head: on excerpts of `valid` a neuron does what was simulated,
calibrated on `calibration`, or its mean over `train`, and the next-token distributions are compared.

**Look at** `metrics`, where the score `ablation` is made of it; and at `failures`: units that are no neurons cannot be
replaced.

**Costs** a pass from the layer on for each excerpt of each candidate, and for the mean: minutes on a CPU for a small
model. It asks no language model.""",
    "metrics": """
**Made** from the same simulations as the scores, and from the judgements. What is fitted (a line from simulated to true
activations, a threshold from which on a token counts as predicted) is fitted on `calibration` and judged on `valid`.

**Look at** Metadata > *Plots*: `auprc_natural_rate` with `chance_...`, `shuffled_...` and `unigram_...` beside it. What
is said too broadly scores well among top excerpts, and is found out here.

**Costs** seconds; the simulations on more excerpts, which it needs, cost the simulator's questions.""",
    "token_index": """
**Made** from the excerpts of the `train` pool: on which tokens each neuron is above a share of its maximum, the twenty
that it does most on. The viewer finds neurons by it; a study without it can be looked at all the same.

**Look at** `share` in the table: 1 for a neuron that fires on one token only.

**Costs** seconds.""",
    "final_simulations": """
**Made** by the simulator on excerpts of `test`, once a person has opened that pool with `neuron-assets report --final`:
of the candidates that stand for their neurons, and of the controls.

**Look at** `failures` and `lost`.

**Costs** what simulations cost, for one candidate and its controls.""",
    "final_scores": """
**Made** as the scores are, on `test`. The table `openings` tells when that pool was opened, and for what.

**Look at** what `neuron-assets report --final` prints of it.

**Costs** seconds.""",
    "layer_summary": """
**Made** from the scores of all layers that are there and still stand.

**Look at** `trend_by_depth` and `distribution` under Metadata.

**Costs** seconds.""",
    "trends": """
**Made** from the scores and the statistics of all layers that are there and still stand.

**Look at** the plots under Metadata: `by_depth`, by how often neurons are active (`by_density`), `by_kurtosis`,
`by_explainer` with the controls beside, `by_revision` where the study revises or chooses, and `by_shares`. Bins are
drawn from twenty neurons on.

**Costs** seconds, most of them for the intervals.""",
    "comparison": """
**Made** from the scores and metrics of this study and of those under `compare_with`, which must share its subject,
corpus and splits: of every neuron that both have, the one's value less the other's, on the same excerpts.

**Look at** `by_layer` under Metadata, and in the table at `difference` with its interval, `n_left_out`, and `cost`.

**Costs** seconds; it asks nobody. It is made again by materializing it, once other studies have changed.""",
    "spending": """
**Made** from the ledger of all requests of this study, as it stood then.

**Look at** `by_layer` under Metadata, and at `dollars`; `observation` are questions that only look who answers.

**Costs** nothing.""",
}
