"""Build ``daily.parquet`` from the package ``bokeh_sampledata`` (in the ``dev`` extra).

``python -m hf_resources.sources.sample_data.build`` writes it anew. What is done, and why, stands
in PROVENANCE.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

SYMBOLS: Final = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
TARGET: Final = Path(__file__).with_name("daily.parquet")
# The vendor's factor is constant between corporate actions except for the last bits of adj_close.
NOISE: Final = 1e-9
DIGITS: Final = 12


def adjustment(close: np.ndarray, adjusted_close: np.ndarray) -> np.ndarray:
    """The vendor's factor as steps, anchored at the first bar.

    Args:
        close: shape (n_bars,), as traded.
        adjusted_close: shape (n_bars,), anchored by the vendor at its last bar.

    Returns:
        shape (n_bars,): 1.0 at the first bar, constant until the ratio moves by more than 1e-9 of
        itself, rounded to 12 significant digits.
    """
    ratio = adjusted_close / close
    steps = np.empty_like(ratio)
    held = ratio[0]
    for row, value in enumerate(ratio):
        if abs(value / held - 1.0) > NOISE:
            held = value
        steps[row] = float(f"{held / ratio[0]:.{DIGITS}g}")
    return steps


def build() -> pd.DataFrame:
    """The sample as a frame: symbol, timestamp, open, high, low, close, volume, adjustment."""
    from bokeh_sampledata import stocks

    parts = []
    for symbol in SYMBOLS:
        rows = pd.DataFrame(getattr(stocks, symbol))
        bars = pd.DataFrame(
            {
                "symbol": symbol,
                "timestamp": pd.to_datetime(rows["date"], utc=True).dt.as_unit("us"),
                **{name: rows[name].astype("float64") for name in ("open", "high", "low", "close")},
                "volume": rows["volume"].astype("int64"),
                "adjustment": adjustment(rows["close"].to_numpy(), rows["adj_close"].to_numpy()),
            }
        )
        parts.append(bars)
    return pd.concat(parts, ignore_index=True)


def main() -> None:
    """Write the file."""
    frame = build()
    frame.to_parquet(TARGET, index=False, compression="zstd")
    shown = frame.groupby("symbol")["timestamp"].agg(["size", "min", "max"])
    print(shown.to_string())


if __name__ == "__main__":
    main()
