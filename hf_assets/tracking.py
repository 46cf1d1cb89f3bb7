"""The record of market data in Dagster: who writes it, its checks, and quality by day.

What is recorded and how it is stored is the business of :mod:`hf_resources.tracking`. Here are the
hooks that tasks call (they never change the outcome of a run: what cannot be recorded is logged and
said in the event), the asset checks that read the record, and the asset of daily metrics.

The checks are about all series at once and hold whenever they are asked: Dagster evaluates a check
per asset, so that each names the partitions that it is about.
"""

# No `from __future__ import annotations`: Dagster reads the annotations of decorated functions.

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import dagster as dg

from hf_assets import partitions
from hf_assets.events import Provenance, latest_event_ids, partition_event, step_done
from hf_assets.items import DEFAULT_SOURCE
from hf_assets.partitions import partition_key
from hf_assets.project import Project
from hf_assets.resources import StoreResource
from hf_assets.tasks import Partition, Settled
from hf_plugins.errors import HfError
from hf_plugins.versioning import (
    canonical_json,
    code_version,
    combine_digests,
    implementation_of,
    sha256_hex,
)
from hf_resources import stored_quality
from hf_resources.datasets import Dataset
from hf_resources.ingestion import Ingestion
from hf_resources.store import DatasetStore
from hf_resources.stored_quality import Lateness, daily_quality, lateness
from hf_resources.tracking import Fetch, Tracking

BARS: Final = "market_data/bars"
QUARANTINE: Final = "market_data/quarantine"
BARS_KEY: Final = dg.AssetKey(["market_data", "bars"])
QUARANTINE_KEY: Final = dg.AssetKey(["market_data", "quarantine"])
METRICS_KEY: Final = dg.AssetKey(["market_data", "data_quality_metrics"])

DECISIVE: Final = ("asset_class", "calendar", "price_precision", "size_precision")
"""Fields of an instrument that decide what its bars are, and how they are judged."""

DAYS_PER_RUN: Final = 366
RECENT_DAYS: Final = 3
"""Days whose metrics the schedule computes again, for bars that came late."""
REVISION_DAYS: Final = 7
"""Days for which a revision stays a warning."""
SHOWN: Final = 200
"""Rows of a table in metadata; the counts are always complete."""


# ------------------------------------------------------------------------------------ recording


def begin_fetch(project: Project, partition: Partition) -> Fetch:
    """An attempt to fetch a partition, from now on."""
    symbol, timeframe = partition
    instrument, source, now = project.universe.get(symbol), project.sources[symbol], _now()
    return Fetch(
        instrument=instrument,
        timeframe=timeframe,
        source=source.key,
        started_at=now,
        finished_at=now,
        tolerance=_tolerance(project, symbol),
        clock=source.declared_clock(instrument, timeframe),
    )


def record_fetch(settled: Settled, attempt: Fetch, outcome: Ingestion) -> dict[str, Any]:
    """Record a fetch whose outcome stands; metadata for its event."""
    changed = any(
        (before := settled.standing[key]) is None or before.id != dataset.id
        for key, dataset in settled.datasets.items()
    )
    told = "\n".join(f"* {each}" for each in outcome.notes)
    notes = {"notes": dg.MetadataValue.md(told)} if told else {}
    return notes | _noted(
        "the fetch",
        lambda: Tracking(settled.store).fetched(
            replace(attempt, finished_at=_now()),
            outcome,
            before=settled.standing[BARS],
            bars=settled.datasets[BARS],
            changed=changed,
        ),
    )


def record_failure(store: DatasetStore, attempt: Fetch, error: Exception) -> None:
    """Record a fetch that failed."""
    ended = replace(attempt, finished_at=_now())
    _noted("the failed fetch", lambda: Tracking(store).failed(ended, error))


def record_computation(settled: Settled) -> dict[str, Any]:
    """Record a computation, unless nothing was computed; metadata for its event."""
    if settled.hit:
        return {}
    (dataset,) = settled.datasets.values()
    return _noted(
        "the computation",
        lambda: Tracking(settled.store).computed(
            dataset,
            at=_now(),
            seconds=settled.seconds,
            rows=settled.rows_computed,
            whole=settled.whole,
        ),
    )


