"""What may import what: heavy libraries only inside functions, so that every process starts fast.

The direction between the three packages is a contract of import-linter in pyproject.toml.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("hf_assets", "hf_plugins", "hf_resources")

# Each takes more than a second to import, or has a licence that core must not depend on.
HEAVY = frozenset(
    {
        "backtrader",
        "catboost",
        "lightgbm",
        "mlflow",
        "skops",
        "sklearn",
        "torch",
        "transformers",
        "tsfresh",
        "vectorbt",
        "xgboost",
    }
)
# As in the contract "Plugins are pure" of import-linter, which this repeats for one file at a time.
NEVER_IN_PLUGINS = frozenset({"dagster", "obstore", "requests", "sqlalchemy"})


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(node: ast.AST, *, inside_functions: bool) -> Iterator[tuple[int, str]]:
    """Line and top-level name of each import below a node; type-checking blocks do not run."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((child.lineno, alias.name.partition(".")[0]) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield child.lineno, (child.module or "").partition(".")[0]
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            if inside_functions:
                yield from imports(child, inside_functions=True)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from imports(other, inside_functions=inside_functions)
        else:
            yield from imports(child, inside_functions=inside_functions)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_heavy_libraries_are_imported_inside_functions(path: Path):
    found = [
        f"{name_of(path)}:{line} imports {name}"
        for line, name in imports(ast.parse(path.read_text()), inside_functions=False)
        if name in HEAVY
    ]
    assert found == []


@pytest.mark.parametrize("path", sorted((ROOT / "hf_plugins").rglob("*.py")), ids=name_of)
def test_plugins_are_pure_even_inside_functions(path: Path):
    found = [
        f"{name_of(path)}:{line} imports {name}"
        for line, name in imports(ast.parse(path.read_text()), inside_functions=True)
        if name in NEVER_IN_PLUGINS
    ]
    assert found == []


def test_the_check_sees_what_runs_at_import():
    source = (
        "import torch\n"
        "from sklearn.tree import X\n"
        "try:\n    import mlflow\nexcept ImportError:\n    pass\n"
        "class A:\n    import skops.io\n"
        "if TYPE_CHECKING:\n    import vectorbt\n"
        "def f():\n    import lightgbm\n"
    )
    tree = ast.parse(source)
    assert [name for _, name in imports(tree, inside_functions=False)] == [
        "torch",
        "sklearn",
        "mlflow",
        "skops",
    ]
    assert "lightgbm" in [name for _, name in imports(tree, inside_functions=True)]


def test_definitions_load_nothing_heavy(tmp_path: Path):
    script = "import sys, hf_assets.definitions; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "HF_HOME": str(tmp_path), "DAGSTER_HOME": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert sorted(loaded & HEAVY) == []
