"""A series of bars that is ingested again and again, as an asset does it, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from hf_plugins.bar_quality import QualityPolicy
from hf_plugins.versioning import Identity, Implementation, InputVersion, source_fingerprint
from hf_resources.datasets import Dataset, DatasetRef, Definition
from hf_resources.ingestion import Ingestion, ingest
from hf_resources.instruments import Instrument
from hf_resources.sources.base import Source, window
from hf_resources.store import DatasetStore

COIN = Instrument("BTC", "crypto", "24/7", 2, 5)
SHARE = Instrument("AAPL", "equity", "XNYS", 2, 0)
BOOKKEEPING = ["revision", "amended_from", "fetched_at"]


class Shelf(Source):
    """A source that has the bars that it is given; ``asked`` are the starts of its windows."""

    key = "shelf"

    def __init__(
        self, bars: Any, *, incremental: bool = True, vintage: datetime | None = None
    ) -> None:
        super().__init__()
        self.frame = bars
        self.windowed = incremental
        self.declared = vintage
        self.asked: list[datetime | None] = []

    @property
    def incremental(self) -> bool:
        return self.windowed

    def timeframes(self, instrument: Instrument) -> tuple[str, ...]:
        return ("1m", "1h", "1d")

    def vintage(self, instrument: Instrument, timeframe: str) -> datetime | None:
        return self.declared

    def fetch(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pd.DataFrame:
        self.asked.append(start)
        return window(self.frame, start, end)


@dataclass
class Series:
    """One series in a store, with its heads; ingested and published in the order of the assets."""

    store: DatasetStore
    instrument: Instrument = COIN
    timeframe: str = "1h"
    policy: QualityPolicy = field(default_factory=QualityPolicy)

    @property
    def bars(self) -> Dataset | None:
        return self.store.head(self._ref("bars"))

    @property
    def quarantine(self) -> Dataset | None:
        return self.store.head(self._ref("quarantine"))

    @property
    def history(self) -> list[Dataset]:
        return self.store.history(self._ref("bars"))

    def fetch(self, source: Source, now: datetime, *, whole: bool = False) -> Any:
        """Outcome and spool of an ingestion that is not published."""
        return ingest(
            self.store,
            source,
            self.instrument,
            self.timeframe,
            policy=self.policy,
            now=now,
            bars=self.bars,
            quarantine=self.quarantine,
            whole=whole,
        )

    def publish(self, outcome: Ingestion) -> None:
        chunks = outcome.bars.chunks
        used = {"fetched": InputVersion("", outcome.digests)}
        identity = Identity(
            plugin_key="market_data.bars",
            params={},
            symbol=self.instrument.symbol,
            timeframe=self.timeframe,
            start_date=chunks[0].start.isoformat(),
            end_date=chunks[-1].end.isoformat(),
            source_fingerprint=source_fingerprint(used),
            code_version="c" * 16,
            implementation=Implementation({}, {}),
            inputs=used,
        )
        # A death between the two must leave the rows that were put aside, not the bars alone.
        for name, staged in (("quarantine", outcome.quarantine), ("bars", outcome.bars)):
            ref = self._ref(name)
            head = self.store.head(ref)
            known = self.store.lookup(ref, identity.version_hash)
            if known is not None:
                self.store.adopt(known, expected=head)
                continue
            self.store.publish(
                ref,
                identity,
                definition=Definition("market_data", name, "market_data.bars", {}),
                frame=staged,
                summary=outcome.summary(),
                expected=head,
            )

    def ingest(self, source: Source | Any, now: datetime, *, whole: bool = False) -> Ingestion:
        """Ingest a source, or a frame from a source that can be asked for its end alone."""
        source = source if isinstance(source, Source) else Shelf(source)
        outcome, spool = self.fetch(source, now, whole=whole)
        self.publish(outcome)
        spool.clear()
        return outcome

    def read(self, *columns: str) -> Any:
        assert self.bars is not None
        return self.store.read(self.bars, columns or None, verify=True)

    def aside(self) -> Any:
        assert self.quarantine is not None
        return self.store.read(self.quarantine, verify=True)

    def _ref(self, name: str) -> DatasetRef:
        return DatasetRef("market_data", name, self.instrument.symbol, self.timeframe)


def walk(rows: int, start: str = "2024-01-01", freq: str = "h", seed: int = 0) -> Any:
    """A quiet random walk at the precision of :data:`COIN`, all of it validated."""
    generator = np.random.default_rng(seed)
    index = pd.date_range(start, periods=rows, freq=freq, tz="UTC", name="timestamp", unit="us")
    index.freq = None  # a frame that was read has none
    close = np.round(100 + generator.normal(0, 0.1, rows).cumsum(), 2)
    before = np.concatenate(([100.0], close[:-1]))
    return pd.DataFrame(
        {
            "open": before,
            "high": np.round(np.maximum(before, close) + 0.05, 2),
            "low": np.round(np.minimum(before, close) - 0.05, 2),
            "close": close,
            "volume": np.round(generator.uniform(5, 10, rows), 3),
        },
        index=index,
    )


def after(bars: Any, hours: float = 1.01) -> datetime:
    """An instant after the last bar's close."""
    return (bars.index[-1] + pd.Timedelta(hours=hours)).to_pydatetime()
