"""Who answers batches may call itself otherwise than who answers directly, and is paid for once all the same."""

import pytest

from neuron_assets.errors import ModelChanged
from neuron_assets.language_models.database import Database
from tests.language_models.asked_in_batches import ask
from tests.language_models.asked_numbers import questions, values
from tests.language_models.batch_server import BatchServer, batch_server


def n_submitted(server: BatchServer) -> int:
    return sum(len(server.lines(number)) for number in range(len(server.batches)))


def test_another_name_in_batches_is_told_and_what_they_answered_is_used_by_the_next_run(database: Database) -> None:
    with batch_server(name_in_batches="parrot-in-batches") as server:
        with pytest.raises(ModelChanged, match="parrot-in-batches"):
            ask(questions(30), server, database)
        n_first = n_submitted(server)
        answers = ask(questions(30), server, database)

    assert n_first == 29
    assert values(answers) == list(range(30))
    assert n_submitted(server) == 30, "the first question had been answered directly, by somebody else"


def test_once_the_names_agree_again_the_direct_one_counts(database: Database) -> None:
    with batch_server(name_in_batches="parrot-in-batches") as server:
        with pytest.raises(ModelChanged):
            ask(questions(30), server, database)
        server.name_in_batches = None
        with pytest.raises(ModelChanged):
            ask(questions(40), server, database)
        answers = ask(questions(40), server, database)

    assert values(answers) == list(range(40))
