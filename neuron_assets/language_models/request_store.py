"""Every answered request, under a hash of all that could change the answer: what was paid for is not paid for again.

Here: keeping, finding, sharing and pruning answers, and the identity last observed behind each configured model. Not
here: when to look and when to ask (`asking.py`), what it all cost (`ledger.py`), keys of any server: the only
settings that get here are the parameters passed in.
"""

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import (
    Column,
    DateTime,
    Float,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    bindparam,
    delete,
    func,
    or_,
    select,
)

from neuron_assets.errors import FailedWrite, StoreUnusable
from neuron_assets.language_models.answered_requests import (
    IN_COLUMNS,
    AnsweredRequest,
    Kept,
    Observed,
    answered_now,
    as_json,
    packed,
    prompt_as_json,
    unpacked,
)
from neuron_assets.language_models.asked_for import ASKED_FOR, NOTES
from neuron_assets.language_models.database import Database
from neuron_assets.language_models.exported_answers import read_exported
from neuron_assets.language_models.model import Replied
from neuron_assets.language_models.secret_names import secret_name
from neuron_assets.method.questions import Prompt

__all__ = ["Kept", "RequestStore", "request_key"]

_TABLES = MetaData()

_ANSWERS = Table(
    "answers",
    _TABLES,
    Column("key", String(64), primary_key=True),
    Column("identity", String, nullable=False),
    Column("asked_at", DateTime, nullable=False),  # UTC, without saying so: SQLite has no time zones
    Column("seconds", Float, nullable=False),
    Column("body", LargeBinary, nullable=False),  # the other fields of AnsweredRequest: JSON, compressed by zlib
)

_OBSERVED = Table(
    "observed",
    _TABLES,
    Column("model_name", String, primary_key=True),
    Column("identity", String, nullable=False),
    Column("observed_at", DateTime, nullable=False),  # UTC
)

_ONE = select(_ANSWERS).where(_ANSWERS.c.key == bindparam("wanted"))
"""Built once: it is looked into once a question."""

_ROWS_AT_ONCE = 200


def request_key(prompt: Prompt, *, identity: str, parameters: Mapping[str, Any], sample: int, attempt: int) -> str:
    """The SHA-256, in hexadecimal digits, of all that could change the answer.

    `identity` is who answers, as observed; `sample` and `attempt` tell apart the replies to equal prompts. The order of
    the parameters does not count, that of a schema does: servers write the fields of a reply in its order. Raises
    TypeError where a parameter is not a JSON value.
    """
    facts = {
        "prompt": as_json(prompt_as_json(prompt)),
        "identity": identity,
        "parameters": parameters,
        "sample": sample,
        "attempt": attempt,
    }
    return hashlib.sha256(as_json(facts, sort_keys=True).encode()).hexdigest()


