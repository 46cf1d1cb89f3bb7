"""When bars are fetched: schedules after the close, and sensors that watch the sources.

Both only ask for partitions of the raw bars; what a fetch finds, and whether anything below follows
from it, is decided elsewhere. Each market data document has a schedule per calendar of its symbols
and one sensor. They are there in any case, and run from the start where the document says
``schedule`` or ``watch``.

Symbols that share timeframes and stand together in the universe file are fetched in one run, one
after the other; a document with a ``pool_limit`` gets as many runs as its pool lets work at once.
"""

# No `from __future__ import annotations`: Dagster reads the annotations of decorated functions.

import json
import math
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import dagster as dg

from hf_assets import partitions
from hf_assets.components import MarketData
from hf_assets.events import latest_event_ids
from hf_assets.items import DEFAULT_SOURCE
from hf_assets.partitions import partition_key, symbol_and_timeframe
from hf_assets.project import Project
from hf_assets.tasks import Partition
from hf_plugins.errors import HfError
from hf_plugins.versioning import canonical_json, sha256_hex
from hf_resources.closes import has_session, regular_close
from hf_resources.instruments import Instrument

BARS: Final = dg.AssetKey(["market_data", "bars"])
FETCHED: Final = (BARS, dg.AssetKey(["market_data", "quarantine"]))
"""What one fetch yields; Dagster wants all of it asked for."""
PARTITIONS_PER_RUN: Final = 200
BUDGET_SECONDS: Final = 40.0
"""Time that a look at a source may take: Dagster ends a sensor's tick after 60 seconds."""
TRIES: Final = 3
"""Runs for one marker, where they fail."""

_MINUTES_PER_DAY: Final = 24 * 60
_RANGE: Final = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
_PARTITION: Final = "dagster/partition"
_UNFINISHED: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class Feed:
    """A market data document with what it serves."""

    component: MarketData
    project: Project
    instruments: tuple[Instrument, ...]
    covered: dg.MultiPartitionsDefinition

    @property
    def name(self) -> str:
        """Name of the document."""
        return self.component.item.name

    def offered(self, instrument: Instrument) -> tuple[str, ...]:
        """The timeframes of the universe that the source has for an instrument."""
        offered = self.project.sources[instrument.symbol].timeframes(instrument)
        return tuple(each for each in self.project.universe.timeframes if each in offered)

    def requests(
        self, wanted: Collection[Partition], *, key: str, asked_by: str
    ) -> list[dg.RunRequest]:
        """Runs that fetch some partitions; ``key`` names the occasion and is part of run keys."""
        universe = self.project.universe
        at_once = self.component.item.pool_limit or 1
        size = min(PARTITIONS_PER_RUN, math.ceil(len(wanted) / at_once)) if wanted else 1
        return run_requests(
            blocks(wanted, universe.symbols, universe.timeframes, size),
            assets=FETCHED,
            name=self.name,
            key=key,
            tags={"hf/requested_by": asked_by, "hf/market_data": self.name},
        )


def feed_definitions(project: Project) -> dg.Definitions:
    """The schedules and sensors of all market data documents."""
    universe = project.universe
    covered = partitions.by_symbol(universe.symbols, universe.timeframes)
    schedules: list[dg.ScheduleDefinition] = []
    sensors: list[dg.SensorDefinition] = []
    for name, component in project.market_data.items():
        served = tuple(
            instrument
            for instrument in universe.instruments
            if (instrument.source or DEFAULT_SOURCE) == name
        )
        if not served:
            continue
        feed = Feed(component, project, served, covered)
        for calendar in dict.fromkeys(instrument.calendar for instrument in served):
            schedules.append(_schedule(feed, calendar))
        sensors.append(_sensor(feed))
    return dg.Definitions(schedules=schedules, sensors=sensors)


