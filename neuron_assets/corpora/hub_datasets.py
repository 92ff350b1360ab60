"""A data set of the Hugging Face hub, or in a folder of its layout, as a corpus: streamed, never whole.

Here: opening it by the library `datasets`, an extra that is imported only here, and its rows. Not here: what a row is
(`documents.py`). No code of a data set is run: the library has given that up.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from neuron_assets.corpora.documents import Fields, Row, row_of_fields
from neuron_assets.errors import CorpusNeedsExtra, MissingField, UnreadableCorpus


@dataclass(frozen=True, slots=True)
class DatasetPlace:
    """Which data set, and which part of it."""

    name: str
    """ORGANISATION/NAME, or a folder."""
    revision: str | None = None
    configuration: str | None = None
    split: str = "train"


def dataset_rows(place: DatasetPlace, fields: Fields) -> Iterator[Row]:
    """Each row, by its number from 1 on; raises CorpusNeedsExtra, UnreadableCorpus or MissingField."""
    try:
        import datasets
    except ImportError as error:
        raise CorpusNeedsExtra(place.name, "datasets") from error

    try:
        dataset: Any = datasets.load_dataset(
            place.name, place.configuration, split=place.split, revision=place.revision, streaming=True
        )
        for number, values in enumerate(dataset, 1):
            if number == 1:
                _check_fields(place, fields, values)
            yield row_of_fields(values, fields, f"{place.split}:{number}")
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise UnreadableCorpus(place.name, str(error).splitlines()[0] if str(error) else repr(error)) from error


def _check_fields(place: DatasetPlace, fields: Fields, values: Mapping[str, object]) -> None:
    """All rows of a data set have the same fields."""
    for field in filter(None, (fields.text, fields.name)):
        if field not in values:
            raise MissingField(place.name, field, list(values))
