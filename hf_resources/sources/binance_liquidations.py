"""Liquidations of Binance futures: recorded from the venue's stream, read back as sums per bar.

The venue has no history of forced orders; who did not listen has none. The recorder therefore also
writes down *that* it was listening, so that a bar without liquidations (zero) can be told from a
bar that nobody watched (null).

Files are newline-delimited JSON, one per symbol and day, ``{symbol}_{YYYY-MM-DD}.jsonl``, with
lines of two kinds, in the order in which they came:

* an event as the venue sends it: ``{"e": "forceOrder", "E": ms, "o": {...}}``, where ``S`` is the
  side of the forced order (``SELL`` closes a long position, ``BUY`` a short one), ``ap`` the
  average price, ``z`` the filled quantity and ``T`` the time of the trade;
* a mark of the recorder: ``{"e": "started", "E": ms}`` when a connection stands, and then
  ``{"e": "listening", "E": ms}`` every half minute.

A dead connection is noticed after up to a minute. A mark is therefore believed only if the same
connection still stood a minute later, and the last minute is null until then.

The stream pushes at most one event a second per symbol, so that the sums are a lower bound.
"""

from __future__ import annotations

import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

import numpy as np
import pandas as pd

from hf_plugins.errors import ConfigurationError, DataError, nearest
from hf_resources.sources.http import BadReplyError
from hf_resources.sources.paging import number

STREAM: Final = "wss://fstream.binance.com/stream?streams="
MARK_EVERY: Final = 30.0
REPORT_EVERY: Final = 60.0
# Seconds: the longest wait for the next connection, and one that counts as having worked.
_LONGEST_WAIT: Final = 60.0
_LASTED: Final = 60.0
# Milliseconds. Two marks may be missed before a stretch counts as interrupted.
_LONGEST_SILENCE: Final = 100_000
_NOTICED_AFTER: Final = 60_000
_MARKS: Final = ("started", "listening")
_COLUMNS: Final = ("liquidations_long", "liquidations_short")


def read_liquidations(
    folder: Path, symbol: str, opens: pd.DatetimeIndex, step: timedelta
) -> pd.DataFrame:
    """Value of the positions that were closed by force during each bar.

    Args:
        folder: where the recorder wrote.
        symbol: the venue's symbol.
        opens: open times of the bars, UTC, ascending.
        step: length of a bar.

    Returns:
        shape (len(opens), 2), columns liquidations_long and liquidations_short in quote currency
        (average price times filled quantity), indexed by ``opens``. An event belongs to the bar
        in which it traded. Null for bars that the recorder did not watch from end to end.

    Raises:
        ConfigurationError: the folder does not exist.
        DataError: a file cannot be read.
    """
    if not folder.is_dir():
        siblings = [each.name for each in folder.parent.glob("*/")]
        raise ConfigurationError(
            f"source 'binance': liquidations is '{folder}', which is no folder."
            f"{nearest(folder.name, siblings)}"
        )
    result = pd.DataFrame(np.nan, index=opens, columns=pd.Index(_COLUMNS))
    if not len(opens):
        return result
    lefts = opens.as_unit("ms").asi8
    length = step // timedelta(milliseconds=1)
    start, stop = int(lefts[0]), int(lefts[-1]) + length
    marks: set[tuple[int, bool]] = set()
    orders: set[_Order] = set()
    for path in _files(folder, symbol, start, stop):
        for line in _lines(path, symbol):
            if not isinstance(line, _Order):
                marks.add(line)
            elif start <= line.at < stop:
                # Two recorders on one folder write an order twice; it is one.
                orders.add(line)
    watched = _watched(sorted(marks), lefts, lefts + length)
    sums = np.zeros((len(opens), len(_COLUMNS)))
    for order in sorted(orders):
        row = int(np.searchsorted(lefts, order.at, side="right")) - 1
        if order.at < lefts[row] + length:
            sums[row, _COLUMNS.index(order.column)] += order.price * order.quantity
    result.loc[watched, :] = sums[watched]
    return result


