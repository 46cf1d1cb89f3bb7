"""What a certificate says: a verdict for each aspect, and the first violation in words.

Only the record belongs here, with its way to JSON and back; how it is come by is in ``certify``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

Level = Literal["quick", "full"]

ASPECTS: Final[dict[str, str]] = {
    "truncated": "computed from what was known at the close of a row alone",
    "poisoned": "computed with an absurd, shuffled, thinned or missing future",
    "growth": "computed from the declared look-back, or from the state left before",
    "tick": "computed with one absurd tick in the past: it moves nothing before it, and nothing "
    "beyond the look-back",
    "repeated": "computed once more after all of this",
}
"""What is tried, in this order."""


@dataclass(frozen=True)
class Finding:
    """One value that is not what was published.

    Attributes:
        aspect: of :data:`ASPECTS`.
        column: of the output; empty where it is about rows or columns as such.
        timestamp: open time of the row, ISO 8601, UTC; empty where there is none.
        cut: open time of the last row that was known, or of the tick.
        published: the value, None where it is null or infinite.
        recomputed: what came instead, None likewise.
        sentence: all of this for a reader, infinities included.
    """

    aspect: str
    column: str
    timestamp: str
    cut: str
    published: float | None
    recomputed: float | None
    sentence: str


@dataclass(frozen=True)
class Aspect:
    """The verdict on one aspect.

    ``cuts``: places tried. ``rows``: values of so many rows were compared. ``note``: why nothing
    was tried, or what is peculiar to how.
    """

    name: str
    cuts: int
    rows: int
    finding: Finding | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """``ok``, ``violated`` or ``not tried``."""
        if self.finding is not None:
            return "violated"
        return "ok" if self.cuts else "not tried"


@dataclass(frozen=True)
class Certificate:
    """What was tried on one dataset, or one sample, and what came of it.

    Attributes:
        plugin: key of the plugin.
        level: ``quick`` or ``full``.
        seed: of the sampled cuts.
        rows: published rows that the certificate is about.
        start: open time of the first of them, ISO 8601; empty without rows.
        end: open time of the last of them.
        continues: whether earlier rows were left to the certificate of an earlier version.
        recomputed: rows computed for it, look-back and futures included.
        aspects: one for each of :data:`ASPECTS`.
    """

    plugin: str
    level: Level
    seed: int
    rows: int
    start: str
    end: str
    continues: bool
    recomputed: int
    aspects: tuple[Aspect, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return self.finding is None

    @property
    def finding(self) -> Finding | None:
        """The first violation."""
        return next((each.finding for each in self.aspects if each.finding), None)

    @property
    def caught_by(self) -> tuple[str, ...]:
        """Aspects with a violation."""
        return tuple(each.name for each in self.aspects if each.finding)

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        if self.finding is not None:
            return self.finding.sentence
        if not self.rows:
            return "there is no row to certify"
        of = "rows appended" if self.continues else "rows"
        cuts = sum(each.cuts for each in self.aspects)
        return (
            f"no look-ahead found in {self.rows:,} {of} ({_day(self.start)} to {_day(self.end)}): "
            f"{cuts:,} recomputations of {self.recomputed:,} rows in all gave the published values"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "aspects": [asdict(each) for each in self.aspects]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Certificate:
        """What :meth:`to_json` gave."""
        aspects = tuple(
            Aspect(**{**each, "finding": Finding(**each["finding"]) if each["finding"] else None})
            for each in values["aspects"]
        )
        return cls(**{**values, "aspects": aspects})

    def __str__(self) -> str:
        lines = [f"{'ok  ' if self.ok else 'FAIL'} {self.plugin}, {self.level}: {self.sentence}"]
        for each in self.aspects:
            times = f"{each.cuts:,} time{'s' * (each.cuts != 1)}"
            told = f"{times}, {each.rows:,} rows compared" if each.cuts else each.note
            lines.append(f"     {each.verdict:<9} {each.name}: {ASPECTS[each.name]} ({told})")
            if each.finding is not None and each.finding is not self.finding:
                lines.append(f"               {each.finding.sentence}")
        return "\n".join(lines)


def _day(stamp: str) -> str:
    return stamp[:16].replace("T", " ")
