"""The eight features that every bar has, whatever the asset class.

Definitions are fixed: they are part of the meaning of a market data row, so there is nothing to
tune. Prices are those of the frame that is passed in; pass adjusted bars where splits and dividends
must not look like returns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from hf_plugins.base import Memory
from hf_plugins.enrichment import kernels
from hf_plugins.enrichment.frames import bar_times, column, continued
from hf_plugins.errors import DataError
from hf_plugins.kernels import wilder
from hf_plugins.kernels.returns import log_returns
from hf_plugins.sessions import instant, microseconds
from hf_plugins.timeframes import bars_per_year

COLUMNS: Final = (
    "return_1h",
    "return_1d",
    "volatility_20",
    "volatility_50",
    "atr",
    "trend_direction",
    "market_structure",
    "rolling_volume_20",
)
READS: Final = ("high", "low", "close", "volume")

WORDS: Final = {
    "trend_direction": {1.0: "up", 0.0: "neutral", -1.0: "down"},
    "market_structure": {1.0: "bullish", 0.0: "neutral", -1.0: "bearish"},
}
"""What the codes of the two classifications mean."""

HOUR: Final = 3_600_000_000
DAY: Final = 24 * HOUR
ATR_LENGTH: Final = 14
TREND_LENGTH: Final = 20
NEUTRAL_BAND: Final = 0.25
"""Distance from the average, in average true ranges, up to which a trend counts as neutral: a band
in units of movement means the same for one-minute bars of gold and daily bars of a share."""
PIVOT_WIDTH: Final = 5
VOLUME_WINDOW: Final = 20

_TOLERANCE_1H: Final = HOUR
# A market that closes: Tuesday's bar after Easter looks back to Monday, four days after Thursday's.
_TOLERANCE_1D: Final = 4 * DAY
_TOLERANCE_1D_OPEN: Final = HOUR
# What a recursion's start state may still weigh at the end of the declared look-back.
_REMAINDER: Final = 1e-24


@dataclass(frozen=True, eq=False)
class UniversalState:
    """What the recursive features need to go on after a row.

    Attributes:
        rows: bars so far.
        last: open time of the last bar, microseconds UTC; None before the first.
        average: of :func:`hf_plugins.enrichment.kernels.ema_continue`.
        true_range: of :func:`hf_plugins.kernels.wilder.atr_continue`.
        pivots: of :func:`hf_plugins.enrichment.kernels.structure_continue`.
    """

    rows: int
    last: int | None
    average: np.ndarray
    true_range: np.ndarray
    pivots: np.ndarray

    @classmethod
    def empty(cls) -> UniversalState:
        """The state before the first bar."""
        return cls(
            0,
            None,
            np.array(kernels.EMPTY_AVERAGE),
            wilder.empty_state(),
            kernels.empty_pivots(PIVOT_WIDTH),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values that :meth:`from_json` restores bit for bit; NaN as null."""
        arrays = {
            name: [None if math.isnan(each) else each for each in getattr(self, name).tolist()]
            for name in ("average", "true_range", "pivots")
        }
        return {"rows": self.rows, "last": self.last, **arrays}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> UniversalState:
        """Inverse of :meth:`to_json`."""
        arrays = (
            np.array([math.nan if each is None else each for each in value[name]], dtype=np.float64)
            for name in ("average", "true_range", "pivots")
        )
        return cls(value["rows"], value["last"], *arrays)


