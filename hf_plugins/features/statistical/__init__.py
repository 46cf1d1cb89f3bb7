"""Statistical features of the price and of other columns of the bars, one module a notion."""

from hf_plugins.features.statistical.momentum import Momentum as Momentum
