"""The house stands as it was drawn: small files and functions, and a graph that loads without anything heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import neuron_assets

ROOT = Path(neuron_assets.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))


def test_a_project_of_ones_own_has_the_same_dagster_as_this_one() -> None:
    own, shipped = ROOT / "templates" / "dagster.yaml", ROOT.parent / "dagster_home" / "dagster.yaml"

    assert own.read_text(encoding="utf-8") == shipped.read_text(encoding="utf-8")


def test_no_file_is_longer_than_300_lines() -> None:
    assert not [path.name for path in SOURCES if len(path.read_text(encoding="utf-8").splitlines()) > 300]


def test_no_function_is_longer_than_50_lines() -> None:
    long = [
        f"{path.name}:{node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno + 1 > 50
    ]

    assert not long


def test_the_graph_loads_without_torch_or_anything_else_that_only_a_run_needs() -> None:
    script = (
        "import sys; from neuron_assets.definitions import defs; defs();"
        "heavy = ('torch', 'transformers', 'openai', 'scipy', 'matplotlib', 'datasets');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_help_needs_no_dagster() -> None:
    script = (
        "import sys; from click.testing import CliRunner; from neuron_assets.cli import main;"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0; print('dagster' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


def test_the_bundled_weights_are_those_of_the_card() -> None:
    import hashlib

    folder = ROOT / "subjects" / "bundled"
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    files = [folder / name for name in ("model.safetensors", "tokenizer.json")]

    assert all(hashlib.sha256(path.read_bytes()).hexdigest() in card for path in files)
    assert sum(path.stat().st_size for path in files) <= 10_000_000
