"""``hf run`` and ``hf demo``: materialise in this process, with progress and a table at the end."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import click
import dagster as dg
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hf_assets import location, reports
from hf_assets.build import step_name
from hf_assets.cli.session import Session, dagster_instance
from hf_assets.partitions import WHOLE_UNIVERSE, partition_key
from hf_assets.tasks import Partition, Task
from hf_plugins.errors import ConfigurationError, unknown
from hf_plugins.timeframes import EVENT

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
    named = os.environ.get(location.VARIABLE)
    ui = f"make ui DEFS={os.path.relpath(named)}" if named else "make ui"
    console.print(
        f"\nSee it in the browser: [bold]{ui}[/], then open [bold]http://localhost:3000[/]",
        soft_wrap=True,
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
    """Materialise the chosen tasks in as few runs as their partitions allow."""
    tasks = _chosen(session, selected)
    _check("symbol", symbols, session.project.universe.symbols)
    _check("timeframe", timeframes, session.project.universe.timeframes)
    tally = Tally()
    with dagster_instance() as instance, _progress(console) as progress:
        bars: dict[str, Callable[[], None]] = {}
        runs = list(_runs(session, tasks, symbols, timeframes))
        for one in runs:
            for label, members in _steps(one.tasks):
                names = [name for task in members for name in task.names()]
                bar = progress.add_task(label, total=len(one.partitions) * len(names))
                bars |= dict.fromkeys(names, partial(progress.advance, bar, 1))
        runner = _Runner(session.definitions, instance, tally, bars, force)
        for one in runs:
            runner.execute(one)
    return tally


@dataclass(frozen=True)
class _Run:
    """Tasks and partitions that one run takes; ``partitions`` are a whole range or a single one."""

    tasks: list[Task]
    partitions: list[Partition]


def _runs(
    session: Session, tasks: Sequence[Task], symbols: Sequence[str], timeframes: Sequence[str]
) -> Iterator[_Run]:
    """As few runs as the partitions allow: tasks with equal partitions go together."""
    together: list[tuple[list[Partition], list[Task]]] = []
    for task in tasks:
        everything = session.covered[task.names()[0]]
        if together and together[-1][0] == everything:
            together[-1][1].append(task)
        else:
            together.append((everything, [task]))
    for everything, members in together:
        wanted = [
            partition
            for partition in everything
            if (not symbols or partition[0] in (*symbols, WHOLE_UNIVERSE))
            and (not timeframes or partition[1] in (*timeframes, EVENT))
        ]
        if wanted == everything:
            yield _Run(members, wanted)
        else:
            yield from (_Run(members, [partition]) for partition in wanted)


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
            # Bars with their quarantine are called bars, a model with its predictions those.
            yield task.names()[0 if task.fetch else -1], [task]
        elif task is features[0]:
            yield f"features ({len(features)})", features


@dataclass(frozen=True)
class _Runner:
    """Executes runs in a thread, and follows their events in this one."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    tally: Tally
    bars: Mapping[str, Callable[[], None]]
    force: bool

    def execute(self, one: _Run) -> None:
        """One run; where a step of it fails, what was not reached goes on by itself."""
        done = self._execute(one)
        rest = [task for task in one.tasks if step_name(task) not in done]
        for _, members in _steps(rest):
            self._execute(_Run(members, one.partitions))

    def _execute(self, one: _Run) -> set[str]:
        """Names of the steps that ran, well or not."""
        steps = {step_name(task) for task in one.tasks}
        ranged = len(one.partitions) > 1
        first, last = partition_key(*one.partitions[0]), partition_key(*one.partitions[-1])
        run_id = str(uuid.uuid4())
        job = self.definitions.resolve_implicit_global_asset_job_def()
        with ThreadPoolExecutor(max_workers=1) as pool:
            outcome = pool.submit(
                job.execute_in_process,
                run_id=run_id,
                instance=self.instance,
                asset_selection=[key for task in one.tasks for key in task.asset_keys()],
                partition_key=None if ranged else first,
                tags={RANGE_START: first, RANGE_END: last} if ranged else None,
                run_config={
                    "ops": {step: {"config": {"force": self.force}} for step in steps},
                    # The progress bar speaks here; the run's log is in the UI.
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
                raise_on_error=False,
            )
            cursor: str | None = None
            while True:
                ended = outcome.done()
                cursor = self._follow(run_id, cursor)
                if ended:
                    break
                time.sleep(POLL_SECONDS)
            result = outcome.result()
        failures = [event for event in result.all_events if event.is_step_failure]
        self.tally.failures += [_failure(event) for event in failures]
        ended_steps = {
            event.step_key
            for event in result.all_events
            if event.is_step_success or event.is_step_failure
        }
        return {step for step in steps if step in ended_steps}

    def _follow(self, run_id: str, cursor: str | None) -> str | None:
        found = self.instance.get_records_for_run(
            run_id, cursor=cursor, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        for record in found.records:
            event = record.event_log_entry.asset_materialization
            if event is None:
                continue
            hit = event.metadata["cache"].value == "hit"
            self.tally.skipped += hit
            self.tally.computed += not hit
            self.bars[event.asset_key.to_user_string()]()
        return found.cursor


def _failure(event: dg.DagsterEvent) -> str:
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    return data.error.message if data.error else str(event.message)


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
    title = f"{strategy}: {item.timeframe}, model {model.name}, signal {signal.name}"
    # Fits into 80 columns, which is what there is where the output is no terminal.
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("symbol")
    for heading in ("rows", "features", "out-of-sample period", "Sharpe", "max drawdown", "trades"):
        table.add_column(heading, justify="right", no_wrap=heading.startswith("out"))
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
