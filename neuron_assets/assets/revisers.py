"""Who revises explanations, by what the study names.

Put here: from a study's `explainer` to something that revises a layer, and the rules' own way. Keep out: how rules
answer a mistake (`method/rules/revising.py`), the way of a language model (`revising_by_asking.py`), and the asset
(`revised.py`).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import polars as pl
from pydantic import Field
from threadpoolctl import ThreadpoolController

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.books import Errand
from neuron_assets.assets.forward_pass import OnDevice
from neuron_assets.assets.question_lengths import check_length
from neuron_assets.assets.revising_by_asking import AskingReviser
from neuron_assets.method.choosing import rows_in
from neuron_assets.method.records import Answer, NeuronRecord
from neuron_assets.method.rules.fitting import RuleParameters
from neuron_assets.method.rules.revising import RevisionParameters, revise_by_rules
from neuron_assets.method.samples import shown_rows
from neuron_assets.model_sections import AskedExplainer, RulesExplainer
from neuron_assets.study import Study
from neuron_assets.subject_opening import open_subject
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.revised import Found, Round
from neuron_assets.tables.rows import activations_of, corpus, neuron_records


class Measuring(OnDevice):
    """What changes the speed of measuring a language model's sentences; rules need no subject."""

    batch_size: int = Field(default=32, ge=1, description="Sentences of one length that the subject reads together.")


@dataclass(frozen=True, slots=True)
class Reviser:
    """Somebody who revises explanations."""

    identity: str
    """All that a revision depends on beside its neuron and the study; a model by who it was observed to be."""
    revise: Callable[..., list[Round]]
    """All rounds of a layer by neuron, from `excerpts`, `activations`, `explanations`, and for models `statistics`."""
    facts: Callable[[], Mapping[str, Any]] = dict
    """What it took, for people: requests, tokens, money."""


@contextmanager
def open_reviser(study: Study, desk: RequestDesk, errand: Errand, config: Measuring) -> Iterator[Reviser]:
    """Raises SubjectError or LanguageModelError for models that cannot be used, before anything is asked."""
    section = study.explainer
    if isinstance(section, AskedExplainer):
        check_length(study, section)
        subject = open_subject(study, config.device)
        with desk.opened(study, section, errand) as asked:
            revise = AskingReviser(study, section, asked, subject, config.batch_size).revise
            yield Reviser(asked.named(study.explainer_identity), revise, asked.facts)
    else:
        assert isinstance(section, RulesExplainer)
        rules = RulesReviser(study, RuleParameters(n_rules=section.n_rules, longest=section.longest))
        yield Reviser(study.explainer_identity, rules.revise)


@dataclass(frozen=True, slots=True)
class RulesReviser:
    """Holds rules against one half of the `calibration` documents, and fits them again."""

    study: Study
    rules: RuleParameters

    def revise(self, excerpts: pl.DataFrame, activations: StoredTable, explanations: pl.DataFrame) -> list[Round]:
        """Of each neuron all rounds."""
        neurons, texts = explanations["neuron_index"].unique().sort().to_list(), corpus(excerpts)
        of_train, of_calibration = (
            neuron_records(activations_of(activations, split, neurons), texts) for split in ("train", "calibration")
        )
        first = {row["neuron_index"]: Answer(row["explanation"], row["failure"]) for row in explanations.to_dicts()}
        # A second thread gains nothing on such small matrices, and takes a core from whoever has a use for it.
        with ThreadpoolController().limit(limits=1, user_api="blas"):
            return [
                each
                for train, calibration in zip(of_train, of_calibration, strict=True)
                for each in self._rounds(first[train.neuron.neuron_index], train, calibration)
            ]

    def _rounds(self, first: Answer[str], train: NeuronRecord, calibration: NeuronRecord) -> Iterator[Round]:
        """Each from what the one before it gave; what was not explained cannot be revised."""
        revision = RevisionParameters(n_counterexamples=self.study.revision.counterexamples)
        look = calibration.only(rows_in(calibration, "look", self.study.scoring.choosing_seed)).exemplars
        shown, now = train.only(shown_rows(train.exemplars)).exemplars, first
        for number in range(1, self.study.revision.rounds + 1):
            parent = number - 1  # `rules` give one explanation a neuron
            if now.value is None:
                yield Round(train.neuron, number, parent, now, "corpus", (), "there is no explanation")
                continue
            made = revise_by_rules(now.value, shown, look, self.rules, revision)
            now, found = Answer(made.explanation), [Found(look, mistake) for mistake in made.counterexamples]
            why_none = None if found else _why_none(len(look.excerpt_indices))
            yield Round(train.neuron, number, parent, now, "corpus", found, why_none)


def _why_none(n_excerpts: int) -> str:
    return "no token speaks against it" if n_excerpts else "none of its documents may be looked at"
