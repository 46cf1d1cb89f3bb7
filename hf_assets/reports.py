"""Small pictures and tables for people: equity plots as SVG, reports as Markdown.

They are kept beside the dataset that they describe and shown on its page. Numbers arrive computed;
nothing is calculated here.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd

WIDTH, HEIGHT, POINTS, SPARK_POINTS = 760, 260, 240, 84
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 28, 24
_COLOURS = ("#2563eb", "#9ca3af", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#be185d")


def equity_plot(equity: pd.Series, close: pd.Series) -> str:
    """SVG of an equity curve against holding the instrument, both starting at 100."""
    held = close.reindex(equity.index)
    return _line_plot(
        {"strategy": 100 * equity / equity.iloc[0], "buy and hold": 100 * held / held.iloc[0]},
        "Equity out of sample, first bar = 100, log scale",
    )


def comparison_plot(curves: Mapping[str, pd.Series]) -> str:
    """SVG of several equity curves, each starting at 100."""
    scaled = {name: 100 * curve / curve.iloc[0] for name, curve in curves.items() if len(curve)}
    return _line_plot(scaled, "Equity by symbol, first bar = 100, log scale")


def sparkline(values: pd.Series) -> str:
    """SVG of one line without axes, so small that the UI shows it in the metadata table itself.

    The UI shows Markdown of fewer than 1,000 characters in place and hides longer text in a dialog.
    """
    line = _thinned(values.dropna(), SPARK_POINTS).to_numpy(np.float64)
    low, high = (line.min(), line.max()) if len(line) else (0.0, 0.0)
    scaled = 78 - 76 * (line - low) / ((high - low) or 1.0)
    points = " ".join(f"{4 * n},{y:.0f}" for n, y in enumerate(scaled))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="340" height="80">'
        f'<polyline points="{points}" fill="none" stroke="{_COLOURS[0]}"/></svg>'
    )


def model_report(name: str, folds: pd.DataFrame, metrics: Mapping[str, Any]) -> str:
    """Markdown page of a model: out-of-sample quality, and one row per fold."""
    quality = _markdown_table(
        ["metric", "out of sample"], [[key, number(value)] for key, value in metrics.items()]
    )
    rows = [[_cell(value) for value in fold] for fold in folds.itertuples(index=False)]
    return (
        f"### {name}\n\nEvery number is from predictions on rows that the model of its fold was "
        f"not trained on.\n\n{quality}\n\n#### Folds\n\n"
        f"{_markdown_table([str(column) for column in folds.columns], rows)}\n"
    )


def leaderboard(rows: Mapping[str, Mapping[str, Any]], missing: Iterable[str]) -> str:
    """Markdown table of backtests, best Sharpe ratio first; undefined ones last."""
    columns = ["sharpe", "cagr", "max_drawdown", "n_trades", "win_rate", "total_return"]

    def order(symbol: str) -> tuple[bool, float]:
        sharpe = rows[symbol].get("sharpe")
        return (sharpe is None, -(sharpe or 0.0))

    body = [
        [
            symbol,
            f"{rows[symbol]['start']:%Y-%m-%d} to {rows[symbol]['end']:%Y-%m-%d}",
            *(number(rows[symbol].get(column)) for column in columns),
        ]
        for symbol in sorted(rows, key=order)
    ]
    table = _markdown_table(["symbol", "period", *columns], body)
    absent = ", ".join(missing)
    return f"{table}\n\nNot computed yet: {absent}\n" if absent else f"{table}\n"


def number(value: Any) -> str:
    """A metric for people: four significant digits, a dash where it is undefined."""
    if value is None:
        return "-"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return f"{value:,.4g}"


def table_bytes(frame: pd.DataFrame) -> bytes:
    """A small table as Parquet."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, engine="pyarrow", compression="lz4")
    return buffer.getvalue()


def read_table(data: bytes) -> pd.DataFrame:
    """The inverse of :func:`table_bytes`."""
    return pd.read_parquet(io.BytesIO(data), engine="pyarrow")


def _cell(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M}" if value.hour or value.minute else f"{value:%Y-%m-%d}"
    return "-" if value is None or pd.isna(value) else number(value)


def _markdown_table(header: list[str], rows: Iterable[list[str]]) -> str:
    lines = [f"| {' | '.join(header)} |", f"| {' | '.join('---' for _ in header)} |"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def _line_plot(lines: Mapping[str, pd.Series], title: str) -> str:
    lines = {name: _thinned(line.dropna()) for name, line in lines.items()}
    lines = {name: line for name, line in lines.items() if len(line)}
    size = f'width="{WIDTH}" height="{HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">',
        f'<rect {size} fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="16" font-size="12" fill="#111827">{escape(title)}</text>',
    ]
    if lines:
        parts += _axes_and_lines(lines)
    else:
        parts.append(f'<text x="{_LEFT}" y="60" fill="#6b7280">no bars</text>')
    return "\n".join([*parts, "</svg>"])


def _axes_and_lines(lines: Mapping[str, pd.Series]) -> list[str]:
    low = min(float(line.min()) for line in lines.values())
    high = max(float(line.max()) for line in lines.values())
    first = min(line.index[0] for line in lines.values())
    last = max(line.index[-1] for line in lines.values())
    height, width = HEIGHT - _TOP - _BOTTOM, WIDTH - _LEFT - _RIGHT
    span = (pd.Timestamp(last) - pd.Timestamp(first)).total_seconds() or 1.0
    logarithmic = low > 0

    def x(when: Any) -> float:
        return _LEFT + width * (when - first).total_seconds() / span

    def y(value: float) -> float:
        at, bottom, top = np.log((value, low, high)) if logarithmic else (value, low, high)
        return float(_TOP + height * (1 - (at - bottom) / ((top - bottom) or 1.0)))

    parts = []
    for value in np.geomspace(low, high, 5) if logarithmic else np.linspace(low, high, 5):
        parts.append(
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" '
            f'stroke="#e5e7eb"/><text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end" '
            f'fill="#6b7280">{value:,.4g}</text>'
        )
    anchors = ("start", "middle", "middle", "middle", "end")
    for when, anchor in zip(pd.date_range(first, last, periods=5), anchors, strict=True):
        parts.append(
            f'<text x="{x(when):.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}" fill="#6b7280">'
            f"{when:%Y-%m}</text>"
        )
    for position, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[position % len(_COLOURS)]
        points = " ".join(f"{x(when):.1f},{y(float(value)):.1f}" for when, value in line.items())
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
            f'<text x="{WIDTH - _RIGHT - 90 * (len(lines) - position - 1)}" y="16" '
            f'text-anchor="end" fill="{colour}">{escape(name)}</text>'
        )
    return parts


def _thinned(line: pd.Series, most: int = POINTS) -> pd.Series:
    """At most ``most`` points, evenly spaced, the last one included."""
    if len(line) <= most:
        return line
    return line.iloc[np.unique(np.linspace(0, len(line) - 1, most).astype(int))]
