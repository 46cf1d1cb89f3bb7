"""``hf backfill``: the whole history of a symbol and everything that follows from it.

The same as launching the symbol's partitions in the web UI. How far history reaches is declared in
YAML (``since`` of the market data document), so that a command, a click and a schedule come to the
same data.
"""

from __future__ import annotations

import click
from rich import box
from rich.console import Console
from rich.table import Table

from hf_assets.cli.run import finish, materialise
from hf_assets.cli.session import Session
from hf_assets.fetching import document_of
from hf_plugins.errors import ConfigurationError, unknown


@click.command()
@click.argument("symbol")
@click.option("--timeframe", "timeframes", multiple=True, help="Timeframes; default: all offered.")
@click.option("--again", is_flag=True, help="Ask for all of it, though a part is there already.")
def backfill(symbol: str, timeframes: tuple[str, ...], again: bool) -> None:
    """Fetch the history of SYMBOL and compute all that follows from it."""
    session, console = Session.load(), Console()
    chosen = choose(session, symbol, timeframes)
    item = document_of(session.project, symbol)
    since = f"from {item.since} on" if item.since else "as far back as the source has it"
    console.print(f"{symbol} {', '.join(chosen)} from '{item.source}', {since}")
    if again:
        bars = ["market_data/bars", "market_data/quarantine"]
        refetched = materialise(session, console, bars, [symbol], chosen, force=True)
        if refetched.failures:
            finish(console, refetched)
    tally = materialise(session, console, symbols=[symbol], timeframes=chosen)
    console.print(fetched(session, symbol, chosen))
    finish(console, tally)


def choose(session: Session, symbol: str, timeframes: tuple[str, ...]) -> list[str]:
    """The timeframes to fetch.

    Raises:
        ConfigurationError: the symbol or a timeframe is not in the universe, or its source does not
            have it.
    """
    project = session.project
    instrument = project.universe.get(symbol)
    for timeframe in timeframes:
        if timeframe not in project.universe.timeframes:
            allowed = project.universe.timeframes
            raise ConfigurationError(f"--timeframe: {unknown('timeframe', timeframe, allowed)}")
    offered = project.sources[symbol].timeframes(instrument)
    found = [each for each in timeframes or project.universe.timeframes if each in offered]
    missing = [each for each in timeframes if each not in offered]
    if missing or not found:
        raise ConfigurationError(
            f"source '{project.sources[symbol].key}' has no {', '.join(missing) or 'bars'} of "
            f"{symbol}; it has: {', '.join(offered) or 'none'}"
        )
    return found


def fetched(session: Session, symbol: str, timeframes: list[str]) -> Table:
    """What stands now, by timeframe."""
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("timeframe", "bars", "from", "to", "in quarantine", "missing", "quality"):
        table.add_column(heading, justify="left" if heading == "timeframe" else "right")
    partitions = [(symbol, timeframe) for timeframe in timeframes]
    bars = session.store.heads("market_data", "bars", partitions)
    aside = session.store.heads("market_data", "quarantine", partitions)
    for partition in partitions:
        head = bars.get(partition)
        if head is None or head.start_date is None or head.end_date is None:
            table.add_row(partition[1], "not fetched", *[""] * 5)
            continue
        score = head.summary.get("quality_score")
        table.add_row(
            partition[1],
            f"{head.row_count:,}",
            f"{head.start_date:%Y-%m-%d %H:%M}",
            f"{head.end_date:%Y-%m-%d %H:%M}",
            f"{aside[partition].row_count:,}" if partition in aside else "",
            str(head.summary.get("missing_bars", "")),
            "" if score is None else f"{score:.4f}",
        )
    return table
