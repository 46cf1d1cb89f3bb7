"""``hf run`` and ``hf demo``: materialise in this process, with progress and a table at the end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import click
import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hf_assets import reports
from hf_assets.build import step_name
from hf_assets.cli.session import Session, dagster_instance
from hf_assets.partitions import partition_key
from hf_assets.tasks import Partition, Task
from hf_plugins.errors import ConfigurationError, unknown

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
POLL_SECONDS = 0.2


@dataclass
class Tally:
    """What a command did."""

    computed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)


@click.command()
@click.option("--select", "selected", multiple=True, help="Asset key or layer/*; default: all.")
@click.option("--symbol", "symbols", multiple=True, help="Symbols; default: the whole universe.")
@click.option("--timeframe", "timeframes", multiple=True, help="Timeframes; default: all.")
@click.option("--force", is_flag=True, help="Recompute even what is up to date.")
def run(
    selected: tuple[str, ...], symbols: tuple[str, ...], timeframes: tuple[str, ...], force: bool
) -> None:
    """Materialise assets, skipping what is up to date."""
    session, console = Session.load(), Console()
    tally = materialise(session, console, selected, symbols, timeframes, force=force)
    finish(console, tally)


@click.command()
def demo() -> None:
    """Run the whole chain on the sample data and show the results."""
    session, console = Session.load(), Console()
    console.print(
        f"[bold]{len(session.project.universe.symbols)} symbols[/], "
        f"{len(session.tasks)} assets to materialise: bars, features, models, signals, backtests"
    )
    tally = materialise(session, console)
    for name in session.project.strategies:
        console.print(results(session, name))
    console.print(
        "\nSee it in the browser: [bold]make ui[/], then open [bold]http://localhost:3000[/]"
    )
    finish(console, tally)


def finish(console: Console, tally: Tally) -> None:
    """Last line, and the exit status."""
    for failure in tally.failures:
        console.print(f"[red]failed[/] {failure}", highlight=False)
    click.echo(f"computed: {tally.computed}, skipped: {tally.skipped}")
    if tally.failures:
        raise SystemExit(1)


def materialise(
    session: Session,
    console: Console,
    selected: Sequence[str] = (),
    symbols: Sequence[str] = (),
    timeframes: Sequence[str] = (),
    *,
    force: bool = False,
) -> Tally:
    """Run the chosen tasks layer by layer, each over as many partitions as one run can take."""
    tasks = _chosen(session, selected)
    _check("symbol", symbols, session.project.universe.symbols)
    _check("timeframe", timeframes, session.project.universe.timeframes)
    tally = Tally()
    with dagster_instance() as instance, _progress(console) as progress:
        job = session.definitions.resolve_implicit_global_asset_job_def()
        for label, step in _steps(tasks):
            wanted = [
                partition
                for partition in session.covered[step[0].names()[0]]
                if (not symbols or partition[0] in (*symbols, "*"))
                and (not timeframes or partition[1] in timeframes)
            ]
            bar = progress.add_task(label, total=len(wanted) * sum(len(t.names()) for t in step))
            for block in _blocks(wanted, session.covered[step[0].names()[0]]):
                _execute(job, instance, step, block, tally, partial(progress.advance, bar), force)
    return tally


def _chosen(session: Session, selected: Sequence[str]) -> list[Task]:
    if not selected:
        return session.tasks
    keys = [key for task in session.tasks for key in task.names()]
    layers = {key.split("/")[0] for key in keys}
    for pattern in selected:
        layer = pattern.removesuffix("/*")
        if pattern not in keys and not (pattern.endswith("/*") and layer in layers):
            allowed = [*keys, *(f"{layer}/*" for layer in layers)]
            raise ConfigurationError(f"--select: {unknown('asset', pattern, allowed)}")
    return [
        task
        for task in session.tasks
        if any(key in selected or f"{key.split('/')[0]}/*" in selected for key in task.names())
    ]


def _check(kind: str, given: Sequence[str], allowed: Sequence[str]) -> None:
    for value in given:
        if value not in allowed:
            raise ConfigurationError(f"--{kind}: {unknown(kind, value, allowed)}")


def _steps(tasks: Sequence[Task]) -> Iterator[tuple[str, list[Task]]]:
    """Tasks that one run takes together: all features, and every other task by itself."""
    features = [task for task in tasks if task.outputs[0].layer == "features"]
    for task in tasks:
        if task not in features:
            yield task.names()[-1], [task]
        elif task is features[0]:
            yield f"features ({len(features)})", features


def _blocks(
    wanted: Sequence[Partition], everything: Sequence[Partition]
) -> Iterator[list[Partition]]:
    """All partitions as one range where all are wanted, else one by one."""
    if len(wanted) == len(everything) and len(wanted) > 1:
        yield list(wanted)
    else:
        yield from ([partition] for partition in wanted)


def _execute(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    step: Sequence[Task],
    block: Sequence[Partition],
    tally: Tally,
    advance: Callable[[int], None],
    force: bool,
) -> None:
    """One run, in a thread; this thread follows its events."""
    keys = [key for task in step for key in task.asset_keys()]
    ranged = len(block) > 1
    first, last = partition_key(*block[0]), partition_key(*block[-1])
    run_id = str(uuid.uuid4())
    with ThreadPoolExecutor(max_workers=1) as pool:
        outcome = pool.submit(
            job.execute_in_process,
            run_id=run_id,
            instance=instance,
            asset_selection=keys,
            partition_key=None if ranged else first,
            tags={RANGE_START: first, RANGE_END: last} if ranged else None,
            run_config={
                "ops": {step_name(step[0]): {"config": {"force": force}}},
                # The progress bar speaks here; the run's log is in the UI.
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )
        cursor: str | None = None
        while True:
            ended = outcome.done()
            cursor, events = _new_events(instance, run_id, cursor)
            tally.skipped += sum(cache == "hit" for cache in events)
            tally.computed += sum(cache != "hit" for cache in events)
            advance(len(events))
            if ended:
                break
            time.sleep(POLL_SECONDS)
        result = outcome.result()
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            told = event.step_failure_data.user_failure_data
            tally.failures.append(
                (told.description if told else None) or (error.message if error else "")
            )


def _new_events(
    instance: dg.DagsterInstance, run_id: str, cursor: str | None
) -> tuple[str | None, list[str]]:
    """Hit or miss of each partition materialised since ``cursor``."""
    found = instance.get_records_for_run(
        run_id, cursor=cursor, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    events = [record.event_log_entry.asset_materialization for record in found.records]
    return found.cursor, [str(event.metadata["cache"].value) for event in events if event]


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def results(session: Session, strategy: str) -> Table:
    """The table of one strategy: what was tested, on which period, with what result."""
    component, _ = session.project.strategies[strategy]
    item = component.item
    signal = session.project.signals[item.signal][0].item
    model = session.project.models[signal.model][0].item
    table = Table(title=f"{strategy}: {item.timeframe}, model {model.name}, signal {signal.name}")
    for heading in ("symbol", "rows", "features", "out-of-sample period"):
        table.add_column(heading)
    for heading in ("Sharpe", "max drawdown", "trades"):
        table.add_column(heading, justify="right")
    bars = session.store.heads("market_data", "enriched")
    backtests = session.store.heads("backtests", strategy)
    for symbol in item.universe:
        partition = (symbol, item.timeframe)
        if partition not in backtests or partition not in bars:
            table.add_row(symbol, *["not computed"] + [""] * 5)
            continue
        tested = backtests[partition]
        drawdown = tested.summary.get("max_drawdown")
        table.add_row(
            symbol,
            f"{bars[partition].row_count:,}",
            str(len(model.features)),
            f"{tested.start_date:%Y-%m-%d} to {tested.end_date:%Y-%m-%d}",
            reports.number(tested.summary.get("sharpe")),
            "-" if drawdown is None else f"{drawdown:.1%}",
            reports.number(tested.summary.get("n_trades")),
        )
    return table