def record(
    messages: Iterable[str | None],
    symbols: Iterable[str],
    folder: Path,
    *,
    clock: Callable[[], float] = time.time,
    seen: Callable[[str], None] = lambda symbol: None,
) -> None:
    """Write a stream's messages to files until it ends.

    Args:
        messages: what the stream sends, as text; None at least every 30 seconds while it is silent
            but connected.
        symbols: the venue's symbols that the stream was asked for.
        folder: where to write; created if absent.
        clock: seconds since 1970 UTC.
        seen: told the symbol of each order that was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(symbols)
    marked: float | None = None
    with ExitStack() as stack:
        open_files: dict[Path, TextIO] = {}

        def write(symbol: str, moment: int, line: str) -> None:
            path = folder / f"{symbol}_{_day(moment)}.jsonl"
            if path not in open_files:
                for old in [each for each in open_files if each.name.startswith(f"{symbol}_")]:
                    open_files.pop(old).close()
                _drop_torn_line(path)
                open_files[path] = stack.enter_context(path.open("a", encoding="utf-8"))
            open_files[path].write(line + "\n")
            open_files[path].flush()

        for message in messages:
            now = clock()
            if marked is None or now - marked >= MARK_EVERY:
                kind = "started" if marked is None else "listening"
                marked = now
                for name in names:
                    moment = int(now * 1000)
                    write(name, moment, json.dumps({"e": kind, "E": moment}))
            event = None if message is None else _event(message)
            if event is not None and event["o"]["s"] in names:
                line = json.dumps(event, separators=(",", ":"))
                write(event["o"]["s"], int(event["o"]["T"]), line)
                seen(event["o"]["s"])


def keep_recording(
    symbols: Iterable[str],
    folder: Path,
    *,
    say: Callable[[str], None],
    stream: str = STREAM,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    connections: int | None = None,
) -> None:
    """Listen and write, and connect again whenever the connection ends; until it is interrupted.

    The venue ends each connection after a day. Bars during which none stood stay null.

    Args:
        symbols: the venue's symbols.
        folder: where to write; created if absent.
        say: told each connection and its end, and every minute what came.
        stream: address that the names of the streams are appended to.
        clock: seconds since 1970 UTC.
        sleep: waits before the next connection.
        connections: how many to make; without end by default.

    Raises:
        ConfigurationError: the library is missing, or the address is none.
        KeyboardInterrupt: it was interrupted; all that came is written.
    """
    try:
        from websockets.exceptions import InvalidURI, WebSocketException
    except ImportError:
        raise ConfigurationError(
            "recording needs the package websockets; install it with pip install "
            "'hf-assets[stream]'"
        ) from None
    names = sorted(symbols)
    counted: Counter[str] = Counter()
    failed = 0
    for attempt in itertools.count(1):
        begun = clock()
        try:
            messages = _told(listen(names, stream=stream), names, folder, counted, say, clock)
            record(messages, names, folder, clock=clock, seen=lambda name: counted.update([name]))
            reason = "the venue ended it"
        except InvalidURI as error:
            raise ConfigurationError(f"the stream is '{stream}': {error}") from None
        except (WebSocketException, OSError, DataError) as error:
            reason = str(error) or type(error).__name__
        failed = 0 if clock() - begun > _LASTED else failed + 1
        if attempt == connections:
            return
        wait = min(_LONGEST_WAIT, 2.0**failed / 2) * random.uniform(0.5, 1.0)  # noqa: S311
        say(f"no connection: {reason}; the next one in {wait:.1f} s, bars in between stay null")
        sleep(wait)


def _told(
    messages: Iterable[str | None],
    names: Sequence[str],
    folder: Path,
    counted: Counter[str],
    say: Callable[[str], None],
    clock: Callable[[], float],
) -> Iterator[str | None]:
    """The messages; says when the first comes, and every minute what was written."""
    before, reported = Counter(counted), None
    for message in messages:
        now = clock()
        if reported is None:
            say(f"connected; recording {', '.join(names)} to {folder}")
            reported = now
        elif now - reported >= REPORT_EVERY:
            fresh = counted - before
            told = ", ".join(f"{name} {count}" for name, count in fresh.most_common())
            say(
                f"{fresh.total():,} liquidations{f' ({told})' if told else ''}, "
                f"{counted.total():,} in all"
            )
            before, reported = Counter(counted), now
        yield message


def listen(symbols: Iterable[str], *, stream: str = STREAM) -> Iterator[str | None]:
    """Messages of the venue's stream of forced orders.

    None when the connection stands, and after each silence of 20 seconds. Ends when the connection
    does; the caller starts again, and the time between is not watched.
    """
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    names = "/".join(f"{symbol.lower()}@forceOrder" for symbol in sorted(symbols))
    with connect(stream + names) as connection:
        yield None
        while True:
            try:
                message = connection.recv(timeout=20)
            except TimeoutError:
                yield None
            except ConnectionClosed:
                return
            else:
                yield message if isinstance(message, str) else message.decode()


class _Order(NamedTuple):
    """A forced order; equal if all that the venue says of it is."""

    at: int
    column: str
    price: float
    quantity: float


def _watched(
    marks: Sequence[tuple[int, bool]], lefts: np.ndarray, rights: np.ndarray
) -> np.ndarray:
    """Which bars lie whole in a stretch of one connection; a mark is (when, is it a start)."""
    watched = np.zeros(len(lefts), dtype=bool)
    stretches: list[tuple[int, int]] = []
    for at, starts in marks:
        if starts or not stretches or at - stretches[-1][1] > _LONGEST_SILENCE:
            stretches.append((at, at))
        else:
            stretches[-1] = (stretches[-1][0], at)
    for first, last in stretches:
        watched |= (lefts >= first) & (rights <= last - _NOTICED_AFTER)
    return watched


def _files(folder: Path, symbol: str, start: int, stop: int) -> list[Path]:
    # A day on each side: an event is filed by when it traded, a mark by the recorder's clock.
    first, last = _day(start - 86_400_000), _day(stop + 86_400_000)
    found = folder.glob(f"{symbol}_????-??-??.jsonl")
    return sorted(path for path in found if first <= path.stem[-10:] <= last)


def _lines(path: Path, symbol: str) -> Iterator[_Order | tuple[int, bool]]:
    columns = dict(zip(("SELL", "BUY"), _COLUMNS, strict=True))
    with path.open(encoding="utf-8") as file:
        for row, line in enumerate(file, start=1):
            if not line.endswith("\n"):
                return  # The recorder is writing this line, or died in it.
            try:
                event = json.loads(line)
                if event["e"] in _MARKS:
                    yield int(event["E"]), event["e"] == "started"
                    continue
                order = event["o"]
                parsed = _Order(
                    int(order["T"]),
                    columns[order["S"]],
                    number(order["ap"], "ap"),
                    number(order["z"], "z"),
                )
                named = order["s"]
            except (ValueError, KeyError, TypeError, BadReplyError):
                raise DataError(f"{path}: line {row} is no event of the recorder") from None
            if named != symbol:
                raise DataError(f"{path}: line {row} is of {named}, not of {symbol}")
            yield parsed


def _drop_torn_line(path: Path) -> None:
    """Cut a file after its last whole line: a recorder that was killed may have left half a one."""
    if path.exists():
        whole = path.read_bytes()
        end = whole.rfind(b"\n") + 1
        if end < len(whole):
            with path.open("r+b") as file:
                file.truncate(end)


def _event(message: str) -> dict[str, Any] | None:
    """The forced order of a message, of the combined stream or of a single one."""
    try:
        body = json.loads(message)
    except ValueError:
        raise DataError(f"the stream sent {message[:80]!r}, which is no JSON") from None
    event = body.get("data", body) if isinstance(body, dict) else None
    if isinstance(event, dict) and event.get("e") == "forceOrder":
        return event
    return None


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m-%d")
