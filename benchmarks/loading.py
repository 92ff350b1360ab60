"""How long the Dagster definitions take to load, in a fresh process, and how much of that is Dagster itself."""

import subprocess
import sys

from benchmarks.row import Row

GOAL_SECONDS = 4.0
REPEATS = 5


def benchmark() -> list[Row]:
    """CPU seconds of the fastest of some processes, in turn; importing dagster alone beside it."""
    whole = "from neuron_assets.definitions import defs; defs()"
    alone = "import dagster"
    seconds = {script: min(_cpu_seconds(script) for _ in range(REPEATS)) for script in (whole, alone)}
    return [
        Row("loading the definitions, CPU s", f"{seconds[whole]:.2f}", f"<= {GOAL_SECONDS:g}"),
        Row("of which importing dagster, CPU s", f"{seconds[alone]:.2f}"),
    ]


def _cpu_seconds(script: str) -> float:
    timed = f"import time\n{script}\nprint(time.process_time())"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", timed], capture_output=True, text=True, check=True)
    return float(done.stdout)
