"""The 107 gold features of "107 Features for Gold": six one-minute instruments in, features out.

``compute`` makes the whole matrix; ``LiveFeatures`` carries it on, bar by bar, to the same bits;
``plugins`` offers the whole and each family as feature plugins. Kernels are in
:mod:`hf_plugins.kernels.gold`.
"""

from __future__ import annotations

from hf_plugins.features.gold.compute import compute
from hf_plugins.features.gold.families import FAMILIES, families, names
from hf_plugins.features.gold.inversion import INVERTED
from hf_plugins.features.gold.live import LiveFeatures

__all__ = ["FAMILIES", "INVERTED", "LiveFeatures", "compute", "families", "names"]
