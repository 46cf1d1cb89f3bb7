"""Time to bring market data into the platform: fetch, check, merge, enrich and store.

Bars are generated and come from memory; everything behind that is the real thing, with a lake and a
catalog on disk. Measured are the mean over a batch of a hundred symbols with a year of hourly
crypto or twenty years of daily share bars, a million one-minute bars with the memory that they
take, and a day that is appended to five years of one-minute bars, with the bytes that it writes.
The last line is one JSON object. ``compute`` is what happens between the source and the store,
``cpu`` its processor time, which a busy machine does not stretch.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hf_plugins.bar_quality import QualityPolicy
from hf_plugins.enrichment.bars import READS, context_rows, enrich
from hf_plugins.enrichment.universal import UniversalState
from hf_plugins.sessions import microseconds
from hf_plugins.versioning import Identity, Implementation, InputVersion, source_fingerprint
from hf_resources.calendars import expected_opens
from hf_resources.chunks import Staged
from hf_resources.datasets import Dataset, DatasetRef, Definition
from hf_resources.ingestion import Ingestion, ingest
from hf_resources.instruments import Instrument
from hf_resources.settings import Settings
from hf_resources.sources.base import Source, window
from hf_resources.store import DatasetStore

SYMBOLS = 100
YEAR_OF_HOURS = 8_760
MINUTES = 1_000_000
FIVE_YEARS_OF_MINUTES = 5 * 365 * 1440
DAY_OF_MINUTES = 1440
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Memory(Source):
    """A source that has bars at hand."""

    key = "memory"

    def __init__(self, bars: Any, *, incremental: bool) -> None:
        super().__init__()
        self._bars = bars
        self._incremental = incremental

    @property
    def incremental(self) -> bool:
        """Whether it stands for a vendor, whose pages are kept, or for a file."""
        return self._incremental

    def timeframes(self, instrument: Instrument) -> tuple[str, ...]:
        """Whatever is asked for."""
        del instrument
        return ("1m", "1h", "1d")

    def fetch(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pd.DataFrame:
        """A slice."""
        del instrument, timeframe
        return window(self._bars, start, end)


class Clock:
    """Seconds spent under each name: of the clock on the wall, and of the processor."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.cpu: dict[str, float] = {}

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the time of a block."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall
        self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - cpu

    @property
    def total(self) -> float:
        """Seconds on the wall under all names."""
        return sum(self.wall.values())


