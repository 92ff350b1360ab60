"""What the tests of asking share: a database of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from neuron_assets.language_models.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(str(tmp_path / "requests.sqlite"))
    yield database
    database.close()
