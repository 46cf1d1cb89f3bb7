"""What the bars of a fetch say about the clock that was declared for them.

When to look, at which bars, and what is kept of the verdict belong here; the evidence is the
business of :mod:`hf_resources.sources.clock_audit`. Looked at are all rows that came, those that
went to quarantine included: with a wrong clock these are the very bars that stand where the market
is closed. So a fetch must bring the whole history, as one from files does and one from a terminal
does when it is asked for everything.

A look takes about half a second for a million bars, too much for each fetch that appends a few; but
a clock does not go wrong from one bar to the next, and evidence needs days to be clear. A series is
therefore looked at when its history is new or was rewritten, and else once for each
:data:`LOOK_AGAIN` of new bars.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import pandas as pd

from hf_plugins.timeframes import duration
from hf_resources.ingestion import Ingestion
from hf_resources.instruments import Instrument
from hf_resources.sources.clock_audit import audit
from hf_resources.sources.paging import instant

LOOK_AGAIN: Final = timedelta(days=7)
"""New bars after which the whole history is looked at again."""
REWRITTEN: Final = 0.01
"""Share of bars that were corrected or no longer came from which on a history counts as new."""

_LONGEST: Final = timedelta(hours=1)
_PRICES: Final = ["high", "low", "close"]


def clock_verdict(
    ingestion: Ingestion,
    instrument: Instrument,
    timeframe: str,
    clock: str | None,
    known: Mapping[str, Any] | None,
) -> dict[str, Any] | None:
    """What the rows of a fetch say about their clock.

    Args:
        ingestion: the fetch.
        instrument: its calendar and asset class say which pauses to expect.
        timeframe: of the bars.
        clock: as declared; None where the source declares none.
        known: the verdict that was kept last.

    Returns:
        ``clock``, ``first_bar`` and ``last_bar`` (ISO 8601, of what was looked at), ``findings``
        (how many are clear), ``contradictions`` (the sentences of those that speak against the
        clock) and ``fitting`` (named clocks that would fit all of them); ``known`` where that still
        holds. None without a declared clock, and for bars longer than an hour, which say nothing.
    """
    if clock is None or duration(timeframe) > _LONGEST:
        return None
    standing = dict(known) if known and known["clock"] == clock else None
    if not ingestion.whole:
        return standing
    rows = _rows(ingestion)
    if rows.empty:
        return standing
    first, last = (instant(rows.index[place]) for place in (0, -1))
    if standing is not None and not _is_due(standing, first, last, ingestion, len(rows)):
        return standing
    found = audit(rows, instrument, timeframe, clock=clock)
    return {
        "clock": clock,
        "first_bar": first.isoformat(),
        "last_bar": last.isoformat(),
        "findings": len(found.findings),
        "contradictions": [each.sentence for each in found.contradictions],
        "fitting": list(found.fitting),
    }


def _is_due(
    standing: Mapping[str, Any], first: datetime, last: datetime, ingestion: Ingestion, rows: int
) -> bool:
    if standing["first_bar"] != first.isoformat():
        return True
    if len(ingestion.revised) + ingestion.vanished > REWRITTEN * rows:
        return True
    return abs(last - datetime.fromisoformat(standing["last_bar"])) >= LOOK_AGAIN


def _rows(ingestion: Ingestion) -> pd.DataFrame:
    """All rows that came with a time and positive prices, in time order, each time once."""
    kept, aside = (
        frame.loc[:, _PRICES] for frame in (ingestion.quality.kept, ingestion.quality.quarantined)
    )
    if aside.empty:
        return kept
    aside = aside.loc[(aside > 0).all(axis=1) & aside.index.notna()]
    rows = pd.concat([kept, aside]).sort_index(kind="stable")
    return rows.loc[~rows.index.duplicated()]