def _noted(what: str, write: Callable[[], object]) -> dict[str, Any]:
    """Write a record; where that fails, whatever the reason, say so and go on."""
    try:
        write()
    except Exception as error:
        sentence = f"{what} could not be recorded: {error}"
        dg.get_dagster_logger().warning(sentence)
        return {"not_recorded": sentence}
    return {}


# -------------------------------------------------------------------------------- state of series


@dataclass(frozen=True)
class SeriesState:
    """How one series of bars stands now.

    ``status`` is its row of ``enrichment_status``, where there is one. ``undetermined`` says why it
    cannot be told whether the series is late.
    """

    partition: Partition
    bars: Dataset | None
    status: Mapping[str, Any] | None
    late: Lateness | None = None
    undetermined: str | None = None

    @property
    def key(self) -> str:
        """Partition key."""
        return str(partition_key(*self.partition))

    @property
    def error(self) -> str | None:
        """What the last fetch failed with."""
        return self.status["last_error"] if self.status else None

    @property
    def refused(self) -> bool:
        """Whether the last fetch failed by the quality policy, and not by its source."""
        return bool(self.status) and self.status["last_failure"] == "refused"

    @property
    def clock_doubt(self) -> str | None:
        """What the bars have against the clock that is declared for them; None if nothing."""
        verdict = self.status["clock"] if self.status else None
        if not verdict or not verdict["contradictions"]:
            return None
        fitting = ", ".join(verdict["fitting"]) or "none that has a name"
        return (
            f"declared is {verdict['clock']}, which {len(verdict['contradictions'])} of "
            f"{verdict['findings']} clear findings contradict; a clock that fits all: {fitting}"
        )


def series_states(project: Project, store: DatasetStore, *, now: datetime) -> list[SeriesState]:
    """All series of the universe; three queries.

    A series that was never fetched waits for its first, deliberate fetch and is not late.
    """
    heads = store.heads("market_data", "bars")
    statuses = Tracking(store).statuses()
    states = []
    for partition in _universe(project):
        bars, late, undetermined = heads.get(partition), None, None
        tolerance = _tolerance(project, partition[0])
        if bars is not None and bars.end_date is not None and tolerance is not None:
            try:
                late = lateness(
                    project.universe.get(partition[0]),
                    partition[1],
                    bars.end_date,
                    now=now,
                    tolerance=tolerance,
                )
            except HfError as error:
                undetermined = str(error)
        states.append(SeriesState(partition, bars, statuses.get(partition), late, undetermined))
    return states


def _universe(project: Project) -> list[Partition]:
    universe = project.universe
    return [(symbol, timeframe) for symbol in universe.symbols for timeframe in universe.timeframes]


def _tolerance(project: Project, symbol: str) -> timedelta | None:
    if project.sources[symbol].closed:
        return None
    return timedelta(minutes=project.policies[symbol].late_minutes)


# ---------------------------------------------------------------------------------------- checks


def quality_result(states: Sequence[SeriesState]) -> dg.AssetCheckResult:
    """What the quality policy made of the last fetch of each series that changed it.

    A bar taken before its close is the usual end of a fetch during a session and no finding.
    """
    rows, faulty = [], set()
    for state in states:
        if state.error:
            check = "policy" if state.refused else "fetch"
            rows.append({"partition": state.key, "check": check, "finding": state.error})
        for fault in (state.status or {}).get("faults") or ():
            if fault["check"] != "unfinished":
                faulty.add(state.key)
                row = {"check": fault["check"], "finding": fault["sentence"]}
                rows.append({"partition": state.key, **row})
    scores = [
        state.status["quality_score"]
        for state in states
        if state.status and state.status["quality_score"] is not None
    ]
    told = f"{len(faulty)} of {len(states)} series came with faults"
    failed = sum(bool(state.error) for state in states)
    told += _failures(states)
    return _result(
        "quality",
        passed=not rows,
        severity=dg.AssetCheckSeverity.ERROR if failed else dg.AssetCheckSeverity.WARN,
        description=told if rows else "no series came with faults",
        rows=rows,
        figures={"series_with_faults": len(faulty), "lowest_score": min(scores, default=None)},
    )


