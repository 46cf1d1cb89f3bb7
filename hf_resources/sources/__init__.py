"""Where bars come from: one module per source, one contract for all.

``base`` holds the contract and the registry, ``rounding`` the precision that bars are kept in.
A new source is a module here with a class under ``@register_source("key")``.
"""

from hf_resources.sources.base import (
    Source,
    create_source,
    get_source,
    register_source,
    source_keys,
)

__all__ = [
    "Source",
    "create_source",
    "get_source",
    "register_source",
    "source_keys",
]
