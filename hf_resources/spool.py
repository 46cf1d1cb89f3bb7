"""Pages of an unfinished fetch, kept so that the next run goes on where this one died.

A page is put into the lake before the next one is asked for. What is here belongs to no dataset: a
finished fetch deletes it, and what nobody comes back for is collected as garbage. What a page is,
and when it is final, is the source's affair (:meth:`hf_resources.sources.base.Source.pages`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, cast

import pandas as pd

from hf_plugins.errors import DataError
from hf_plugins.timeframes import duration
from hf_plugins.versioning import canonical_json, sha256_hex
from hf_resources import parquet, paths
from hf_resources.lake import Lake

Pages = Callable[[datetime | None], Iterator[pd.DataFrame]]


class Spool:
    """The pages of one fetch: of one series, from one state of it, with one configuration."""

    def __init__(self, lake: Lake, symbol: str, timeframe: str, purpose: Any) -> None:
        self.lake = lake
        self.timeframe = timeframe
        folder = f"{paths.quote(symbol)}/{paths.quote(timeframe)}"
        self.prefix = f"spool/{folder}/{sha256_hex(canonical_json(purpose))[:16]}"

    def read(self, pages: Pages, start: datetime | None) -> list[pd.DataFrame]:
        """All pages: those that an earlier run left, then the rest as the source yields them.

        Args:
            pages: yields the pages from an open time on.
            start: of the whole fetch.
        """
        found = self._left()
        if found:
            start = cast(datetime, found[-1].index[-1]) + duration(self.timeframe)
        keeping = True
        for page in pages(start):
            if page.empty:
                continue
            # After a page that cannot be kept none is: the next run would go on behind it.
            keeping = keeping and self._keep(len(found), page)
            found.append(page)
        return found

    def clear(self) -> None:
        """Forget the pages; the fetch is finished."""
        self.lake.delete([item.path for item in self.lake.list(self.prefix)])

    def _left(self) -> list[pd.DataFrame]:
        """The pages of an earlier run; none where one of them is missing or damaged.

        That happens when garbage is collected from under a fetch that takes longer than its grace.
        """
        frames = []
        for number, path in enumerate(sorted(item.path for item in self.lake.list(self.prefix))):
            try:
                if path != self._path(number):
                    raise DataError("a page is missing")
                table = parquet.decode(self.lake.get(path))
            except DataError:
                self.clear()
                return []
            types = [
                (name, "bool" if str(table[name].type) == "bool" else "float64")
                for name in table.column_names
                if name != parquet.INDEX
            ]
            frames.append(parquet.to_frame([table], types))
        return frames

    def _keep(self, number: int, page: pd.DataFrame) -> bool:
        """Whether the page is in the lake now, and is this run's.

        Not kept are rows that the store cannot hold, which go to quarantine; an unfinished bar,
        which is another one when the next run comes; and what another run has kept meanwhile.
        """
        if "is_final" in page.columns and not page["is_final"].to_numpy().all():
            return False
        try:
            data = parquet.encode(parquet.canonical_frame(page), "zstd")
        except DataError:
            return False
        return self.lake.put_if_absent(self._path(number), data)

    def _path(self, number: int) -> str:
        return f"{self.prefix}/{number:06d}.parquet"
