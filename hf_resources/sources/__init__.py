"""Where bars come from: one module per source, one contract for all.

``base`` holds the contract and the registry, ``canonical`` what every source's bars must satisfy.
A new source is a module here with a class under ``@register_source("key")``.
"""

from hf_resources.sources.base import (
    Source,
    create_source,
    get_source,
    register_source,
    source_keys,
)
from hf_resources.sources.canonical import canonical_bars

__all__ = [
    "Source",
    "canonical_bars",
    "create_source",
    "get_source",
    "register_source",
    "source_keys",
]
