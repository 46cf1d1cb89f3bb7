"""Commands that look and tidy: ``status``, ``why``, ``history``, ``catalog`` and ``gc``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click
from rich import box
from rich.console import Console
from rich.table import Table

from hf_assets.cli.session import Session
from hf_assets.partitions import partition_key
from hf_assets.resources import StoreResource
from hf_assets.sweep import find_stale
from hf_assets.tracking import SeriesState, series_states
from hf_plugins.versioning import Identity
from hf_resources.catalog import upgrade as upgrade_catalog
from hf_resources.datasets import Dataset
from hf_resources.differences import explain, in_words, input_change
from hf_resources.misses import changed_columns, explain_miss, explain_version
from hf_resources.store import DatasetStore
from hf_resources.tracking import Tracking
from hf_resources.versions import stored_before


@click.command()
@click.option("--data", is_flag=True, help="Freshness, errors and quality of the bars instead.")
def status(data: bool) -> None:
    """What is stale or missing now, with the reason; or how the market data stands."""
    session, console = Session.load(), Console()
    if data:
        states = series_states(session.project, session.store, now=datetime.now(UTC))
        console.print(_market_data(session, states))
        for state in states:
            if state.clock_doubt:
                console.print(f"{state.key}: the clock is in doubt: {state.clock_doubt}")
                console.print(*(f"  {each}" for each in _evidence(state)), sep="\n")
        return
    findings = find_stale(session.store, session.tasks, session.covered)
    if not findings:
        console.print("everything that has inputs is up to date")
        return
    table = Table("asset", "partition", "status", "reason", box=box.SIMPLE_HEAD)
    for finding in findings:
        table.add_row(
            finding.key,
            str(partition_key(*finding.partition)),
            finding.status,
            "; ".join(finding.reasons),
        )
    console.print(table)


def _market_data(session: Session, states: Sequence[SeriesState]) -> Table:
    """One row per symbol and timeframe: how old its bars are, what failed, how good they are."""
    headings = (
        "symbol",
        "timeframe",
        "last bar (UTC)",
        "freshness",
        "asked (UTC)",
        "error",
        "clock",
        "quality",
        "missing",
        "last day",
    )
    table = Table(*headings, box=box.SIMPLE_HEAD)
    days = Tracking(session.store).latest_quality()
    for state in states:
        known, day = state.status or {}, days.get(state.partition)
        failures = known.get("consecutive_failures", 0)
        score, missing = known.get("quality_score"), known.get("missing_bars")
        table.add_row(
            *state.partition,
            f"{state.bars.end_date:%Y-%m-%d %H:%M}" if state.bars and state.bars.end_date else "",
            _freshness(state),
            f"{known['last_checked_at']:%Y-%m-%d %H:%M}" if known else "",
            f"{known['last_failure']} {failures} x: {state.error}" if state.error else "",
            _clock(state),
            "" if score is None else f"{score:.3f}",
            "" if missing is None else f"{missing:,}",
            f"{day['day']}: {day['quality_score']:.3f}" if day else "",
        )
    return table


def _clock(state: SeriesState) -> str:
    verdict = (state.status or {}).get("clock")
    if not verdict:
        return ""
    if state.clock_doubt:
        return "in doubt"
    return "fits" if verdict["findings"] else "unclear"


def _evidence(state: SeriesState) -> list[str]:
    return state.status["clock"]["contradictions"] if state.status else []


def _freshness(state: SeriesState) -> str:
    if state.bars is None:
        return "no bars yet"
    if state.undetermined:
        return f"undetermined: {state.undetermined}"
    if state.late is None:
        return "current"
    return f"{state.late.bars:,} late since {state.late.since:%Y-%m-%d %H:%M}"


@click.command()
@click.argument("asset")
@click.argument("symbol")
@click.argument("timeframe")
def why(asset: str, symbol: str, timeframe: str) -> None:
    """Why ASSET of SYMBOL and TIMEFRAME was computed last, and why it would be computed now."""
    session, console = Session.load(), Console()
    task = session.task(asset)
    partition = (symbol, timeframe)
    ref = next(ref for ref in task.refs(partition) if ref.asset_key == asset)
    standing = session.store.head(ref)
    if standing is None:
        console.print(f"{ref}: never computed")
    else:
        console.print(
            f"{ref}: version {standing.version_hash[:16]} generation {standing.generation}, "
            f"{standing.row_count:,} rows, computed {standing.created_at:%Y-%m-%d %H:%M} UTC"
        )
        before = stored_before(session.store.history(ref), standing)
        for reason in explain(session.store, before, standing).lines():
            console.print(f"was computed: {reason}", highlight=False, soft_wrap=True)
    if task.fetch is not None:
        console.print(f"{asset}: known to be new or not once the source was asked")
        return
    inputs = {}
    for frame_key, used, parent in task.parents(partition):
        head = session.store.heads(used.layer, used.name, [parent]).get(parent)
        if head is None:
            console.print(f"{used.key} has no data for {'|'.join(parent)} yet")
            return
        inputs[frame_key] = head
    identity = task.identity(partition, inputs)
    if standing is not None and standing.version_hash == identity.version_hash:
        console.print("up to date: identical code, parameters and inputs")
        return
    changes = _input_changes(session.store, standing, identity) if standing is not None else {}
    for reason in explain_miss(standing, identity, changes=changes):
        console.print(f"would be computed: {reason}")


def _input_changes(store: DatasetStore, standing: Dataset, identity: Identity) -> dict[str, str]:
    """How the rows of each input differ from those that the standing dataset was made of."""
    old, new = standing.identity["inputs"], identity.explanation()["inputs"]
    return in_words(
        {
            name: input_change(store, name, (standing, old[name]), (standing, new[name]))
            for name in new
            if name in old and changed_columns(old[name], new[name])
        }
    )


@click.command()
@click.argument("asset")
@click.argument("symbol")
@click.argument("timeframe")
def history(asset: str, symbol: str, timeframe: str) -> None:
    """All versions of ASSET for SYMBOL and TIMEFRAME, newest first, and why each was computed."""
    session, console = Session.load(), Console(highlight=False, soft_wrap=True)
    task = session.task(asset)
    ref = next(ref for ref in task.refs((symbol, timeframe)) if ref.asset_key == asset)
    stored, head = session.store.history(ref), session.store.head(ref)
    if not stored:
        console.print(f"{ref}: never computed")
    for dataset in stored:
        span = (
            f", {dataset.start_date:%Y-%m-%d} to {dataset.end_date:%Y-%m-%d}"
            if dataset.start_date and dataset.end_date
            else ""
        )
        current = ", current" if head is not None and dataset.id == head.id else ""
        console.print(
            f"{dataset.created_at:%Y-%m-%d %H:%M} UTC  {dataset.version_hash[:12]} "
            f"generation {dataset.generation}: {dataset.row_count:,} rows{span}, "
            f"code {dataset.code_version[:12]}{current}"
        )
        for reason in explain_version(stored_before(stored, dataset), dataset):
            console.print(f"  {reason}")


@click.group()
def catalog() -> None:
    """The catalog database."""


@catalog.command()
def upgrade() -> None:
    """Create the catalog's tables, or bring them up to this version."""
    upgrade_catalog(StoreResource().settings().catalog_url)
    click.echo("the catalog is up to date")


@click.command()
@click.option("--grace-hours", default=24.0, show_default=True, help="Spare objects younger.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
def gc(grace_hours: float, dry_run: bool) -> None:
    """Delete objects that no dataset references."""
    store = DatasetStore.open(StoreResource().settings())
    report = store.collect_garbage(grace=timedelta(hours=grace_hours), dry_run=dry_run)
    verb = "would delete" if dry_run else "deleted"
    click.echo(
        f"{verb} {len(report.objects)} objects and {len(report.staging)} staging files, "
        f"{report.bytes:,} bytes; spared {report.kept_young} young ones"
    )
