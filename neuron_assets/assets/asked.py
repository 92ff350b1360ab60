"""How the assets ask language models: with the study's bounds, one request store, one ledger.

Put here: what joins study, model, store and ledger. Keep out: questions (`explainers.py`, `simulators.py`), asking
itself (`language_models/asking.py`).
"""

import logging
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg

from neuron_assets.asking_sections import AskingSection
from neuron_assets.assets.books import Books, Errand
from neuron_assets.assets.noting import noting
from neuron_assets.assets.partitions import layer_index
from neuron_assets.assets.question_lengths import check_length
from neuron_assets.assets.specs import asset_key
from neuron_assets.errors import ModelChanged, NotAnsweredYet
from neuron_assets.judge_sections import AskedModel, EncoderSection, HostedJudge, Judge, LocalJudge
from neuron_assets.language_models.asker import Asker, Limits, Progress, Requested
from neuron_assets.language_models.asking import ask_all
from neuron_assets.language_models.database import Database
from neuron_assets.language_models.ledger import OBSERVATION
from neuron_assets.language_models.local_identity import who_is
from neuron_assets.language_models.model import LanguageModel
from neuron_assets.language_models.open_batches import OpenBatches
from neuron_assets.language_models.pooling import pooling_of
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.language_models.server_settings import ServerSettings, address_of, check_server
from neuron_assets.method.questions import Question
from neuron_assets.method.records import Answer
from neuron_assets.model_sections import (
    Explainer,
    HostedSection,
    HostedSimulator,
    LocalExplainer,
    LocalSection,
    Simulator,
)
from neuron_assets.study import Study
from neuron_assets.tables.store import TableStore

if TYPE_CHECKING:
    from neuron_assets.language_models.local import LocalModel
    from neuron_assets.language_models.sentence_encoder import SentenceEncoder

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

Tell = Callable[[logging.Logger, str], Callable[[Progress], None]]
"""Takes the run's log and what is asked for (`explanations of L03`); gives what hears of each answer."""


