"""Leaks in joins: a formula that is right, on rows that were not there yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from hf_plugins.base import BaseFeature, Memory, Side
from hf_plugins.certificate import Inputs
from hf_plugins.joins import joined
from hf_plugins.testing._worlds import sample_inputs
from tests.leaks.bench import Leak

NEWS = (Side("news", ("score",), table="news"),)
COUNT = (Side("news", ("score",), table="news", join="count"),)
SUM = (Side("news", ("score",), table="news", join="sum"),)
LATE = (Side("news", ("score",), table="news", lag_minutes=90),)
DAY = (Side("day", ("close",), timeframe="1d"),)
FOUR = (Side("four", ("close",), timeframe="4h"),)
PEER = (Side("peer", ("close",)),)
INNER = (Side("peer", ("close",), join="inner"),)
REPORTS = (Side("report", ("period", "earnings"), table="reports"),)
ONE = Memory.finite(1)

Sides = Mapping[Side, Any]


def read(name: str) -> Callable[[Any], Any]:
    """A feature that passes a joined column on."""
    return lambda data: data[name]


def beside(own: Any, side: Side, values: pd.DataFrame) -> pd.DataFrame:
    """Own bars with side rows in the same order."""
    return pd.concat([own, values.set_axis(own.index).set_axis(side.names, axis=1)], axis=1)


def each(join: Callable[[Any, Side, Any], Any]) -> Any:
    """A join that takes the only side."""

    def of_all(own: Any, sides: Sides, timeframe: str, closes: Any) -> pd.DataFrame:
        ((side, frame),) = sides.items()
        return beside(own, side, join(own, side, frame.loc[:, list(side.columns)]))

    return of_all


def by_date(own: Any, side: Side, frame: Any) -> pd.DataFrame:
    daily = frame.groupby(pd.DatetimeIndex(frame.index).floor("D")).last()
    return daily.reindex(pd.DatetimeIndex(own.index).floor("D"))


def count_of_date(own: Any, side: Side, frame: Any) -> pd.DataFrame:
    daily = frame.groupby(pd.DatetimeIndex(frame.index).floor("D")).count()
    return daily.reindex(pd.DatetimeIndex(own.index).floor("D")).fillna(0.0)


def in_progress(own: Any, side: Side, frame: Any) -> pd.DataFrame:
    return frame.reindex(own.index, method="ffill")


def by_direction(method: Any) -> Any:
    return lambda own, side, frame: frame.reindex(own.index, method=method)


def at_its_open(own: Any, side: Side, frame: Any) -> pd.DataFrame:
    """Bars count from their open on, to the close of the own bar."""
    ends = pd.DatetimeIndex(own.index) + pd.Timedelta(hours=1)
    return frame.reindex(ends, method="ffill")


def by_position(own: Any, side: Side, frame: Any) -> pd.DataFrame:
    return frame.reset_index(drop=True).reindex(range(len(own)))


def to_the_bar_before(own: Any, side: Side, frame: Any) -> pd.DataFrame:
    """Articles of a weekend go to the Friday before them."""
    place = np.searchsorted(own.index, frame.index, side="right") - 1
    found = frame.loc[place >= 0].groupby(place[place >= 0]).sum()
    return found.reindex(range(len(own))).fillna(0.0)


def of_the_week(own: Any, side: Side, frame: Any) -> pd.DataFrame:
    weeks = pd.DatetimeIndex(frame.index).tz_localize(None).to_period("W")
    mine = pd.DatetimeIndex(own.index).tz_localize(None).to_period("W")
    return frame.groupby(weeks).mean().reindex(mine)


def without_lag(own: Any, sides: Sides, timeframe: str, closes: Any) -> pd.DataFrame:
    at_once = {replace(side, lag_minutes=0): frame for side, frame in sides.items()}
    return joined(own, at_once, timeframe, closes)


def without_closes(own: Any, sides: Sides, timeframe: str, closes: Any) -> pd.DataFrame:
    return joined(own, sides, timeframe)


def filled_back(own: Any, sides: Sides, timeframe: str, closes: Any) -> pd.DataFrame:
    return joined(own, sides, timeframe, closes).bfill()


def interpolated(own: Any, side: Side, frame: Any) -> pd.DataFrame:
    every = frame.index.union(own.index)
    return frame.reindex(every).interpolate("index").reindex(own.index)


def window_ahead(own: Any, sides: Sides, timeframe: str, closes: Any) -> pd.DataFrame:
    found = joined(own, sides, timeframe, closes)
    ((side, _),) = sides.items()
    names = list(side.names)
    found[names] = found[names].shift(-1)
    return found


def scaled_side(own: Any, sides: Sides, timeframe: str, closes: Any) -> pd.DataFrame:
    scaled = {side: (frame - frame.mean()) / frame.std() for side, frame in sides.items()}
    return joined(own, scaled, timeframe, closes)


def deduplicated(own: Any, sides: Sides, timeframe: str, closes: Any) -> pd.DataFrame:
    """Of articles of one day only that is kept which comes last, at the time of the first."""
    kept = {}
    for side, frame in sides.items():
        days = pd.DatetimeIndex(frame.index).floor("D")
        last = frame.groupby(days).transform("last")
        kept[side] = last.loc[~days.duplicated()]
    return joined(own, kept, timeframe, closes)


def as_revised(own: Any, sides: Sides, timeframe: str, closes: Any) -> pd.DataFrame:
    """Every period has the value that it was revised to in the end."""
    ((side, frame),) = sides.items()
    final = frame.assign(earnings=frame.groupby("period")["earnings"].transform("last"))
    return joined(own, {side: final}, timeframe, closes)


def reports(plugin: BaseFeature) -> Inputs:
    """Daily bars and quarterly reports, known 40 days after the period, revised 20 days later."""
    inputs = sample_inputs(plugin, "sessions", 400, seed=5)
    rng = np.random.default_rng(8)
    ends = pd.date_range("2019-12-31", periods=6, freq="QE", tz="UTC")
    rows = []
    for period, end in enumerate(ends):
        first = end + pd.Timedelta(days=40, hours=12)
        value = float(rng.normal())
        rows.append((first, float(period), value))
        rows.append((first + pd.Timedelta(days=20), float(period), value + float(rng.normal())))
    index = pd.DatetimeIndex([row[0] for row in rows], name="timestamp")
    frame = pd.DataFrame([row[1:] for row in rows], index, columns=["period", "earnings"])
    (side,) = plugin.sides
    return replace(inputs, sides={side: frame})


def dated(move: Callable[[pd.DatetimeIndex], pd.DatetimeIndex], hour: int = 12) -> Any:
    """The first releases, with time stamps that are not those at which they were known."""

    def make(plugin: BaseFeature) -> Inputs:
        inputs = reports(plugin)
        ((side, frame),) = inputs.sides.items()
        frame = frame.iloc[::2]
        known = pd.DatetimeIndex(frame.index).floor("D").as_unit("ns") + pd.Timedelta(hours=hour)
        wrong = frame.set_axis(move(known), axis=0)
        return replace(inputs, sides={side: wrong}, known={side: known.asi8})

    return make


BY_TIME = [
    Leak("news_by_date", "news of the same day",
         "Articles are joined by calendar date: the morning has read the evening's.",
         read("news_score"), read("news_score"), ONE, sides=NEWS, join=each(by_date)),
    Leak("count_of_date", "news of the same day", "Every bar has the number of the whole day.",
         read("news_score"), read("news_score"), ONE, sides=COUNT, join=each(count_of_date)),
    Leak("after_hours", "news of the same day",
         "An article after the close of trading counts for the day that has closed.",
         read("news_score"), read("news_score"), ONE, sides=NEWS, join=without_closes,
         world="sessions"),
    Leak("weekend_to_friday", "news of the same day",
         "Articles of a weekend are put to the Friday before.",
         read("news_score"), read("news_score"), ONE, sides=SUM, join=each(to_the_bar_before),
         world="sessions"),
    Leak("week_of_news", "news of the same day", "The mean of a week, on each of its days.",
         read("news_score"), read("news_score"), ONE, sides=NEWS, join=each(of_the_week),
         world="sessions"),
    Leak("next_article", "news of the same day",
         "The next article, as `merge_asof` finds it forwards.",
         read("news_score"), read("news_score"), ONE, sides=NEWS,
         join=each(by_direction("bfill"))),
    Leak("nearest_article", "news of the same day", "The nearest article, before or after.",
         read("news_score"), read("news_score"), ONE, sides=NEWS,
         join=each(by_direction("nearest"))),
    Leak("window_ahead", "news of the same day", "What comes until the next close is counted.",
         read("news_score"), read("news_score"), ONE, sides=COUNT, join=window_ahead),
    Leak("last_duplicate", "news of the same day",
         "Of articles of one day the last text is kept, at the time of the first.",
         read("news_score"), read("news_score"), ONE, sides=NEWS, join=deduplicated),
    Leak("lag_forgotten", "news of the same day", "The declared lag of a source is not waited for.",
         read("news_score"), read("news_score"), ONE, sides=LATE, join=without_lag),
]  # fmt: skip

COARSER = [
    Leak("day_by_date", "coarser timeframe", "The daily bar is merged on the date of the hour.",
         read("day_close"), read("day_close"), ONE, sides=DAY, join=each(by_date)),
    Leak("day_in_progress", "coarser timeframe",
         "The daily bar that has opened, and not the one that has closed.",
         read("day_close"), read("day_close"), ONE, sides=DAY, join=each(in_progress)),
    Leak("four_hours_in_progress", "coarser timeframe",
         "Four-hour bars count from their open on.",
         read("four_close"), read("four_close"), ONE, sides=FOUR, join=each(at_its_open)),
    Leak("day_filled_back", "coarser timeframe", "Hours before the first day has closed know it.",
         read("day_close"), read("day_close"), ONE, sides=DAY,
         join=each(by_direction("bfill"))),
    Leak("day_interpolated", "coarser timeframe", "Daily closes are interpolated to hours.",
         read("day_close"), read("day_close"), ONE, sides=DAY, join=each(interpolated)),
]  # fmt: skip

PEERS = [
    Leak("peer_at_its_open", "other instruments",
         "The peer's next bar opens as the own one closes, and is taken for known.",
         read("peer_close"), read("peer_close"), ONE, sides=PEER, join=each(at_its_open)),
    Leak("peer_by_position", "other instruments",
         "Rows are put beside each other by number, though the peer lacks some.",
         read("peer_close"), read("peer_close"), ONE, sides=PEER, join=each(by_position)),
    Leak("peer_scaled", "other instruments", "The peer is scaled over all time before the join.",
         read("peer_close"), read("peer_close"), ONE, sides=INNER, join=scaled_side),
    Leak("peer_filled_back", "other instruments", "What the peer lacks is filled backwards.",
         read("peer_close"), read("peer_close"), ONE, sides=PEER, join=each(
             lambda own, side, frame: frame.reindex(own.index).bfill())),
]  # fmt: skip

PUBLICATION = [
    Leak("period_end", "publication date",
         "Earnings count from the end of their quarter, 40 days before they are published.",
         read("report_earnings"), memory=ONE, sides=REPORTS,
         inputs=dated(lambda known: known - pd.Timedelta(days=40))),
    Leak("reference_month", "publication date",
         "A release is dated with the first day of the month that it is about.",
         read("report_earnings"), memory=ONE, sides=REPORTS,
         inputs=dated(lambda known: known - pd.Timedelta(days=70))),
    Leak("release_at_midnight", "publication date",
         "A release has a date and no time, and counts from the midnight before it.",
         read("report_earnings"), memory=ONE, sides=REPORTS,
         inputs=dated(lambda known: (known - pd.Timedelta(hours=16)).floor("D"))),
    Leak("clock_of_the_vendor", "publication date",
         "Stamps of another zone are read as UTC: a report of the evening counts at noon.",
         read("report_earnings"), memory=ONE, sides=REPORTS,
         inputs=dated(lambda known: known - pd.Timedelta(hours=9), hour=22)),
    Leak("as_revised", "publication date", "Revised values take the place of the first release.",
         read("report_earnings"), read("report_earnings"), ONE, sides=REPORTS, join=as_revised,
         inputs=reports),
    Leak("filled_back", "publication date", "Before the first report its value is there already.",
         read("report_earnings"), read("report_earnings"), ONE, sides=REPORTS, join=filled_back,
         inputs=reports),
]  # fmt: skip

LEAKS = [*BY_TIME, *COARSER, *PEERS, *PUBLICATION]
