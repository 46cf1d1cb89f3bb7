"""The code location: everything declared under ``defs``, built and merged. Nothing else."""

from __future__ import annotations

import dagster as dg

from hf_assets.build import build_definitions
from hf_assets.location import component_tree


@dg.definitions
def defs() -> dg.Definitions:
    """Load the project of this installation."""
    return build_definitions(component_tree())
