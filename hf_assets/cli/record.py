"""``hf record``: what a venue has no history of, written down while it happens.

Which symbols, and where to, is declared in YAML like everything else; who runs the command, and
starts it again after the machine was, is the operator's affair (a service, a container).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from hf_assets.cli.session import Session
from hf_assets.project import Project
from hf_plugins.errors import ConfigurationError
from hf_resources.sources.binance_liquidations import STREAM, keep_recording


@click.group()
def record() -> None:
    """Record what a venue has no history of."""


@record.command()
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]...")
@click.option("--stream", default=STREAM, show_default=True, help="Address of the stream.")
def liquidations(symbols: tuple[str, ...], stream: str) -> None:
    """Record forced orders of Binance futures until it is interrupted.

    Without a SYMBOL those of all instruments whose market data document names a folder for them
    (`params: {market: usd_m, liquidations: FOLDER}`); their bars read that folder.
    """
    names, folder = recorded(Session.load().project, symbols)

    def say(sentence: str) -> None:
        click.echo(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {sentence}")

    with _interruptible():
        try:
            keep_recording(names, folder, say=say, stream=stream)
        except KeyboardInterrupt:
            say(f"stopped; what came is in {folder}")


def recorded(project: Project, symbols: tuple[str, ...]) -> tuple[list[str], Path]:
    """The venue's names of the symbols to record, and the folder that their bars are read from.

    Raises:
        ConfigurationError: a symbol is not in the universe or not recorded, none is, or they belong
            in several folders.
    """
    found: dict[str, tuple[str, str]] = {}
    for instrument in project.universe.instruments:
        source = project.sources[instrument.symbol]
        params = source.parameters()
        if source.key == "binance" and params["liquidations"] is not None:
            usual = instrument.symbol.replace("/", "").replace("-", "")
            name = params["symbols"].get(instrument.symbol, usual)
            found[instrument.symbol] = name, params["liquidations"]
    for symbol in symbols:
        project.universe.get(symbol)
        if symbol not in found:
            raise ConfigurationError(
                f"the market data document of {symbol} names no folder for liquidations; add "
                "`params: {market: usd_m, liquidations: FOLDER}` to a document of source binance. "
                f"Recorded can be: {', '.join(found) or 'none'}"
            )
    if not found:
        raise ConfigurationError(
            "no market data document names a folder for liquidations; add "
            "`params: {market: usd_m, liquidations: FOLDER}` to a document of source binance"
        )
    chosen = [found[symbol] for symbol in symbols or found]
    folders = sorted({folder for _, folder in chosen})
    if len(folders) > 1:
        raise ConfigurationError(
            f"liquidations belong in {len(folders)} folders ({', '.join(folders)}); name the "
            "symbols of one of them, and run the command once for each"
        )
    return sorted({name for name, _ in chosen}), Path(folders[0])


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let the signals by which people, services and containers stop a command all do the same.

    A shell starts what it puts into the background with Ctrl-C ignored, which is undone here.
    """
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [(each, signal.signal(each, signal.default_int_handler)) for each in signals]
    try:
        yield
    finally:
        for each, handler in before:
            signal.signal(each, handler)
