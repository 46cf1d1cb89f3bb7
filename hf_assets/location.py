"""Which project this installation runs: the folder of YAML documents and the tree made of it.

A team keeps its documents in a folder of its own and names it in ``HF_DEFS``; the ones that ship
are the default. What the documents say belongs in :mod:`hf_assets.project`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

import dagster as dg

from hf_plugins.errors import ConfigurationError, nearest

VARIABLE: Final = "HF_DEFS"
UNIVERSE_FILE: Final = "universe.yaml"

_MODULE: Final = "hf_project_documents"


def component_tree() -> dg.ComponentTree:
    """The documents of the folder that ``HF_DEFS`` names, else of those that ship.

    Raises:
        ConfigurationError: the folder does not exist, or has no universe file.
    """
    named = os.environ.get(VARIABLE, "")
    if not named:
        return dg.ComponentTree.for_project(Path(__file__).parent)
    return tree_of(Path(named).expanduser().absolute())


def tree_of(folder: Path) -> dg.ComponentTree:
    """The documents of a folder.

    Raises:
        ConfigurationError: see :func:`component_tree`.
    """
    if not folder.is_dir():
        siblings = (
            [each.name for each in folder.parent.glob("*/")] if folder.parent.is_dir() else []
        )
        raise ConfigurationError(
            f"{VARIABLE} is '{folder}', which is no folder.{nearest(folder.name, siblings)}"
        )
    if not (folder / UNIVERSE_FILE).is_file():
        raise ConfigurationError(
            f"{VARIABLE} is '{folder}', which has no {UNIVERSE_FILE}; it names the folder with the "
            "documents of a project"
        )
    # Dagster imports documents by module. The folder becomes one without a file of its own.
    module = ModuleType(_MODULE)
    module.__file__ = str(folder / "__init__.py")
    module.__path__ = [str(folder)]
    sys.modules[_MODULE] = module
    return dg.ComponentTree(defs_module=module, project_root=folder)
