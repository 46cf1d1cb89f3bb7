"""The disk cache of compiled kernels knows when a kernel of another module has changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CALLEE = """
from numba import njit

@njit(cache=True)
def half(x):
    return x * {factor}
"""
CALLER = """
from numba import njit
from hf_plugins.kernels.gold.trial_callee import half

@njit(cache=True)
def halved(x):
    return half(x) + 0.0
"""
RUN = """
import sys
from pathlib import Path
import hf_plugins.kernels.gold as package
package.__path__.append({folder!r})
from hf_plugins.kernels.gold.trial_caller import halved
value = halved(8.0)
hits = sum(halved.stats.cache_hits.values())
print(value, hits)
"""


@pytest.fixture
def run(tmp_path):
    def compiled(factor: float) -> tuple[float, int]:
        """Value and cache hits of a fresh process, with a callee that multiplies by ``factor``."""
        (tmp_path / "trial_callee.py").write_text(CALLEE.format(factor=factor))
        (tmp_path / "trial_caller.py").write_text(CALLER)
        done = subprocess.run(
            [sys.executable, "-c", RUN.format(folder=str(tmp_path))],
            cwd=ROOT,
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        value, hits = done.stdout.split()
        return float(value), int(hits)

    return compiled


def test_a_changed_callee_in_another_module_is_compiled_into_its_caller(run):
    assert run(0.5) == (4.0, 0)
    assert run(0.5) == (4.0, 1)  # nothing changed: from the disk
    assert run(0.25) == (2.0, 0)
