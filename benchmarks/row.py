"""One line of the table that `python -m benchmarks` prints."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    """What was measured, with its conditions."""
    measured: str
    goal: str = ""
    """Empty where a number is only for information."""
