"""The code location: everything declared under ``defs``, built and merged. Nothing else."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from hf_assets.build import build_definitions


@dg.definitions
def defs() -> dg.Definitions:
    """Load the project that this file belongs to."""
    return build_definitions(dg.ComponentTree.for_project(Path(__file__).parent))
