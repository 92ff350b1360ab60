"""How a language model revises explanations: it writes sentences, the subject is run on them, it thinks again.

Put here: the way of a layer's neurons through the rounds. Keep out: the questions (`revision_questions.py`), running
the subject (`subjects/measuring.py`), the asset (`revised.py`).
It sees excerpts of `train` and its own sentences, and nothing of the pools that choose and score. Each round asks of
all neurons at once, so that servers, provider's batches and the subject have many to do together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from neuron_assets.assets.asked import Asked
from neuron_assets.assets.revision_questions import asked_for_sentences, asked_to_revise
from neuron_assets.method.explaining.layouts import rows_to_show
from neuron_assets.method.questions import Question
from neuron_assets.method.records import Answer, NeuronRecord
from neuron_assets.method.revising.measured import Counterexample, measured
from neuron_assets.method.revising.sentences import ProposedSentence
from neuron_assets.model_sections import AskedExplainer
from neuron_assets.study import Study
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.revised import Round, Written
from neuron_assets.tables.rows import activations_of, corpus, neuron_records

if TYPE_CHECKING:
    from neuron_assets.subjects.measuring import Heard
    from neuron_assets.subjects.subject import Subject


@dataclass(frozen=True, slots=True, eq=False)
class _Standing:
    """What is said of a neuron before a round."""

    record: NeuronRecord
    """The excerpts of `train` that it was explained from."""
    maximum: float
    """Over `train`."""
    candidate: int
    """The number of what is said, among the neuron's candidates."""
    last_candidate: int
    """The highest number before the first revision."""
    said: Answer[str]

    def after(self, made: Round) -> "_Standing":
        said = Answer(made.revised.value, made.revised.failure)  # what was lost is counted in its own round
        candidate = self.last_candidate + made.number
        return _Standing(self.record, self.maximum, candidate, self.last_candidate, said)


Sentences = Answer[tuple[ProposedSentence, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class AskingReviser:
    """A language model, and the subject on which its sentences are measured."""

    study: Study
    section: AskedExplainer
    asked: Asked
    subject: "Subject"
    batch_size: int
    """Sentences that the subject reads together."""

    def revise(
        self, excerpts: pl.DataFrame, activations: StoredTable, explanations: pl.DataFrame, statistics: pl.DataFrame
    ) -> list[Round]:
        """All rounds of all neurons of a layer, by neuron; raises LanguageModelError."""
        rounds: list[Round] = []
        standing = list(self._first(excerpts, activations, explanations, statistics))
        for number in range(1, self.study.revision.rounds + 1):
            made = self._round(number, standing)
            rounds += made
            standing = [one.after(each) for one, each in zip(standing, made, strict=True)]
        return sorted(rounds, key=lambda each: (each.neuron.neuron_index, each.number))

    def _first(
        self, excerpts: pl.DataFrame, activations: StoredTable, explanations: pl.DataFrame, statistics: pl.DataFrame
    ) -> Iterator[_Standing]:
        """Of several samples the first with a text is revised."""
        said = explanations.sort("neuron_index", "sample").partition_by("neuron_index", as_dict=True)
        maximum = dict(statistics.select("neuron_index", "maximum").iter_rows())
        of_train = activations_of(activations, "train", sorted(neuron for (neuron,) in said))
        for whole in neuron_records(of_train, corpus(excerpts)):
            neuron = whole.neuron.neuron_index
            shown = whole.only(rows_to_show(whole.exemplars, self.section.shown_top, self.section.shown_random))
            samples = said[neuron,].to_dicts()
            row = next((row for row in samples if row["explanation"] is not None), samples[0])
            answer: Answer[str] = Answer(row["explanation"], row["failure"])
            yield _Standing(shown, maximum[neuron], row["sample"], samples[-1]["sample"], answer)

    def _round(self, number: int, standing: Sequence[_Standing]) -> list[Round]:
        """Of each neuron; about one without an explanation nothing is asked, nor where nothing was measured."""
        explained = [one for one in standing if one.said.value is not None]
        sentences = list(self.asked.answers(self._for_sentences(one, number) for one in explained))
        tested = list(zip(explained, sentences, self._measured(explained, sentences), strict=True))
        answers = self.asked.answers(
            asked_to_revise(self.section, one.record, str(one.said.value), found, number)
            for one, _, written in tested
            if (found := _found(written))
        )
        revised = iter(list(answers))  # to the end: there an offline run says what it lacks
        rounds = {
            one.record.neuron: Round(
                one.record.neuron,
                number,
                one.candidate,
                next(revised) if _found(written) else _not_revised(told),
                "explainer",
                written,
                told.failure,
            )
            for one, told, written in tested
        }
        return [rounds.get(one.record.neuron) or _nothing_to_revise(one, number) for one in standing]

    def _for_sentences(self, one: _Standing, number: int) -> Question[tuple[ProposedSentence, ...]]:
        about = f"{one.record.neuron} round {number}"
        return asked_for_sentences(self.study, self.section, str(one.said.value), number, about=about)

    def _measured(self, explained: Sequence[_Standing], sentences: Sequence[Sentences]) -> Iterator[list[Written]]:
        """Of each neuron, what it did on the sentences about it: the subject reads those of all neurons in one go."""
        from neuron_assets.subjects.measuring import measure

        asked = [
            (one.record.neuron.neuron_index, sentence.text)
            for one, told in zip(explained, sentences, strict=True)
            for sentence in told.value or ()
        ]
        layers = {one.record.neuron.layer_index for one in explained}
        heard = iter(measure(self.subject, asked, *layers, batch_size=self.batch_size) if layers else ())
        for one, told in zip(explained, sentences, strict=True):
            yield [Written(sentence, self._held_against(one, sentence, next(heard))) for sentence in told.value or ()]

    def _held_against(
        self, one: _Standing, sentence: ProposedSentence, heard: "Answer[Heard]"
    ) -> Answer[Counterexample]:
        if heard.value is None:
            return Answer(None, heard.failure)
        share = self.study.activations.active_share
        tokens, activations = heard.value.tokens, heard.value.activations
        return Answer(measured(sentence, tokens, activations, train_maximum=one.maximum, active_share=share))


def _found(written: Sequence[Written]) -> list[Counterexample]:
    return [one.measured.value for one in written if one.measured.value is not None]


def _not_revised(told: Sentences) -> Answer[str]:
    if told.value is None:
        return Answer(None, f"no sentences to revise it by: {told.failure}", told.lost)
    return Answer(None, "none of its sentences could be measured")


def _nothing_to_revise(one: _Standing, number: int) -> Round:
    why = "there is no explanation"
    return Round(one.record.neuron, number, one.candidate, one.said, "explainer", (), why)
