"""How alike an explanation and an excerpt are to a sentence-embedding model: a judge who is asked nothing.

Put here: claims held against excerpts by their vectors. Keep out: the model (`language_models/sentence_encoder.py`),
what is made of it (`judged_metrics.py`).
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from neuron_assets.assets.claims import Claim, Judged
from neuron_assets.method.records import Answer

if TYPE_CHECKING:
    from neuron_assets.language_models.sentence_encoder import SentenceEncoder


def judge_by_similarity(encoder: "SentenceEncoder", claims: Iterable[Claim]) -> Iterator[Judged]:
    """Of each claim, for every excerpt: half of one more than the cosine of its vector with the explanation's.

    It rises with similarity, 0 to 1, but is no probability: only its order is used. Candidates of one neuron share
    their excerpts, which are read once.
    """
    read: dict[tuple[str, ...], Float[np.ndarray, "excerpt width"]] = {}
    for claim in claims:
        texts = tuple("".join(excerpt.tokens) for excerpt in claim.cases.shown())
        if texts not in read:
            read = {texts: encoder.encode(texts)}
        (explained,) = encoder.encode([claim.explanation])
        alike = np.clip((1.0 + (read[texts] @ explained).astype(np.float64)) / 2.0, 0.0, 1.0)
        yield [Answer(each) for each in alike.tolist()]
