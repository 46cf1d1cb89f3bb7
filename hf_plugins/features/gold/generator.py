r"""Six related instruments of one-minute bars from a seed: what the gold features are tried on.

Only made-up data belongs here; real bars come from the lake. The numbers are those of a market
that looks like gold and its neighbours without being a copy of any: trading hours on the New York
clock, hence one hour earlier in UTC while New York has summer time, bars that are missing for each
instrument on its own, prices on a grid of ticks, tick volumes that follow the activity, and bars
without a single tick.

The model, per minute :math:`t` and instrument :math:`i`:

.. math:: r_{i,t} = \sigma_i \, s_t \left(e_{i,t} - 0.05\, e_{i,t-1}\right), \qquad
          e_{i,t} = \sum_f \beta_{i,f}\, f_t + \gamma_i\, u_{i,t}

with common factors :math:`f` (dollar, metals, equities) and own shocks :math:`u`, all Student t
with 5 degrees of freedom and unit variance, :math:`\gamma_i` such that :math:`e` has unit variance.
The scale :math:`s_t` is a profile of the day (London open, American data, New York cash open) times
the exponential of an hourly first-order autoregression, so that volatility clusters. The small
negative term is the bounce between bid and ask. The logarithm of VIX is pulled back to its mean
with a half-life of about a week; the other prices walk at random, without drift.

Nothing in it predicts anything beyond that bounce, which is smaller than any cost: what a strategy
earns on these bars is luck.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from hf_plugins.errors import ConfigurationError

NEW_YORK: Final = "America/New_York"
LONDON: Final = "Europe/London"

WEEK_MINUTES: Final = 5 * 1440 - 60
"""From Sunday 18:00 to Friday 17:00 in New York."""

FACTORS: Final = ("dollar", "metals", "equities")


@dataclass(frozen=True)
class Instrument:
    """How one instrument moves and when it trades.

    Attributes:
        price: at the start, and for VIX the level it returns to.
        ticks: per unit of price: 100 is a grid of 0.01.
        daily_volatility: standard deviation of a day's log return.
        loadings: on :data:`FACTORS`; their squares sum to less than 1.
        activity: ticks of an average minute.
        missing: share of minutes without a bar.
        pauses: daily, in minutes of the New York day: from, to (not included).
        pull: share of the way to its level that the log price goes back each minute.
    """

    price: float
    ticks: int
    daily_volatility: float
    loadings: tuple[float, float, float]
    activity: float
    missing: float
    pauses: tuple[tuple[int, int], ...] = ()
    pull: float = 0.0


_DAILY_BREAK: Final = (17 * 60, 18 * 60)
_AFTER_THE_CASH_CLOSE: Final = (16 * 60 + 15, 16 * 60 + 30)
_FIRST_HOUR: Final = (18 * 60, 19 * 60)

INSTRUMENTS: Final[dict[str, Instrument]] = {
    "XAUUSD": Instrument(2050.0, 100, 0.009, (-0.45, 0.70, 0.05), 90.0, 0.0005),
    "XAGUSD": Instrument(23.5, 1000, 0.017, (-0.40, 0.65, 0.15), 60.0, 0.003),
    "DXY": Instrument(103.0, 200, 0.004, (0.95, 0.00, -0.10), 20.0, 0.007, (_FIRST_HOUR,)),
    "NAS100": Instrument(
        17000.0, 10, 0.012, (-0.10, 0.00, 0.94), 120.0, 0.001, (_AFTER_THE_CASH_CLOSE,)
    ),
    "US500": Instrument(
        4800.0, 10, 0.009, (-0.10, 0.00, 0.95), 80.0, 0.001, (_AFTER_THE_CASH_CLOSE,)
    ),
    "VIX": Instrument(
        15.0, 100, 0.06, (0.05, 0.00, -0.78), 8.0, 0.01, (_AFTER_THE_CASH_CLOSE,), 1e-4
    ),
}

_TAILS: Final = 5.0
_BOUNCE: Final = -0.05
_HOURLY_PERSISTENCE: Final = 0.95
_HOURLY_NOISE: Final = 0.15
_OUTAGES_A_WEEK: Final = 0.5
_OUTAGE_MINUTES: Final = 12.0
_IDLE: Final = 0.002


@dataclass
class _State:
    """What one week hands to the next: log prices, last shocks, log volatility."""

    log_price: dict[str, float]
    shock: dict[str, float]
    volatility: float


def generate(rows: int, seed: int = 0, *, start: str = "2024-01-01") -> dict[str, pd.DataFrame]:
    """Bars of the six instruments that the gold features read.

    The weeks are drawn one after the other, each from a generator of its own, so a longer sample
    begins with the shorter one. The draws are NumPy's ``default_rng``; elementary functions may
    differ in their last bit between platforms, which the rounding to ticks all but removes.

    Args:
        rows: minutes for which all six instruments have a bar, that is, rows after the inner join;
            the join drops about 9 % of those of gold.
        seed: of the generator, 0 or more.
        start: date; the first week starts on the first Sunday on or after it.

    Returns:
        One frame per key of :data:`INSTRUMENTS`: float64 columns open, high, low, close, volume
        (number of ticks); UTC index ``timestamp`` of the minutes in which the bars open, sorted,
        without duplicates. The last common minute ends all of them.

    Raises:
        ConfigurationError: rows below 1, a negative seed, or a start that is not a date.
    """
    if rows < 1:
        raise ConfigurationError(f"rows is {rows}; allowed: 1 or more")
    if seed < 0:
        raise ConfigurationError(f"seed is {seed}; allowed: 0 or more")
    sunday = _first_sunday(start)
    state = _State(
        log_price={name: float(np.log(made.price)) for name, made in INSTRUMENTS.items()},
        shock=dict.fromkeys(INSTRUMENTS, 0.0),
        volatility=0.0,
    )
    weeks: list[dict[str, pd.DataFrame]] = []
    common: list[pd.DatetimeIndex] = []
    found, week = 0, 0
    while found < rows:
        rng = np.random.default_rng([seed, week])
        weeks.append(_week(sunday + dt.timedelta(weeks=week), state, rng))
        common.append(_shared_minutes(weeks[-1]))
        found += len(common[-1])
        week += 1
    last = common[-1][len(common[-1]) - 1 - (found - rows)]
    joined = {name: pd.concat([frames[name] for frames in weeks]) for name in INSTRUMENTS}
    return {name: frame.loc[:last] for name, frame in joined.items()}


def _first_sunday(start: str) -> dt.date:
    try:
        day = dt.date.fromisoformat(start)
    except ValueError as error:
        raise ConfigurationError(
            f"start '{start}' is no date; allowed: a date such as 2024-01-01"
        ) from error
    return day + dt.timedelta(days=6 - day.weekday())


def _shared_minutes(frames: dict[str, pd.DataFrame]) -> pd.DatetimeIndex:
    stamps, *others = (frame.index for frame in frames.values())
    for other in others:
        stamps = stamps.intersection(other)
    return pd.DatetimeIndex(stamps)


def _week(sunday: dt.date, state: _State, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """The trading week that opens on ``sunday``; ``state`` moves on to its end.

    Clocks change while the market is closed, so a week has one offset from UTC.
    """
    opening = dt.datetime.combine(sunday, dt.time(18), tzinfo=ZoneInfo(NEW_YORK))
    stamps = pd.date_range(opening.astimezone(dt.UTC), periods=WEEK_MINUTES, freq="min")
    stamps = pd.DatetimeIndex(stamps.tz_convert("UTC").as_unit("ns"), name="timestamp")
    clock = (18 * 60 + np.arange(WEEK_MINUTES)) % 1440
    closed = _between(clock, _DAILY_BREAK)
    profile = _profile(clock, _minute_of_day(stamps, LONDON))
    scale = profile * np.exp(_hourly_volatility(state, rng))
    # Nothing trades in the break: its shocks are not drawn away but left out of the path. The
    # first minute after it carries what happened meanwhile.
    reopening = np.r_[True, closed[:-1] & ~closed[1:]]
    moves = np.where(closed, 0.0, scale * np.where(reopening, 5.0, 1.0))
    common = _shocks(rng, len(FACTORS))
    frames = {}
    for name, made in INSTRUMENTS.items():
        path = _log_path(name, made, common, moves, state, rng)
        frame = _bars(made, path, scale, rng)
        frame.index = stamps
        traded = ~closed & ~_absent(made, profile, rng)
        for pause in made.pauses:
            traded &= ~_between(clock, pause)
        frames[name] = frame[traded]
    return frames


def _minute_of_day(stamps: pd.DatetimeIndex, zone: str) -> np.ndarray:
    local = stamps.tz_convert(zone)
    return np.asarray(local.hour * 60 + local.minute)


def _between(clock: np.ndarray, span: tuple[int, int]) -> np.ndarray:
    return (clock >= span[0]) & (clock < span[1])


def _profile(new_york: np.ndarray, london: np.ndarray) -> np.ndarray:
    """Relative volatility of the minutes of a day, about 1 on average."""

    def bump(clock: np.ndarray, centre: int, width: float) -> np.ndarray:
        return np.exp(-(((clock - centre) / width) ** 2))

    return (
        0.55
        + 0.5 * bump(london, 8 * 60 + 30, 90.0)
        + 1.2 * bump(new_york, 8 * 60 + 30, 15.0)
        + 1.3 * bump(new_york, 9 * 60 + 45, 60.0)
        + 0.5 * bump(new_york, 11 * 60 + 30, 150.0)
    )


def _hourly_volatility(state: _State, rng: np.random.Generator) -> np.ndarray:
    """Log of the clustering part of the scale, constant within an hour."""
    hours = WEEK_MINUTES // 60
    levels = np.empty(hours)
    for hour, noise in enumerate(rng.normal(0.0, _HOURLY_NOISE, hours)):
        state.volatility = _HOURLY_PERSISTENCE * state.volatility + float(noise)
        levels[hour] = state.volatility
    return np.repeat(levels, 60)


def _shocks(rng: np.random.Generator, count: int) -> np.ndarray:
    """Student t with unit variance: shape (count, WEEK_MINUTES)."""
    return rng.standard_t(_TAILS, (count, WEEK_MINUTES)) / np.sqrt(_TAILS / (_TAILS - 2.0))


def _log_path(
    name: str,
    made: Instrument,
    common: np.ndarray,
    moves: np.ndarray,
    state: _State,
    rng: np.random.Generator,
) -> np.ndarray:
    """Log prices at the end of each minute, the one before the first included."""
    own = np.sqrt(1.0 - sum(loading**2 for loading in made.loadings))
    shock = own * _shocks(rng, 1)[0]
    for loading, factor in zip(made.loadings, common, strict=True):
        shock = shock + loading * factor
    before = np.r_[state.shock[name], shock[:-1]]
    returns = made.daily_volatility / np.sqrt(1380.0) * moves * (shock + _BOUNCE * before)
    # x_t = level + kept * (x_{t-1} - level) + r_t, solved over the week: `kept` to the power of a
    # week is about a half, so nothing over- or underflows.
    kept = (1.0 - made.pull) ** np.arange(1.0, WEEK_MINUTES + 1.0)
    level = float(np.log(made.price))
    away = kept * (state.log_price[name] - level + np.cumsum(returns / kept))
    path = np.r_[state.log_price[name], level + away]
    state.log_price[name] = float(path[-1])
    state.shock[name] = float(shock[-1])
    return path


def _bars(
    made: Instrument, path: np.ndarray, scale: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    """Prices on the grid and tick volumes of one instrument, one row per minute."""
    minute = made.daily_volatility / np.sqrt(1380.0) * scale
    close = np.exp(path[1:])
    opened = np.exp(path[:-1] + 0.1 * minute * rng.normal(size=WEEK_MINUTES))
    reach = np.abs(rng.normal(0.0, 0.4, (2, WEEK_MINUTES))) * minute
    high = np.maximum(opened, close) * np.exp(reach[0])
    low = np.minimum(opened, close) * np.exp(-reach[1])
    moved = np.abs(np.diff(path)) / (made.daily_volatility / np.sqrt(1380.0))
    expected = made.activity * (0.6 * scale + 0.4 * moved)
    volume = np.floor(expected * rng.lognormal(-0.08, 0.4, WEEK_MINUTES))
    idle = rng.random(WEEK_MINUTES) < _IDLE
    prices = {
        name: np.rint(np.where(idle, close, value) * made.ticks) / made.ticks
        for name, value in (("open", opened), ("high", high), ("low", low), ("close", close))
    }
    return pd.DataFrame({**prices, "volume": np.where(idle, 0.0, volume)})


def _absent(made: Instrument, profile: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Minutes without a bar: single ones, more often while it is quiet, and whole outages."""
    absent = rng.random(WEEK_MINUTES) < made.missing / profile
    for _ in range(rng.poisson(_OUTAGES_A_WEEK)):
        first = rng.integers(WEEK_MINUTES)
        absent[first : first + rng.geometric(1.0 / _OUTAGE_MINUTES)] = True
    return absent
