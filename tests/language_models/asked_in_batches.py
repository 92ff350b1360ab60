"""Questions about numbers that are asked in batches: what the tests of batches share."""

from collections.abc import Sequence
from typing import Any

from neuron_assets.language_models.asker import Asker
from neuron_assets.language_models.batching import BatchBounds, ask_all_in_batches
from neuron_assets.language_models.database import Database
from neuron_assets.language_models.open_batches import OpenBatches
from neuron_assets.language_models.openai_compatible import OpenAICompatible
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.language_models.server_settings import ServerSettings
from neuron_assets.method.questions import Question
from neuron_assets.method.records import Answer
from tests.language_models.asked_numbers import hurried
from tests.language_models.batch_server import BatchServer
from tests.language_models.misbehaving_server import MODEL, Body

BOUNDS = BatchBounds()


def asker(server: BatchServer, database: Database, **fields: Any) -> Asker:
    settings = fields.pop("settings", {})
    model = OpenAICompatible(ServerSettings(server.url, MODEL, timeout_s=5, **settings))
    return Asker(model, "the server", RequestStore(database), **{"sleep": hurried, **fields})


def ask(
    asked: Sequence[Question[int]],
    server: BatchServer,
    database: Database,
    bounds: BatchBounds = BOUNDS,
    **fields: Any,
) -> list[Answer[int]]:
    """A run of its own, as after a restart."""
    return list(ask_all_in_batches(asked, asker(server, database, **fields), OpenBatches(database), bounds=bounds))


def said(body: Body) -> str:
    return str(body["messages"][-1]["content"])
