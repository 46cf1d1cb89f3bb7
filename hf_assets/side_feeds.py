"""When side tables are fetched: a schedule for each document that says ``every_minutes``.

As with bars (:mod:`hf_assets.feeds`), a schedule only asks for partitions of what is fetched. What
a fetch finds is decided by the source and the store; scores and features follow from data versions.
"""

# No `from __future__ import annotations`: Dagster reads the annotations of decorated functions.

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

from hf_assets.components import SideData
from hf_assets.feeds import PARTITIONS_PER_RUN, blocks, in_flight, run_requests
from hf_assets.partitions import symbol_and_timeframe
from hf_assets.project import Project
from hf_plugins.timeframes import EVENT

BEGINNING: Final = datetime(1970, 1, 5, tzinfo=UTC)
"""Intervals are counted from here, a Monday at midnight, so that every process agrees on them."""


def side_feed_definitions(
    project: Project, covered: Mapping[str, dg.PartitionsDefinition]
) -> dg.Definitions:
    """The schedules of all side tables that have one; ``covered`` are partitions by asset key."""
    schedules = [
        _schedule(name, minutes, covered[f"side_data/{name}"])
        for name, table in project.tables.items()
        if isinstance(table.component, SideData)
        and (minutes := table.component.item.every_minutes) is not None
    ]
    return dg.Definitions(schedules=schedules)


def cron_of(minutes: int) -> str:
    """The rarest regular cron times, UTC, among which are all ends of an interval.

    Cron knows no interval that does not divide the hour or the day: for one of 90 minutes it is
    every half hour, and two of three times are not due.
    """
    step = math.gcd(minutes, 60)
    if step < 60:
        return f"*/{step} * * * *"
    hours = math.gcd(minutes // 60, 24)
    return f"0 */{hours} * * *" if hours < 24 else "0 0 * * *"


def _schedule(name: str, minutes: int, covered: dg.PartitionsDefinition) -> dg.ScheduleDefinition:
    """Asks for all partitions of a table but those that an unfinished run is to fetch.

    So a source that is slower than the interval gets no queue of runs.
    """
    key = dg.AssetKey(["side_data", name])
    interval = timedelta(minutes=minutes)

    @dg.schedule(
        name=f"fetch_{name}",
        cron_schedule=cron_of(minutes),
        execution_timezone="UTC",
        target=[key],
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Fetches the side table '{name}' every {minutes:,} minutes.",
    )
    def fetch(context: dg.ScheduleEvaluationContext) -> Any:
        at = context.scheduled_execution_time.astimezone(UTC)
        since = (at - BEGINNING) % interval
        if since:
            return dg.SkipReason(
                f"'{name}' is fetched every {minutes:,} minutes; the next time is "
                f"{at - since + interval:%Y-%m-%d %H:%M} UTC"
            )
        everything = [symbol_and_timeframe(each) for each in covered.get_partition_keys()]
        busy = in_flight(context.instance, covered, key)
        wanted = [partition for partition in everything if partition not in busy]
        if not wanted:
            return dg.SkipReason(f"'{name}' is still being fetched")
        return run_requests(
            blocks(wanted, [symbol for symbol, _ in everything], [EVENT], PARTITIONS_PER_RUN),
            assets=[key],
            name=name,
            key=at.isoformat(),
            tags={"hf/requested_by": "schedule", "hf/side_data": name},
        )

    return fetch