def log_answers(log: logging.Logger, what: str) -> Callable[[Progress], None]:
    """Tells the run's log about each thousand answers, and all that is heard of a batch."""
    told = (0, "")

    def on_progress(progress: Progress) -> None:
        nonlocal told
        now = (progress.n_answers // 1000, progress.batch)
        if now != told:
            told = now
            log.info("%s: %s", what, progress)

    return on_progress


def errand(context: dg.AssetExecutionContext, desk: "RequestDesk", table: str) -> Errand:
    key = context.partition_key
    return Errand(table, layer_index(key), context.run.run_id, desk.tell(context.log, f"{table} of {key}"))


@dataclass(frozen=True, slots=True)
class Asked:
    """A language model that is ready to be asked."""

    asker: Asker
    errand: Errand
    books: Books
    asking: AskingSection
    open_batches: OpenBatches

    def named(self, identity: str) -> str:
        """The study's `identity` of the model, with who it was observed to be."""
        return observed_identity(identity, str(self.asker.identity))

    def answers(self, questions: Iterable[Question[T]]) -> Iterator[Answer[T]]:
        """In the order of the questions; raises LanguageModelError."""
        if self.asking.mode == "direct":
            return ask_all(questions, self.asker, self.errand.on_progress)
        from neuron_assets.language_models.batching import BatchBounds, ask_all_in_batches

        bounds = BatchBounds(self.asking.most_in_batch, self.asking.megabytes_in_batch * 1_000_000)
        return ask_all_in_batches(questions, self.asker, self.open_batches, self.errand.on_progress, bounds)

    def facts(self) -> Mapping[str, Any]:
        """Requests, tokens, money and who answered, for the layer's metadata."""
        return self.books.facts()


def count_lost(answers: Iterable[Sequence[Answer[Any]]]) -> int:
    """How many questions nobody answered."""
    return sum(answer.lost for some in answers for answer in some)


def observed_identity(identity: str, observed: str) -> str:
    """`openai_compatible/NAME?...` said by who it was observed to be: `openai_compatible/NAME=OBSERVED?...`."""
    name, _, parameters = identity.partition("?")
    return f"{name}={observed}?{parameters}"


@dataclass(frozen=True)
class RequestDesk:
    """Where requests are kept, and whether new ones may be made."""

    store: str
    """A file, or a URL such as postgresql+psycopg://host/base."""
    offline: bool = False
    tell: Tell = log_answers
    waits: Sequence[float] = ()
    """Seconds before each further try of a step whose server does not answer."""
    tables: TableStore | None = None
    """In which stands what is asked about; without them nothing tells for which neuron an answer was used."""
    _observed: dict[str, str] = field(default_factory=dict)
    """Who was observed in this process, by name: asked for once a process, not once a layer."""

    @contextmanager
    def opened(self, study: Study, section: AskedModel, errand: Errand) -> Iterator[Asked]:
        """Raises LanguageModelError where the model cannot be asked."""
        with ExitStack() as stack:
            database = stack.enter_context(closing(Database.open(self.store)))
            books = Books(study, section, errand, database)
            model, name = _open_model(study, section, books.record, offline=self.offline)
            says_the_same_again = isinstance(section, LocalExplainer | LocalJudge) and section.temperature == 0
            limits = Limits(
                most_at_once=1 if isinstance(section, LocalExplainer | LocalJudge) else study.asking.most_at_once,
                most_tries=study.asking.most_tries,
                most_asks=1 if says_the_same_again else section.asks,
            )
            asker = Asker(
                model=model,
                name=name,
                store=RequestStore(database),
                limits=limits,
                identity=self._observed.get(name),
                offline=self.offline,
                before_asking=books.check,
                record=books.record,
                used=stack.enter_context(noting(database, study, errand, self.tables)),
            )
            try:
                asker = self._observing(asker)
                if not self.offline:
                    books.check_price(str(asker.identity))
                yield Asked(asker, errand, books, study.asking, OpenBatches(database))
            except ModelChanged:
                self._observed.pop(name, None)
                raise

    def check(self, study: Study, tables: Container[dg.AssetKey]) -> None:
        """Before an expensive step: raises what asking for these must fail with, where nothing need be dialled for it.

        That is UnsafeBaseUrl, KeyMissing, KeyRefused or QuestionTooLong.
        """
        explained = dict.fromkeys(("explanations", "revised_explanations", "meanings"), study.explainer)
        models = {**explained, "simulations": study.simulator, "judgements": study.judge}
        for table, section in models.items():
            if asset_key(study, table) not in tables:
                continue
            check_length(study, section)
            if isinstance(section, HostedSection):
                check_server(_settings(study, section, offline=self.offline))

    def look_again(self) -> None:
        """Who answers is observed anew when it is needed next."""
        self._observed.clear()

    def explainer(self, study: Study) -> str:
        """Who explains now, by who is observed to answer; raises LanguageModelError."""
        return self._who(study, study.explainer, study.explainer_identity)

    def simulator(self, study: Study) -> str:
        """Who simulates now, by who is observed to answer; raises LanguageModelError."""
        return self._who(study, study.simulator, study.simulator_identity)

    def judge(self, study: Study) -> str:
        """Who judges now, by who is observed to answer; raises LanguageModelError."""
        asked = [self._who(study, study.judge, study.judge_identity)] if study.scoring.asks_judge else []
        if study.encoder is not None and study.scoring.embeds:
            asked.append(encoder_identity(study.encoder))
        return " + ".join(asked)

    def _who(self, study: Study, section: Explainer | Simulator | Judge, identity: str) -> str:
        match section:
            case HostedSection():
                with self.opened(study, section, Errand(OBSERVATION, None, None)) as asked:
                    return asked.named(identity)
            case LocalSection():
                return observed_identity(identity, who_is(section.model, section.revision))
            case _:
                return identity

    def _observing(self, asker: Asker) -> Asker:
        """The asker, knowing who it asks."""
        if asker.identity is None:
            list(ask_all((), asker))  # observes, and asks nothing
            identity = asker.store.observed(asker.name)
            if identity is None:
                raise NotAnsweredYet([f"who answers as {asker.name}"], 1)
            self._observed[asker.name] = identity
            alias, _, address = asker.name.partition("@")
            if address and not identity.startswith(alias):
                _LOG.warning("The server at %s answers as %s where %s is asked for.", address, identity, alias)
        return replace(asker, identity=self._observed[asker.name])


def _open_model(
    study: Study,
    section: AskedModel,
    record: Callable[[Sequence[Requested]], None],
    *,
    offline: bool,
) -> tuple[LanguageModel, str]:
    """The model, and what it is called in messages and in the store; `record` is told of looks who answers."""
    if isinstance(section, LocalExplainer | LocalJudge):
        local = open_local(section, section.temperature, section.seed)
        return local, f"local/{section.model}"
    from neuron_assets.language_models.openai_compatible import OpenAICompatible
    from neuron_assets.language_models.proven import ProvenEcho

    settings = _settings(study, section, offline=offline)
    server = OpenAICompatible(settings, record)
    return ProvenEcho(server) if _echoes(section) else server, _called(section)


def _echoes(section: HostedSection) -> bool:
    return isinstance(section, HostedSimulator | HostedJudge) and section.method == "logprobs"


def _settings(study: Study, section: HostedSection, *, offline: bool) -> ServerSettings:
    """Offline it needs no key."""
    return ServerSettings(
        base_url=section.base_url,
        model=section.model,
        api_key_env=None if offline else section.key_variable,
        api="completions" if _echoes(section) else section.api,
        structured=section.structured,
        temperature=section.temperature,
        top_p=section.top_p,
        seed=section.seed,
        more=section.parameters,
        timeout_s=study.asking.timeout,
    )


def last_observed(section: HostedSection, requests: str) -> str | None:
    """Who answered when that was last looked at; None where it never was. Raises StoreUnusable."""
    with RequestStore.open(requests) as store:
        return store.observed(_called(section))


def _called(section: HostedSection) -> str:
    return f"{section.model}@{address_of(section.base_url)}"


def encoder_identity(section: EncoderSection) -> str:
    """All that a vector depends on beside the text; raises UnusableModel."""
    who, pooling = who_is(section.model, section.revision), pooling_of(section.model, section.revision)
    return f"embedding/1?model={who}&pooling={pooling}"


def open_encoder(section: EncoderSection) -> "SentenceEncoder":
    """A sentence-embedding model in this process; raises UnusableModel."""
    from neuron_assets.language_models.sentence_encoder import open_sentence_encoder

    return open_sentence_encoder(section.model, device=_device(section.device), revision=section.revision)


def open_local(section: LocalSection, temperature: float = 0.0, seed: int = 0) -> "LocalModel":
    """A model in this process; raises UnusableModel."""
    from neuron_assets.language_models.local import open_local_model

    return open_local_model(
        section.model,
        device=_device(section.device),
        dtype=section.dtype,
        revision=section.revision,
        temperature=temperature,
        seed=seed,
    )


def _device(wished: str) -> str:
    import torch

    return wished if wished != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