def blocks(
    wanted: Collection[Partition],
    symbols: Sequence[str],
    timeframes: Sequence[str],
    size: int,
) -> Iterator[list[Partition]]:
    """Partitions as blocks that a range of partition keys describes.

    A run over a range takes every symbol between its ends with every timeframe between its ends, so
    a block holds neighbours in both, of at most ``size`` partitions (one symbol's timeframes at
    least).
    """
    by_symbol: dict[str, list[int]] = {}
    for symbol, timeframe in wanted:
        by_symbol.setdefault(symbol, []).append(timeframes.index(timeframe))
    stretches: dict[tuple[int, int], list[int]] = {}
    for position, symbol in enumerate(symbols):
        for stretch in _stretches(by_symbol.get(symbol, ())):
            stretches.setdefault(stretch, []).append(position)
    for (first, last), positions in stretches.items():
        chosen = timeframes[first : last + 1]
        rows = max(1, size // len(chosen))
        for start, end in _stretches(positions):
            for begin in range(start, end + 1, rows):
                part = symbols[begin : min(begin + rows, end + 1)]
                yield [(symbol, timeframe) for symbol in part for timeframe in chosen]


def run_requests(
    wanted: Iterable[Sequence[Partition]],
    *,
    assets: Sequence[dg.AssetKey],
    name: str,
    key: str,
    tags: Mapping[str, str],
) -> list[dg.RunRequest]:
    """A run for each block of partitions; ``name`` and ``key``, the occasion, make its run key."""
    found = []
    for block in wanted:
        first, last = (str(partition_key(*block[end])) for end in (0, -1))
        single = first == last
        found.append(
            dg.RunRequest(
                run_key=f"{name}|{first if single else f'{first}..{last}'}|{key}",
                partition_key=first if single else None,
                asset_selection=list(assets),
                tags=dict(tags)
                if single
                else {**tags, **dict(zip(_RANGE, (first, last), strict=True))},
            )
        )
    return found


def _stretches(positions: Collection[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of consecutive numbers."""
    start = end = None
    for position in sorted(positions):
        if start is None or end is None or position != end + 1:
            if start is not None and end is not None:
                yield start, end
            start = position
        end = position
    if start is not None and end is not None:
        yield start, end


# ---------------------------------------------------------------------------------- schedules


def _schedule(feed: Feed, calendar: str) -> dg.ScheduleDefinition:
    """Fetches the symbols of a calendar after each of its sessions.

    The time is that of the regular close plus the lag, by the clock of the market; on half days it
    is the same time, hours after the close. It is judged by the session that closed then, so that a
    lag over midnight does not move a Friday's bars to a Saturday without a session.
    """
    item = feed.component.item
    close = regular_close(calendar)
    days, minute = divmod(close.minutes + item.lag, _MINUTES_PER_DAY)
    served = [each for each in feed.instruments if each.calendar == calendar]

    @dg.schedule(
        name=f"fetch_{feed.name}_{calendar.replace('/', '_')}",
        cron_schedule=f"{minute % 60} {minute // 60} * * *",
        execution_timezone=close.zone,
        target=list(FETCHED),
        default_status=(
            dg.DefaultScheduleStatus.RUNNING if item.schedule else dg.DefaultScheduleStatus.STOPPED
        ),
        description=(
            f"Fetches the bars of {len(served)} symbols of '{feed.name}' {item.lag} minutes after "
            f"the close of {calendar}, on days with a session."
        ),
    )
    def fetch(context: dg.ScheduleEvaluationContext) -> Any:
        at = context.scheduled_execution_time.astimezone(ZoneInfo(close.zone))
        session = at.date() - timedelta(days=days)
        if not has_session(calendar, session):
            return dg.SkipReason(f"{calendar} has no session on {session:%A %Y-%m-%d}")
        wanted = [(each.symbol, timeframe) for each in served for timeframe in feed.offered(each)]
        if not wanted:
            return dg.SkipReason(
                f"'{feed.name}' has none of the timeframes of the universe for the symbols of "
                f"{calendar}"
            )
        return feed.requests(wanted, key=session.isoformat(), asked_by="schedule")

    return fetch


# ------------------------------------------------------------------------------------ sensors


@dataclass(frozen=True)
class Look:
    """What a sensor saw of a partition when it last asked for it.

    Attributes:
        marker: of the source; empty where it has none.
        tries: runs that were asked for since the marker changed.
        event: storage id of the partition's latest event then; 0 for none. A later one tells that a
            fetch succeeded.
    """

    marker: str
    tries: int
    event: int


@dataclass
class Cursor:
    """What a sensor knows from tick to tick, as JSON.

    Attributes:
        next: symbol to go on with; empty for the first one.
        seen: by partition.
    """

    next: str = ""
    seen: dict[Partition, Look] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """From the text that :meth:`dump` made; empty without one."""
        if not text:
            return cls()
        stored = json.loads(text)
        seen = {symbol_and_timeframe(key): Look(*look) for key, look in stored["seen"].items()}
        return cls(stored["next"], seen)

    def dump(self) -> str:
        """As text."""
        seen = {
            str(partition_key(*partition)): [look.marker, look.tries, look.event]
            for partition, look in self.seen.items()
        }
        return json.dumps({"next": self.next, "seen": seen}, separators=(",", ":"))


def _sensor(feed: Feed) -> dg.SensorDefinition:
    """Asks for the partitions whose marker at the source is not the one that was last fetched.

    A partition that was never asked for counts as changed, so a symbol that is new in the universe
    file is fetched at the first look. One whose run failed is asked for again, up to
    :data:`TRIES` times for a marker. While a run for a partition is unfinished it is left for a
    later look, and a symbol whose marker cannot be read is told in the log and left out.
    """
    item = feed.component.item

    @dg.sensor(
        name=f"watch_{feed.name}",
        asset_selection=dg.AssetSelection.assets(*FETCHED),
        minimum_interval_seconds=item.watch_seconds,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if item.watch else dg.DefaultSensorStatus.STOPPED
        ),
        description=(
            f"Looks at the source of '{feed.name}' and fetches what is new, {item.watch_symbols} "
            "symbols a look, in turn."
        ),
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        cursor = Cursor.parse(context.cursor)
        markers, cursor.next, failures = _markers(feed, cursor.next)
        for label, error in failures.items():
            context.log.warning(f"{label}: {error}", exc_info=not isinstance(error, HfError))
        events = latest_event_ids(
            context.instance, BARS, [str(partition_key(*each)) for each in markers]
        )
        busy = in_flight(context.instance, feed.covered)
        wanted: list[Partition] = []
        given_up = 0
        for partition, marker in markers.items():
            event = events.get(str(partition_key(*partition)), 0)
            look = cursor.seen.get(partition)
            if look is None or look.marker != marker:
                look = Look(marker, 0, event)
            elif event != look.event:
                continue  # fetched since it was asked for
            if partition in busy:
                continue
            if look.tries >= TRIES:
                given_up += 1
                continue
            cursor.seen[partition] = replace(look, tries=look.tries + 1, event=event)
            wanted.append(partition)
        known = {symbol_and_timeframe(key) for key in feed.covered.get_partition_keys()}
        cursor.seen = {each: look for each, look in cursor.seen.items() if each in known}
        if not wanted:
            told = [f"nothing new in {len(markers)} of {len(feed.instruments)} symbols' bars"]
            told += [f"{len(failures)} could not be looked at (see the log)"] * bool(failures)
            told += [f"{given_up} failed {TRIES} times and wait for a change"] * bool(given_up)
            return dg.SensorResult(skip_reason="; ".join(told), cursor=cursor.dump())
        asked = [(each, cursor.seen[each].marker, cursor.seen[each].tries) for each in wanted]
        _, marker, tries = asked[0]
        key = f"{marker}|{tries}" if len(asked) == 1 else sha256_hex(canonical_json(asked))[:16]
        requests = feed.requests(wanted, key=key, asked_by="watch")
        return dg.SensorResult(run_requests=requests, cursor=cursor.dump())

    return watch


def _markers(feed: Feed, first: str) -> tuple[dict[Partition, str], str, dict[str, Exception]]:
    """Markers of the symbols whose turn it is, the symbol to go on with, and what failed."""
    symbols = [instrument.symbol for instrument in feed.instruments]
    begin = symbols.index(first) if first in symbols else 0
    turn = (*feed.instruments[begin:], *feed.instruments[:begin])
    deadline = time.monotonic() + BUDGET_SECONDS
    markers: dict[Partition, str] = {}
    failures: dict[str, Exception] = {}
    looked = 0
    for instrument in turn[: feed.component.item.watch_symbols]:
        if looked and time.monotonic() > deadline:
            break
        looked += 1
        source = feed.project.sources[instrument.symbol]
        try:
            for timeframe in feed.offered(instrument):
                marker = source.marker(instrument, timeframe)
                markers[instrument.symbol, timeframe] = marker or ""
        except Exception as error:  # the other symbols must not wait for this one
            failures[instrument.symbol] = error
    return markers, turn[looked % len(turn)].symbol, failures


def in_flight(
    instance: dg.DagsterInstance, covered: dg.PartitionsDefinition, asset: dg.AssetKey = BARS
) -> set[Partition]:
    """Partitions of an asset, by default the bars, that unfinished runs are to fetch."""
    found: set[Partition] = set()
    for run in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED)):
        if asset not in (run.asset_selection or ()):
            continue
        if all(tag in run.tags for tag in _RANGE):
            ends = dg.PartitionKeyRange(*(run.tags[tag] for tag in _RANGE))
            found |= {
                symbol_and_timeframe(key) for key in covered.get_partition_keys_in_range(ends)
            }
        elif _PARTITION in run.tags:
            found.add(symbol_and_timeframe(run.tags[_PARTITION]))
    return found


__all__ = ["Cursor", "Feed", "Look", "blocks", "feed_definitions", "in_flight", "run_requests"]
