"""Pages of an unfinished fetch, kept so that the next run goes on where this one died.

A page is put into the lake before the next one is asked for. What is here belongs to no dataset: a
finished fetch deletes it, and what nobody comes back for is collected as garbage. What a page is,
and when it is final, is the source's affair (:meth:`hf_resources.sources.base.Source.pages`).

Two processes may fetch the same series at once, and a vendor that is asked twice may cut its pages
elsewhere. The name of a page therefore holds a digest of the pages before it: whoever goes on reads
one chain of pages that one fetch could have had, and never a page behind another's gap.
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
        self._chain = ""

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
        """The pages of earlier runs, up to the first that is missing; none where one is damaged.

        Pages go missing when garbage is collected from under a fetch that takes longer than its
        grace, and when another run finishes.
        """
        self._chain = ""
        kept = {item.path for item in self.lake.list(self.prefix)}
        frames = []
        while (path := self._path(len(frames))) in kept:
            try:
                data = self.lake.get(path)
                table = parquet.decode(data)
            except DataError:
                self.clear()
                return []
            self._follow(data)
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
        which is another one when the next run comes; and what differs from the page that another
        run has kept in the same place.
        """
        if "is_final" in page.columns and not page["is_final"].to_numpy().all():
            return False
        try:
            data = parquet.encode(parquet.canonical_frame(page), "zstd")
        except DataError:
            return False
        path = self._path(number)
        if not self.lake.put_if_absent(path, data) and not self._holds(path, data):
            return False
        self._follow(data)
        return True

    def _holds(self, path: str, data: bytes) -> bool:
        try:
            return self.lake.get(path) == data
        except DataError:  # the other run has finished, and cleared it
            return False

    def _follow(self, data: bytes) -> None:
        """Let the next page be the one after this."""
        self._chain = sha256_hex(f"{self._chain}{sha256_hex(data)}")

    def _path(self, number: int) -> str:
        return f"{self.prefix}/{number:06d}-{self._chain[:16] or 'first'}.parquet"