class Pipeline:
    """From a source to enriched bars in a store, one symbol at a time."""

    def __init__(self, home: Path, *, incremental: bool = True) -> None:
        self.incremental = incremental
        self.store = DatasetStore.open(Settings.from_env({"HF_HOME": str(home)}))

    def run(self, bars: Any, instrument: Instrument, timeframe: str, clock: Clock) -> None:
        """Ingest what is new, enrich it, and publish both."""
        refs = {
            name: DatasetRef("market_data", name, instrument.symbol, timeframe)
            for name in ("bars", "quarantine", "enriched")
        }
        heads = {name: self.store.head(ref) for name, ref in refs.items()}
        with clock.measure("ingest"):
            outcome, spool = ingest(
                self.store,
                Memory(bars, incremental=self.incremental),
                instrument,
                timeframe,
                policy=QualityPolicy(),
                now=NOW,
                bars=heads["bars"],
                quarantine=heads["quarantine"],
            )
        if outcome.revised or len(outcome.quality.quarantined):
            raise AssertionError("the generated bars are clean and do not change")
        with clock.measure("publish"):
            used = {"fetched": InputVersion("", outcome.digests)}
            for name, staged in (("quarantine", outcome.quarantine), ("bars", outcome.bars)):
                made = self._publish(refs[name], used, staged, heads[name], outcome.summary())
                heads[f"new {name}"] = made
            spool.clear()
        fresh, old = heads["new bars"], heads["enriched"]
        assert fresh is not None
        with clock.measure("enrich"):
            frame, state = self._enriched(fresh, old, outcome, instrument, timeframe)
        with clock.measure("publish"):
            staged = self.store.stage(frame, timeframe, base=old)
            used = {"bars": InputVersion(fresh.version_hash, fresh.column_digests)}
            left = {"state.json": json.dumps(state).encode()}
            self._publish(refs["enriched"], used, staged, old, {}, left)

    def _enriched(
        self,
        fresh: Dataset,
        old: Dataset | None,
        outcome: Ingestion,
        instrument: Instrument,
        timeframe: str,
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        setting = (timeframe, instrument.calendar, instrument.asset_class)
        state = None
        if old is None:  # the rows are at hand
            bars = pd.concat([part.loc[:, list(READS)] for _, part in outcome.bars.pieces])
        else:
            rows = context_rows(*setting) + outcome.appended
            bars = self.store.read(fresh, list(READS), last=rows)
            state = UniversalState.from_json(json.loads(self.store.attachment(old, "state.json")))
        names = ("timeframe", "calendar", "asset_class")
        return enrich(bars, **dict(zip(names, setting, strict=True)), state=state)

    def _publish(
        self,
        ref: DatasetRef,
        used: dict[str, InputVersion],
        staged: Staged,
        head: Dataset | None,
        summary: dict[str, Any],
        attachments: dict[str, bytes] | None = None,
    ) -> Dataset:
        identity = Identity(
            plugin_key=f"market_data.{ref.name}",
            params={},
            symbol=ref.symbol,
            timeframe=ref.timeframe,
            start_date="",
            end_date="",
            source_fingerprint=source_fingerprint(used),
            code_version="benchmark",
            implementation=Implementation({}, {}),
            inputs=used,
        )
        return self.store.publish(
            ref,
            identity,
            definition=Definition(ref.layer, ref.name, identity.plugin_key, {}),
            frame=staged,
            attachments=attachments,
            summary=summary,
            expected=head,
        )


def main() -> None:
    """Measure each case and report its figures."""
    figures: dict[str, Any] = {"benchmark": "market_data"}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        crypto = Instrument("WARM", "crypto", "24/7", 2, 5)
        share = Instrument("WARM.S", "equity", "XNYS", 2, 0)
        sessions = expected_opens(
            share, "1d", datetime(2005, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
        )
        hours = walk(opens("1h", YEAR_OF_HOURS))
        days = walk(sessions)[["open", "high", "low", "close", "volume"]].round({"volume": 0})
        pipeline = Pipeline(home / "batch", incremental=False)
        pipeline.run(hours, crypto, "1h", Clock())  # compile
        pipeline.run(days, share, "1d", Clock())
        figures["year_1h_crypto"] = batch(pipeline, hours, crypto, "1h")
        figures["twenty_years_1d_shares"] = batch(pipeline, days, share, "1d")
        figures["million_1m"] = million(Pipeline(home / "million"))
        figures["append_day_to_five_years_1m"] = appended(home / "append")
    print(json.dumps(figures))


def batch(pipeline: Pipeline, bars: Any, like: Instrument, timeframe: str) -> dict[str, float]:
    """Mean milliseconds of one symbol out of many."""
    clock = Clock()
    for number in range(SYMBOLS):
        instrument = Instrument(
            f"{like.asset_class.upper()}{number}",
            like.asset_class,
            like.calendar,
            like.price_precision,
            like.size_precision,
        )
        pipeline.run(bars, instrument, timeframe, clock)
    mean = 1000 / SYMBOLS
    return {
        "symbols": SYMBOLS,
        "rows": len(bars),
        **{f"{name}_ms": round(mean * seconds, 2) for name, seconds in clock.wall.items()},
        "compute_ms": round(mean * (clock.wall["ingest"] + clock.wall["enrich"]), 2),
        "compute_cpu_ms": round(mean * (clock.cpu["ingest"] + clock.cpu["enrich"]), 2),
        "total_ms": round(mean * clock.total, 2),
    }


def million(pipeline: Pipeline) -> dict[str, float]:
    """Seconds and memory of a million bars, end to end."""
    bars = walk(opens("1m", MINUTES))
    before = peak_mb()
    clock = Clock()
    pipeline.run(bars, Instrument("MILLION", "crypto", "24/7", 2, 5), "1m", clock)
    return {
        "rows": MINUTES,
        **{f"{name}_s": round(seconds, 2) for name, seconds in clock.wall.items()},
        "total_s": round(clock.total, 2),
        "input_mb": round(bars.memory_usage().sum() / 1e6),
        "peak_mb": round(peak_mb()),
        "peak_above_input_mb": round(peak_mb() - before),
    }


def appended(home: Path) -> dict[str, float]:
    """What a day costs on top of five years, against what all of it costs."""
    bars = walk(opens("1m", FIVE_YEARS_OF_MINUTES + DAY_OF_MINUTES))
    instrument = Instrument("MINUTES", "crypto", "24/7", 2, 5)
    pipeline, whole, part = Pipeline(home), Clock(), Clock()
    pipeline.run(bars.iloc[:-DAY_OF_MINUTES], instrument, "1m", whole)
    before = stored(pipeline)
    pipeline.run(bars, instrument, "1m", part)
    after = stored(pipeline)
    return {
        "rows": FIVE_YEARS_OF_MINUTES,
        "appended_rows": DAY_OF_MINUTES,
        "whole_s": round(whole.total, 2),
        **{f"append_{name}_ms": round(1000 * each, 1) for name, each in part.wall.items()},
        "append_ms": round(1000 * part.total, 1),
        "append_share_of_whole": round(part.total / whole.total, 4),
        "whole_mb_written": round(before / 1e6, 1),
        "append_mb_written": round((after - before) / 1e6, 2),
    }


def opens(timeframe: str, rows: int) -> np.ndarray:
    """Open times of a market that never closes, microseconds UTC, up to the present."""
    last = int((NOW - timedelta(days=1)).timestamp()) * 1_000_000
    step = microseconds(timeframe)
    last -= last % step
    return last - step * np.arange(rows, dtype=np.int64)[::-1]


def walk(stamps: np.ndarray) -> Any:
    """A random walk with everything that crypto bars may have."""
    rows = len(stamps)
    generator = np.random.default_rng(7)
    close = np.round(1000.0 + generator.normal(0, 0.1, rows).cumsum(), 2)
    before = np.concatenate(([1000.0], close[:-1]))
    volume = np.round(generator.gamma(4.0, 10.0, rows), 5)
    rates = np.round(generator.normal(1e-4, 1e-4, rows // 480 + 1), 8)
    return pd.DataFrame(
        {
            "open": before,
            "high": np.round(np.maximum(before, close) + 0.05, 2),
            "low": np.round(np.minimum(before, close) - 0.05, 2),
            "close": close,
            "volume": volume,
            "trades": np.round(volume * 3),
            "taker_buy_volume": np.round(volume * generator.uniform(0.3, 0.7, rows), 5),
            "open_interest": np.round(1e6 + generator.normal(0, 10, rows).cumsum(), 5),
            "funding_rate": np.repeat(rates, 480)[:rows],
            "liquidations_long": np.round(generator.gamma(1.0, 1e4, rows), 2),
            "liquidations_short": np.round(generator.gamma(1.0, 1e4, rows), 2),
        },
        index=pd.DatetimeIndex(stamps.view("datetime64[us]"), tz="UTC", name="timestamp"),
    )


def stored(pipeline: Pipeline) -> int:
    """Bytes of all objects in the lake; none is ever overwritten."""
    return sum(item.size for item in pipeline.store.lake.list())


def peak_mb() -> float:
    """Greatest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