def gaps_result(states: Sequence[SeriesState]) -> dg.AssetCheckResult:
    """Bars of the calendar that are missing between the first and the last of each series."""
    rows = [
        {
            "partition": state.key,
            "gaps": state.status["gaps"],
            "missing_bars": state.status["missing_bars"],
            "stored_bars": state.bars.row_count if state.bars else 0,
        }
        for state in states
        if state.status and state.status["missing_bars"]
    ]
    rows.sort(key=lambda row: -row["missing_bars"])
    missing = sum(row["missing_bars"] for row in rows)
    return _result(
        "gaps",
        passed=not rows,
        description=f"{missing:,} bars are missing in {len(rows)} of {len(states)} series"
        if rows
        else "no series has gaps",
        rows=rows,
        figures={"series_with_gaps": len(rows), "missing_bars": missing},
    )


def revisions_result(
    store: DatasetStore, states: Sequence[SeriesState], *, now: datetime
) -> dg.AssetCheckResult:
    """Bars that their sources corrected in the last :data:`REVISION_DAYS` days."""
    since = now - timedelta(days=REVISION_DAYS)
    rows = [
        {
            "partition": str(partition_key(row["symbol"], row["timeframe"])),
            "revisions": row["revisions"],
            "first_bar": _moment(row["first_bar"]),
            "last_bar": _moment(row["last_bar"]),
            "recorded": _moment(row["recorded_at"]),
        }
        for row in Tracking(store).revised_series(since)
    ]
    total = sum(row["revisions"] for row in rows)
    return _result(
        "revisions",
        passed=not rows,
        description=f"{total:,} bars of {len(rows)} of {len(states)} series were corrected in the "
        f"last {REVISION_DAYS} days"
        if rows
        else f"no bar was corrected in the last {REVISION_DAYS} days",
        rows=rows,
        figures={"series_revised": len(rows), "bars_revised": total},
    )


def clock_result(states: Sequence[SeriesState]) -> dg.AssetCheckResult:
    """Declared clocks that the bars contradict, with the evidence and the clock that would fit."""
    audited, rows, told = 0, [], []
    for state in states:
        verdict = state.status["clock"] if state.status else None
        if not verdict:
            continue
        audited += 1
        if doubt := state.clock_doubt:
            told.append(f"{state.key}: {doubt}")
        rows += [
            {
                "partition": state.key,
                "declared": verdict["clock"],
                "fitting": ", ".join(verdict["fitting"]),
                "evidence": sentence,
            }
            for sentence in verdict["contradictions"]
        ]
    return _result(
        "clock",
        passed=not rows,
        description="; ".join(told)
        if rows
        else f"no bars contradict their clock; {audited} of {len(states)} series have a declared "
        "clock and bars of an hour or less",
        rows=rows,
        figures={"series_in_doubt": len(told), "series_audited": audited},
    )


def status_result(states: Sequence[SeriesState]) -> dg.AssetCheckResult:
    """Which series are late now by their calendar, and which could not be fetched."""
    rows = []
    for state in states:
        if not (state.late or state.undetermined or state.error):
            continue
        rows.append(
            {
                "partition": state.key,
                "last_bar": _moment(state.bars.end_date if state.bars else None),
                "expected": _moment(state.late.last if state.late else None),
                "bars_late": state.late.bars if state.late else 0,
                "late_since": _moment(state.late.since if state.late else None),
                "failures": state.status["consecutive_failures"] if state.status else 0,
                "failure": (state.status or {}).get("last_failure") or "",
                "error": state.error or state.undetermined or "",
            }
        )
    late = sum(state.late is not None for state in states)
    failing = sum(bool(state.error or state.undetermined) for state in states)
    waiting = sum(state.bars is None for state in states)
    told = f"{late} of {len(states)} series are late" if late else "no series is late"
    told += _failures(states)
    if undetermined := sum(bool(state.undetermined) for state in states):
        told += f", {undetermined} cannot be judged"
    if waiting:
        told += f", {waiting} have no bars yet"
    return _result(
        "enrichment_status",
        passed=not rows,
        severity=dg.AssetCheckSeverity.ERROR if failing else dg.AssetCheckSeverity.WARN,
        description=told,
        rows=rows,
        figures={"late": late, "failing": failing, "without_bars": waiting},
    )


def _failures(states: Sequence[SeriesState]) -> str:
    """How many fetches failed, by whose fault."""
    refused = sum(state.refused for state in states)
    failed = sum(bool(state.error) for state in states) - refused
    told = f", {failed} could not be fetched" if failed else ""
    return told + (f", {refused} were refused by the quality policy" if refused else "")


