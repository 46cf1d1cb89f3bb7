"""Enrichment of raw bars: eight universal and eight crypto features, and the row they are part of.

``universal`` and ``crypto`` compute, ``schema`` describes every field of a market data row as data,
``kernels`` holds the loops. Where bars come from and where rows are kept belongs elsewhere.
"""

from hf_plugins.enrichment.crypto import crypto_features, taker_sell_volume
from hf_plugins.enrichment.universal import (
    UniversalState,
    continue_universal,
    in_words,
    universal_features,
)

__all__ = [
    "UniversalState",
    "continue_universal",
    "crypto_features",
    "in_words",
    "taker_sell_volume",
    "universal_features",
]
