"""What exists: the Dagster graph.

Components, partitions, automation, checks, jobs and the YAML that declares the items. An asset's
body resolves inputs, calls a plugin, publishes and reports; it holds no business logic.
"""

import warnings

import dagster as dg

# What is in beta or preview in Dagster was chosen knowingly and is pinned and tested; a screen full
# of warnings at every load would hide the one that matters.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

from hf_assets.components import Feature as Feature  # noqa: E402
from hf_assets.components import FeatureQuality as FeatureQuality  # noqa: E402
from hf_assets.components import MarketData as MarketData  # noqa: E402
from hf_assets.components import Model as Model  # noqa: E402
from hf_assets.components import Scores as Scores  # noqa: E402
from hf_assets.components import SideData as SideData  # noqa: E402
from hf_assets.components import Signal as Signal  # noqa: E402
from hf_assets.components import Strategy as Strategy  # noqa: E402
