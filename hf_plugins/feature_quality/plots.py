"""Pictures of a report, as SVG text: no library, no state, the same bytes for the same numbers."""

from __future__ import annotations

import math
from html import escape

import pandas as pd

CELL_WIDTH, CELL_HEIGHT, LABEL_WIDTH, HEADER_HEIGHT = 46, 15, 190, 30


def stability_heat_map(auc: pd.DataFrame, *, span: float = 0.03, told: bool = True) -> str:
    """AUC by feature (rows) and period (columns).

    Blue is below 0.5, red above, white at 0.5; full colour at ``span`` from it. A cell without a
    value stays grey.

    Args:
        auc: shape (n_features, n_periods).
        span: distance from 0.5 with full colour.
        told: whether every cell tells its number to the reader who points at it; an image in a page
            cannot, and is smaller without.
    """
    width = LABEL_WIDTH + CELL_WIDTH * auc.shape[1]
    height = HEADER_HEIGHT + CELL_HEIGHT * auc.shape[0]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="9">'
    )
    parts = [head]
    for j, period in enumerate(auc.columns):
        x = LABEL_WIDTH + CELL_WIDTH * j + CELL_WIDTH / 2
        parts.append(
            f'<text x="{x:g}" y="{HEADER_HEIGHT - 8}" text-anchor="middle">'
            f"{escape(str(period))}</text>"
        )
    values = auc.to_numpy(float)
    for i, feature in enumerate(auc.index):
        y = HEADER_HEIGHT + CELL_HEIGHT * i
        parts.append(
            f'<text x="{LABEL_WIDTH - 6}" y="{y + CELL_HEIGHT - 4}" text-anchor="end">'
            f"{escape(str(feature))}</text>"
        )
        for j, period in enumerate(auc.columns):
            value = float(values[i, j])
            shown = "no value" if math.isnan(value) else f"{value:.4f}"
            title = f"<title>{escape(f'{feature}, {period}: {shown}')}</title>" if told else ""
            parts.append(
                f'<rect x="{LABEL_WIDTH + CELL_WIDTH * j}" y="{y}" width="{CELL_WIDTH - 1}" '
                f'height="{CELL_HEIGHT - 1}" fill="{_colour(value, span)}">{title}</rect>'
            )
    parts.append("</svg>")
    return "\n".join(parts)


def _colour(auc: float, span: float) -> str:
    if math.isnan(auc):
        return "#dddddd"
    strength = max(-1.0, min((auc - 0.5) / span, 1.0))
    faded = round(255 * (1.0 - abs(strength)))
    return f"#ff{faded:02x}{faded:02x}" if strength >= 0 else f"#{faded:02x}{faded:02x}ff"