def _result(
    name: str,
    *,
    passed: bool,
    description: str,
    rows: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Any],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.WARN,
) -> dg.AssetCheckResult:
    metadata = {key: value for key, value in figures.items() if value is not None}
    if rows:
        metadata["findings"] = _table(rows)
    return dg.AssetCheckResult(
        asset_key=BARS_KEY,
        check_name=name,
        passed=passed,
        severity=severity,
        description=description,
        metadata=metadata,
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows[:SHOWN]])


def _checks(project: Project) -> dg.AssetChecksDefinition:
    described = {
        "quality": "What the quality policy made of the last fetch that changed each series.",
        "gaps": "Bars of the calendar that are missing inside each series.",
        "revisions": f"Bars that their sources corrected in the last {REVISION_DAYS} days.",
        "clock": (
            "Whether the bars are where the clock that was declared for their source puts them: by "
            "releases of data, daily pauses, ends of weeks and sessions, summer and winter apart."
        ),
        "enrichment_status": (
            "Which series are late now by their calendar, and which could not be fetched. A bar is "
            "late `late_minutes` of the quality policy after its close."
        ),
    }
    specs = [
        dg.AssetCheckSpec(name, asset=BARS_KEY, description=text)
        for name, text in described.items()
    ]

    @dg.multi_asset_check(name="market_data__checks", specs=specs, can_subset=True)
    def market_data_checks(
        context: dg.AssetCheckExecutionContext, store: dg.ResourceParam[StoreResource]
    ) -> Iterable[dg.AssetCheckResult]:
        opened, now = store.store(), _now()
        states = series_states(project, opened, now=now)
        asked = {key.name for key in context.selected_asset_check_keys}
        if "quality" in asked:
            yield quality_result(states)
        if "gaps" in asked:
            yield gaps_result(states)
        if "revisions" in asked:
            yield revisions_result(opened, states, now=now)
        if "clock" in asked:
            yield clock_result(states)
        if "enrichment_status" in asked:
            told = {
                state.partition: state.late.since if state.late else None
                for state in states
                if not state.undetermined
            }
            _noted("lateness", lambda: Tracking(opened).late(told))
            yield status_result(states)

    return market_data_checks


# --------------------------------------------------------------------------------- daily metrics


@dataclass(frozen=True)
class _Evaluation:
    """Metrics of some days over all series that have bars."""

    rows: list[dict[str, Any]]
    series: list[Partition]
    failures: dict[str, str]


def _evaluate(
    project: Project, store: DatasetStore, days: Sequence[date], *, now: datetime
) -> _Evaluation:
    bars = store.heads("market_data", "bars")
    quarantines = store.heads("market_data", "quarantine")
    found = _Evaluation([], [], {})
    for partition in _universe(project):
        head = bars.get(partition)
        if head is None:
            continue
        try:
            rows = daily_quality(
                store,
                head,
                quarantines.get(partition),
                project.universe.get(partition[0]),
                days,
                now=now,
            )
        except HfError as error:
            found.failures[str(partition_key(*partition))] = str(error)
            continue
        found.rows.extend({**row, "version_hash": head.version_hash} for row in rows)
        found.series.append(partition)
    return found


