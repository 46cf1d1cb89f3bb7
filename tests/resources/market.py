"""Bars on their way into a store: ingested from frames, and enriched, as the platform does it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from hf_plugins.bar_quality import QualityPolicy
from hf_plugins.enrichment.bars import READS, enrich
from hf_plugins.versioning import Identity, InputVersion, source_fingerprint
from hf_resources.datasets import Dataset, DatasetRef
from hf_resources.ingestion import ingest
from hf_resources.instruments import Instrument
from hf_resources.sources.base import Source, window
from hf_resources.store import DatasetStore
from tests.resources import samples

FIRST = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""When the first bars of most tests came."""


class Frames(Source):
    """A source of one frame, which it always sends whole."""

    key = "frames"

    def __init__(self, frame: pd.DataFrame) -> None:
        super().__init__()
        self.frame = frame

    def timeframes(self, instrument: Instrument) -> tuple[str, ...]:
        return ("1h", "1d")

    def fetch(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pd.DataFrame:
        return window(self.frame, start, end)


def ohlcv(rows: int, *, timeframe: str = "1d", start: str = "2024-01-01", seed: int = 1) -> Any:
    """A random walk of a market that never closes, prices with two decimals."""
    generator = np.random.default_rng(seed)
    index = pd.date_range(
        start, periods=rows, freq=samples.FREQUENCY[timeframe], tz="UTC", name="timestamp"
    )
    close = 100 * np.exp(np.cumsum(generator.normal(0, 0.01, rows)))
    opens = np.concatenate(([100.0], close[:-1]))
    frame = pd.DataFrame(
        {
            "open": opens,
            "high": np.maximum(opens, close) * 1.002,
            "low": np.minimum(opens, close) * 0.998,
            "close": close,
            "volume": generator.gamma(4.0, 10.0, rows),
        },
        index=index.as_unit("ns"),
    )
    return frame.round(2)


def came(
    store: DatasetStore,
    frame: pd.DataFrame,
    at: datetime,
    *,
    symbol: str = "BTCUSDT",
    timeframe: str = "1d",
    asset_class: str = "crypto",
    calendar: str = "24/7",
) -> Dataset:
    """Ingest what a source sends at an instant; the new head of the bars."""
    refs = {
        name: DatasetRef("market_data", name, symbol, timeframe) for name in ("bars", "quarantine")
    }
    heads = {name: store.head(ref) for name, ref in refs.items()}
    outcome, spool = ingest(
        store,
        Frames(frame),
        Instrument(symbol, asset_class, calendar, 2, 2),
        timeframe,
        policy=QualityPolicy(),
        now=at,
        bars=heads["bars"],
        quarantine=heads["quarantine"],
    )
    inputs = {"source": InputVersion("", outcome.digests)}
    staged = {"bars": outcome.bars, "quarantine": outcome.quarantine}
    for name, ref in refs.items():
        store.publish(
            ref,
            _identity(ref, "market_data.bars", inputs, outcome.bars.chunks),
            definition=samples.definition(ref),
            frame=staged[name],
            summary=outcome.summary(),
            expected=heads[name],
        )
    spool.clear()
    head = store.head(refs["bars"])
    assert head is not None
    return head


def enriched(
    store: DatasetStore, bars: Dataset, *, code_version: str = "c" * 16, quality: float = 1.0
) -> Dataset:
    """Compute and publish the enriched bars of a version of the raw ones.

    ``quality`` is what this code says of all bars, to tell it from other code.
    """
    ref = DatasetRef("market_data", "enriched", bars.ref.symbol, bars.ref.timeframe)
    frame, _ = enrich(
        store.read(bars, list(READS)),
        timeframe=ref.timeframe,
        calendar="24/7",
        asset_class="crypto",
    )
    frame["quality_score"] = quality
    digests = {name: bars.column_digests[name] for name in ("timestamp", *READS)}
    inputs = {"market_data/bars": InputVersion(bars.version_hash, digests)}
    identity = _identity(
        ref, "market_data.enriched", inputs, store.chunks(bars), code_version=code_version
    )
    return store.publish(
        ref, identity, definition=samples.definition(ref), frame=frame, expected=store.head(ref)
    )


def _identity(
    ref: DatasetRef, plugin_key: str, inputs: dict[str, InputVersion], chunks: Any, **changes: Any
) -> Identity:
    return samples.identity(
        of=ref,
        plugin_key=plugin_key,
        params={},
        start_date=chunks[0].start.isoformat(),
        end_date=chunks[-1].end.isoformat(),
        source_fingerprint=source_fingerprint(inputs),
        inputs=inputs,
        **changes,
    )
