"""Errors of runs, of where Dagster notes them, and of the tables they make."""

from collections.abc import Sequence

from neuron_assets.errors.root import NeuronAssetsError


class RunFailed(NeuronAssetsError):
    def __init__(self, run: str, error: BaseException) -> None:
        super().__init__(
            f"The run {run!r} failed: {type(error).__name__}: {error}. "
            "What was made before it stays; the Dagster UI shows the run and its log."
        )


class HomeUnusable(NeuronAssetsError):
    def __init__(self, home: object, reason: str) -> None:
        super().__init__(
            f"Dagster cannot work in its home {home}: {reason}. Check that the folder is writable and the disk has "
            "room, or set DAGSTER_HOME to another one; the tables that were made stay."
        )


class HistoryUnusable(NeuronAssetsError):
    def __init__(self, settings: object, reason: str) -> None:
        super().__init__(
            f"Dagster cannot work with its database, named under `storage` in {settings}: {reason}. Check that the "
            "server runs, lets you in and has room; the tables that were made stay."
        )


class TableError(NeuronAssetsError):
    """A table cannot be read, trusted or written."""


class MissingTable(TableError, FileNotFoundError):
    def __init__(self, path: object, asset: str) -> None:
        super().__init__(f"{path} does not exist. Materialize {asset} first.")


class NothingScored(TableError):
    def __init__(self, study: str) -> None:
        super().__init__(f"No layer of {study} has scores that stand. Materialize scores first.")


class UnreadableTable(TableError):
    def __init__(self, path: object, reason: str) -> None:
        super().__init__(
            f"{path} is not a table of this package, or is damaged ({reason}). "
            "Remove it and materialize its asset again."
        )


class InvalidTable(TableError):
    def __init__(self, table: str, problems: Sequence[str]) -> None:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"The table {table} does not keep its schema, so it was not handed on:{listed}")


class ForeignLineage(TableError):
    def __init__(self, path: object, found: str, expected: str) -> None:
        super().__init__(
            f"{path} was made by another version of the study (lineage {found}, the study now says {expected}). "
            "Materialize it again before what is made from it."
        )


class ChangedInput(TableError):
    def __init__(self, path: object, input_path: object) -> None:
        super().__init__(
            f"{path} was made from other content than {input_path} holds now. "
            "Materialize it again before what is made from it."
        )


class CheckFailed(TableError):
    def __init__(self, study: str, table: str, layer: str | None, complaint: str) -> None:
        of_layer = f" of {layer}" if layer else ""
        super().__init__(
            f"{study}: the table {table}{of_layer} was made, but fails a check, so nothing is made from it. {complaint}"
        )


class FailedWrite(TableError):
    hits_all_layers = True

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(
            f"{path} could not be written ({reason}); what stood there before is untouched. "
            "Check that the folder is writable and the disk has room, then materialize again."
        )


class FailedRemoval(TableError):
    def __init__(self, path: object, reason: str) -> None:
        super().__init__(
            f"{path} could not be removed ({reason}). What was removed before it is gone, the rest is as it was. "
            "Check that its folder is writable, then call again."
        )