def _metrics(project: Project) -> dg.AssetsDefinition:
    version = code_version(
        "market_data.data_quality_metrics",
        {},
        implementation_of(stored_quality.__name__, ("numpy", "pandas")),
        1,
    )
    spec = dg.AssetSpec(
        METRICS_KEY,
        deps=[
            dg.AssetDep(key, partition_mapping=partitions.EVERYTHING)
            for key in (BARS_KEY, QUARANTINE_KEY)
        ],
        skippable=True,
        group_name="market_data",
        kinds={"sql"},
        owners=["team:platform"],
        description=(
            "Quality of the stored bars of one UTC day: one row for each symbol and timeframe in "
            "the table `data_quality_metrics`, from the bars, the rows in quarantine and the "
            "calendar. A day on which nothing came is a day of missing bars."
        ),
        code_version=version,
        partitions_def=partitions.by_day(project.market_data[DEFAULT_SOURCE].item.metrics_from),
    )

    @dg.multi_asset(
        name="market_data__data_quality_metrics",
        specs=[spec],
        backfill_policy=dg.BackfillPolicy.multi_run(DAYS_PER_RUN),
    )
    def data_quality_metrics(
        context: dg.AssetExecutionContext, store: dg.ResourceParam[StoreResource]
    ) -> Any:
        opened, now = store.store(), _now()
        provenance = _provenance(context, project, opened)
        days = sorted(date.fromisoformat(key) for key in context.partition_keys)
        found = _evaluate(project, opened, days, now=now)
        Tracking(opened).daily(found.series, days, found.rows, at=now)
        for day in days:
            rows = [row for row in found.rows if row["day"] == day]
            # The version of the bars is not part of what is known of the day.
            known = [{**row, "version_hash": None} for row in rows]
            yield partition_event(
                METRICS_KEY,
                day.isoformat(),
                data_version=sha256_hex(canonical_json(known)),
                code_version=version,
                provenance=provenance,
                metadata=_day_metadata(rows),
                backfill_id=context.run.tags.get("dagster/backfill"),
            )
        if found.failures:
            told = "\n".join(f"{key}: {error}" for key, error in found.failures.items())
            raise dg.Failure(told, allow_retries=False)
        yield step_done(METRICS_KEY)

    return data_quality_metrics


def _provenance(
    context: dg.AssetExecutionContext, project: Project, store: DatasetStore
) -> list[Provenance]:
    """The parents as they are read; pointers first, so that none is newer than what was read."""
    found = []
    keys = [str(partition_key(*partition)) for partition in _universe(project)]
    for key in (BARS_KEY, QUARANTINE_KEY):
        pointers = latest_event_ids(context.instance, key, keys)
        heads = store.heads("market_data", key.path[-1])
        if heads:
            version = combine_digests(head.version_hash for _, head in sorted(heads.items()))
            found.append(Provenance(key, version, max(pointers.values(), default=None)))
    return found


def _day_metadata(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"dagster/partition_row_count": len(rows)}
    for name in ("rows_in", "rows_quarantined", "rows_expected", "rows_missing"):
        metadata[name] = sum(row[name] for row in rows)
    if rows:
        metadata["lowest_score"] = min(row["quality_score"] for row in rows)
        worst = sorted(rows, key=lambda row: (row["quality_score"], row["symbol"]))
        metadata["metrics"] = _table(
            [
                {
                    "symbol": row["symbol"],
                    "timeframe": row["timeframe"],
                    "quality_score": row["quality_score"],
                    "rows": row["rows_kept"],
                    "quarantined": row["rows_quarantined"],
                    "expected": row["rows_expected"],
                    "missing": row["rows_missing"],
                    "failed": ", ".join(f"{name} {count}" for name, count in row["failed"].items()),
                }
                for row in worst
            ]
        )
    return metadata


# ------------------------------------------------------------------------------------ definitions


def tracking_definitions(project: Project) -> dg.Definitions:
    """The asset of daily metrics, the checks, and the schedules that keep both up to date."""
    metrics, checks = _metrics(project), _checks(project)
    metrics_job = dg.define_asset_job("data_quality_metrics", selection=[METRICS_KEY])
    checks_job = dg.define_asset_job(
        "market_data_checks", selection=dg.AssetSelection.checks(checks)
    )

    @dg.schedule(
        job=metrics_job,
        cron_schedule="30 6 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Quality by day, of the last {RECENT_DAYS} days.",
    )
    def data_quality_daily(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        today = context.scheduled_execution_time.astimezone(UTC).date()
        for back in range(RECENT_DAYS, 0, -1):
            day = (today - timedelta(days=back)).isoformat()
            yield dg.RunRequest(run_key=f"{today.isoformat()} {day}", partition_key=day)

    hourly = dg.ScheduleDefinition(
        name="market_data_checks_hourly",
        job=checks_job,
        cron_schedule="5 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Which series are late, faulty or revised now.",
    )
    return dg.Definitions(
        assets=[metrics],
        asset_checks=[checks],
        jobs=[metrics_job, checks_job],
        schedules=[data_quality_daily, hourly],
    )


def _moment(moment: datetime | None) -> str:
    """A time as people read it, UTC."""
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""


def _now() -> datetime:
    return datetime.now(UTC)
