"""What happened while a fetch was read: rows sent twice, pages out of order, requests repeated.

None of it changes the bars, or is an error; but whoever reads them may want to know. The one who
fetches gathers what is remarked in the meantime, in the same thread; a remark that nobody gathers
is lost. What a source can say before it is asked belongs in
:meth:`hf_resources.sources.base.Source.notes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Remarks:
    """How often each thing happened."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, what: str, count: int) -> None:
        """Count something."""
        self._counts[what] += count

    def sentences(self) -> tuple[str, ...]:
        """Each thing with its count, in the order in which they came up."""
        return tuple(f"{what}: {count:,}" for what, count in self._counts.items())


_current: ContextVar[Remarks | None] = ContextVar("remarks", default=None)


@contextmanager
def gathered() -> Iterator[Remarks]:
    """Gather what is remarked inside the block."""
    remarks = Remarks()
    token = _current.set(remarks)
    try:
        yield remarks
    finally:
        _current.reset(token)


def remark(what: str, count: int = 1) -> None:
    """Say that something happened, so many times; ``what`` is a phrase that a count can follow."""
    remarks = _current.get()
    if remarks is not None:
        remarks.add(what, count)