class RequestStore:
    """The answers that are kept, for all studies of a project and several processes at once.

    What is kept is committed at once, and survives the death of the process. Whatever cannot be done raises
    StoreUnusable.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        """Where the ledger stands, too."""
        if not database.is_read_only:
            database.create(_TABLES)
            database.create(NOTES)
        self._unless_kept = database.insert(_ANSWERS).on_conflict_do_nothing(index_elements=[_ANSWERS.c.key])

    @classmethod
    def open(cls, url: str) -> "RequestStore":
        """Opens the store in a SQLite file, by its path, or in PostgreSQL, by its URL; makes what is missing."""
        database = Database.open(url)
        try:
            return cls(database)
        except StoreUnusable:
            database.close()
            raise

    @classmethod
    def open_to_read(cls, url: str) -> "RequestStore":
        """Opens a store that is there; nothing is made or changed."""
        return cls(Database.open_to_read(url))

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """How many answers are kept."""
        with self.database.transaction() as connection:
            return connection.scalar(select(func.count()).select_from(_ANSWERS)) or 0

    def identities(self) -> Mapping[str, int]:
        """Who has answered, and how often."""
        counted = select(_ANSWERS.c.identity, func.count().label("n_answers")).group_by(_ANSWERS.c.identity)
        with self.database.transaction() as connection:
            rows = connection.execute(counted.order_by(_ANSWERS.c.identity))
            return {row.identity: row.n_answers for row in rows}

    def size_bytes(self) -> int:
        """What the whole database takes."""
        return self.database.size_bytes()

    def get(self, key: str) -> Kept | None:
        """The answer, or None where it was never given; one that cannot be read raises StoreUnusable."""
        request = self.request(key)
        return None if request is None else request.kept

    def request(self, key: str) -> AnsweredRequest | None:
        """The answer with all that was asked; else as `get`."""
        with self.database.transaction() as connection:
            row = connection.execute(_ONE, {"wanted": key}).one_or_none()
        return None if row is None else self._read(row)

    def put(  # noqa: PLR0913  # all that there is to keep
        self, key: str, prompt: Prompt, replied: Replied, *, seconds: float, parameters: Mapping[str, Any], about: str
    ) -> None:
        """Keeps an answer that was given just now and took `seconds`; where there is one already, that one stays."""
        self.keep([answered_now(key, prompt, replied, seconds=seconds, parameters=parameters, about=about)])

    def keep(self, answers: Sequence[AnsweredRequest]) -> None:
        """Keeps answers, all or none; where there is one already, that one stays."""
        with self.database.transaction() as connection:
            connection.execute(self._unless_kept, [self._row(answered) for answered in answers])

    def observed(self, model_name: str) -> str | None:
        """The identity last observed behind a model's configured name; None where it was never looked."""
        with self.database.transaction() as connection:
            found = connection.scalar(select(_OBSERVED.c.identity).where(_OBSERVED.c.model_name == model_name))
        return None if found is None else str(found)

    def observe(self, model_name: str, identity: str) -> None:
        """Notes who answers to a model's configured name now."""
        now = {"identity": identity, "observed_at": _now()}
        row = self.database.insert(_OBSERVED).values(model_name=model_name, **now)
        with self.database.transaction() as connection:
            connection.execute(row.on_conflict_do_update(index_elements=[_OBSERVED.c.model_name], set_=now))

    def prune(self, *, before: datetime | None = None, identity: str | None = None) -> int:
        """Removes the answers asked for before that time, by that identity, or both; says how many.

        An identity may be cut short before `@` or `#`: a model at any server, or with whatever weights.

        Raises ValueError where neither is told, or a time without its zone.
        """
        if before is None and identity is None:
            raise ValueError("Say what to prune: what is older than a time, or answered by an identity.")
        if before is not None and before.tzinfo is None:
            raise ValueError(f"{before} does not say its time zone.")
        old = delete(_ANSWERS)
        if before is not None:
            old = old.where(_ANSWERS.c.asked_at < before.astimezone(UTC).replace(tzinfo=None))
        if identity is not None:
            name = _ANSWERS.c.identity
            longer = (name.startswith(f"{identity}{mark}", autoescape=True) for mark in "@#")
            old = old.where(or_(name == identity, *longer))
        with self.database.transaction() as connection:
            n_pruned = connection.execute(old).rowcount
            if n_pruned:
                kept = select(_ANSWERS.c.key).where(_ANSWERS.c.key == ASKED_FOR.c.key)
                connection.execute(delete(ASKED_FOR).where(~kept.exists()))
        if n_pruned:
            self.database.give_space_back()
        return n_pruned

    def export(self, path: Path) -> int:
        """Writes all answers as JSON lines, aside and then renamed; says how many. Raises FailedWrite.

        Who was observed goes first: offline, nothing else says whose answers are meant.
        """
        aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            n_written = 0
            with aside.open("w", encoding="utf-8") as file:
                file.writelines(as_json(observed) + "\n" for observed in self._all_observed())
                for answered in self._all():
                    file.write(as_json(answered) + "\n")
                    n_written += 1
            aside.replace(path)
        except OSError as error:
            raise FailedWrite(path, str(error)) from error
        finally:
            aside.unlink(missing_ok=True)
        return n_written

    def import_(self, path: Path) -> int:
        """Keeps the answers of an exported file, all or, where a line cannot be read, none; says how many were new.

        Who was observed here already stays.
        """
        unless_observed = self.database.insert(_OBSERVED).on_conflict_do_nothing(
            index_elements=[_OBSERVED.c.model_name]
        )
        unless_kept = self._unless_kept.returning(_ANSWERS.c.key)  # PostgreSQL does not count what it leaves out
        n_new = 0
        with self.database.transaction() as connection:
            for line in read_exported(path):
                if isinstance(line, Observed):
                    connection.execute(
                        unless_observed,
                        {"model_name": line.model_name, "identity": line.identity, "observed_at": _now()},
                    )
                else:
                    n_new += connection.execute(unless_kept, self._row(line)).first() is not None
        return n_new

    def _row(self, answered: AnsweredRequest) -> dict[str, Any]:
        secret = secret_name(answered.parameters)
        if secret is not None:
            raise StoreUnusable(self.database.name, f"the parameter {secret!r} seems to be a secret, and is not kept")
        row = {name: getattr(answered, name) for name in IN_COLUMNS}
        row["asked_at"] = answered.asked_at.astimezone(UTC).replace(tzinfo=None)
        return {**row, "body": packed(answered)}

    def _all_observed(self) -> list[Observed]:
        with self.database.transaction() as connection:
            rows = connection.execute(
                select(_OBSERVED.c.model_name, _OBSERVED.c.identity).order_by(_OBSERVED.c.model_name)
            )
            return [Observed(*row) for row in rows]

    def _all(self) -> Iterator[AnsweredRequest]:
        with self.database.transaction() as connection:
            few_at_once = connection.execution_options(yield_per=_ROWS_AT_ONCE)
            for row in few_at_once.execute(select(_ANSWERS).order_by(_ANSWERS.c.key)):
                yield self._read(row)

    def _read(self, row: Row[Any]) -> AnsweredRequest:
        columns = {name: row._mapping[name] for name in IN_COLUMNS}  # noqa: SLF001  # SQLAlchemy's public name for it
        columns["asked_at"] = columns["asked_at"].replace(tzinfo=UTC)
        try:
            return unpacked(columns, row.body)
        except ValueError as error:
            reason = f"the answer kept under {row.key} cannot be read ({str(error).splitlines()[0]})"
            raise StoreUnusable(self.database.name, reason) from error


def _now() -> datetime:
    """UTC, without saying so."""
    return datetime.now(UTC).replace(tzinfo=None)