def memories(timeframe: str, calendar: str) -> dict[str, Memory]:
    """Memory of each feature, in bars of the timeframe.

    ``fading`` and ``cumulative`` ones are continued exactly by :func:`continue_universal`; an
    average true range, for one, is exact after its state and only approximate after its look-back.

    Raises:
        ConfigurationError: the timeframe is unknown.
    """
    step = microseconds(timeframe)
    wilder_rows = 1 + ATR_LENGTH + _decay(1.0 / ATR_LENGTH)
    ema_rows = TREND_LENGTH + _decay(2.0 / (TREND_LENGTH + 1))
    return {
        # Bars are at least a timeframe apart, so a span of time holds no more than this many.
        "return_1h": Memory.finite((HOUR + _TOLERANCE_1H) // step + 1),
        "return_1d": Memory.finite((DAY + _tolerance_1d(calendar)) // step + 1),
        "volatility_20": Memory.finite(21),
        "volatility_50": Memory.finite(51),
        "atr": Memory.fading(wilder_rows),
        "trend_direction": Memory.fading(max(wilder_rows, ema_rows)),
        "market_structure": Memory.cumulative(),
        "rolling_volume_20": Memory.finite(VOLUME_WINDOW),
    }


def context_rows(timeframe: str, calendar: str) -> int:
    """Bars before the first new one that :func:`continue_universal` needs."""
    finite = (each for each in memories(timeframe, calendar).values() if each.kind == "finite")
    return max(each.lookback or 1 for each in finite) - 1


def universal_features(bars: pd.DataFrame, *, timeframe: str, calendar: str) -> pd.DataFrame:
    r"""Compute the universal features of a whole history.

    ``return_1h`` and ``return_1d``: :math:`\ln(C_t / C_b)` with b the last bar that opened, and so
    closed, at least an hour or a day before bar t. By time, not by count of bars: over a missing
    bar or a weekend the base is the price that was last known at that instant. Null where that
    price is too old: by more than an hour for ``return_1h`` (an overnight gap is not the return of
    an hour) and for ``return_1d`` in a market that never closes; by more than four days for
    ``return_1d`` elsewhere. So ``return_1h`` is always null in ``4h`` and ``1d`` bars, which have
    no price of an hour ago, and a daily bar after a long weekend has the return of one session.

    ``volatility_20`` and ``volatility_50``: sample deviation of the last 20 (50) log returns from
    bar to bar, times the square root of the bars in a year of this calendar and timeframe; a
    fraction a year.

    ``atr``: average true range over 14 bars by Wilder's smoothing, in price units.

    ``trend_direction``: the close against its exponential average over 20 bars (seeded with their
    mean): 1 (up) above it by more than a quarter of ``atr``, -1 (down) below it by more than that,
    0 (neutral) between.

    ``market_structure``: 1 (bullish) when the last two confirmed pivot highs rise and the last two
    confirmed pivot lows rise, -1 (bearish) when both fall, 0 (neutral) otherwise. A pivot needs 5
    bars on each side and counts from the fifth bar after it on, when it is known.

    ``rolling_volume_20``: mean volume of the last 20 bars, the current one included.

    Args:
        bars: shape (n_bars, at least 4), columns :data:`READS`, indexed by UTC open time, strictly
            increasing, at least a timeframe apart.
        timeframe: of the bars.
        calendar: of the instrument: ``24/7``, ``24/5`` or the code of an exchange.

    Returns:
        shape (n_bars, 8), float64 columns :data:`COLUMNS`, the index of ``bars``. Null during the
        warm-up of each, and where an input in its window is null; a recursion starts anew after a
        null.

    Raises:
        DataError: a column is missing, or the index breaks its contract.
        ConfigurationError: the timeframe is unknown.
    """
    empty = UniversalState.empty()
    return continue_universal(bars, empty, timeframe=timeframe, calendar=calendar)[0]


def continue_universal(
    bars: pd.DataFrame, state: UniversalState, *, timeframe: str, calendar: str
) -> tuple[pd.DataFrame, UniversalState]:
    """Compute the features of the bars that follow ``state``, with the bits of a whole computation.

    Args:
        bars: as for :func:`universal_features`: the last :func:`context_rows` bars up to the one
            that the state ends at (all of them where there are fewer; none for an empty state),
            then the new ones.
        state: after the last bar of the context; not changed.
        timeframe: of the bars.
        calendar: of the instrument.

    Returns:
        The features of the new bars alone, and the state after the last of them.

    Raises:
        DataError: the context does not end where the state does, or is too short.
    """
    times = bar_times(bars, timeframe)
    new = continued(times, state.last)
    needed = min(state.rows, context_rows(timeframe, calendar))
    if new < needed:
        raise DataError(
            f"{new} bars before {instant(times[new]) if new < len(times) else 'the new ones'} are "
            f"given as context; the universal features need {needed}"
        )
    high, low, close, volume = (column(bars, name) for name in READS)
    year = bars_per_year(calendar, timeframe)
    returns = log_returns(close)
    average, average_state = kernels.ema_continue(close[new:], TREND_LENGTH, state.average)
    true_range, range_state = wilder.atr_continue(
        high[new:], low[new:], close[new:], ATR_LENGTH, state.true_range
    )
    structure, pivots = kernels.structure_continue(high[new:], low[new:], PIVOT_WIDTH, state.pivots)
    values = {
        "return_1h": kernels.log_return_since(times, close, HOUR, _TOLERANCE_1H)[new:],
        "return_1d": kernels.log_return_since(times, close, DAY, _tolerance_1d(calendar))[new:],
        "volatility_20": kernels.trailing_deviation(returns, 20)[new:] * math.sqrt(year),
        "volatility_50": kernels.trailing_deviation(returns, 50)[new:] * math.sqrt(year),
        "atr": true_range,
        "trend_direction": _direction(close[new:], average, true_range),
        "market_structure": structure,
        "rolling_volume_20": kernels.trailing_mean(volume, VOLUME_WINDOW)[new:],
    }
    after = UniversalState(
        state.rows + len(times) - new,
        int(times[-1]) if len(times) else state.last,
        average_state,
        range_state,
        pivots,
    )
    return pd.DataFrame(values, index=bars.index[new:], columns=list(COLUMNS)), after


def in_words(features: pd.DataFrame) -> pd.DataFrame:
    """Replace the codes of the classifications with their words, for people; nulls stay null."""
    shown = features.copy()
    for name, words in WORDS.items():
        if name in shown.columns:
            shown[name] = shown[name].map(words.get)
    return shown


def _direction(close: np.ndarray, average: np.ndarray, true_range: np.ndarray) -> np.ndarray:
    distance = close - average
    # In a flat series both are 0, but for the rounding of the average.
    band = np.maximum(NEUTRAL_BAND * true_range, wilder.FLAT * np.abs(average))
    values = np.where(np.abs(distance) <= band, 0.0, np.sign(distance))
    values[np.isnan(distance) | np.isnan(true_range)] = np.nan
    return values


def _tolerance_1d(calendar: str) -> int:
    return _TOLERANCE_1D_OPEN if calendar == "24/7" else _TOLERANCE_1D


def _decay(weight: float) -> int:
    return math.ceil(math.log(_REMAINDER) / math.log1p(-weight))
