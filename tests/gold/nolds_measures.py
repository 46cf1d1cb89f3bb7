"""The estimators of nolds, without its package.

Importing nolds 0.6.3 opens its example data as resources of a module, which Python before 3.12
refuses. Its estimators stand in one file that needs none of them.
"""

from __future__ import annotations

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any


def _load() -> Any:
    package = find_spec("nolds")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the tests of the gold features need nolds: pip install nolds")
    spec = spec_from_file_location("nolds_measures", Path(package.origin).with_name("measures.py"))
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"nolds at {package.origin} has no measures.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


measures: Any = _load()
