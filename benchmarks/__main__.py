"""Measures what is promised, and prints it beside its goal: `python -m benchmarks`, from the root, about nine minutes.

Names given after it choose: `python -m benchmarks memory`. A loaded machine shows in ratios of time by some hundredths.
"""

import sys
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.table import Table

from benchmarks import ablation, asking, harvest, loading, memory, passes, rules, scoring, sharing, units, viewing
from benchmarks.row import Row

BENCHMARKS: Mapping[str, Callable[[], list[Row]]] = {
    "loading": loading.benchmark,
    "rules": rules.benchmark,
    "scoring": scoring.benchmark,
    "memory": memory.benchmark,
    "harvest": harvest.benchmark,
    "passes": passes.benchmark,
    "units": units.benchmark,
    "ablation": ablation.benchmark,
    "sharing": sharing.benchmark,
    "asking": asking.benchmark,
    "viewing": viewing.benchmark,
}


def main(chosen: list[str]) -> None:
    table = Table("what", "measured", "goal")
    for name in chosen or BENCHMARKS:
        for row in BENCHMARKS[name]():
            table.add_row(row.name, row.measured, row.goal)
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
