"""Garbage collection: objects that no row of the catalog references.

They are left by processes that died between writing objects and committing the row. The rule: a
referenced object is never deleted, whatever runs at the same time. A publisher may be about to
reference an old orphan, so orphans are deleted only while no publication is being committed, after
another look at the rows that came since; a publisher in turn checks, inside its transaction, that
its objects are still there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from hf_resources.catalog import Catalog
from hf_resources.datasets import LAYERS, GarbageReport, Layer
from hf_resources.lake import Lake, StoredObject
from hf_resources.queries import referenced, statements

_BATCH: Final = 200  # deletions while publishers wait
_WRITING: Final = timedelta(hours=1)  # no single object takes longer to write


def collect(
    lake: Lake, catalog: Catalog, *, grace: timedelta, dry_run: bool = False
) -> GarbageReport:
    """Delete unreferenced objects and staging files that are older than ``grace``.

    ``grace`` need not cover the time of a publication for correctness; it spares a publisher that
    is slow to commit from writing its objects again.

    Returns:
        What was deleted, or would be in a dry run.
    """
    before = datetime.now(UTC) - grace
    with catalog.exclusive() as connection:
        # Nothing is in flight now, so rows beyond these ids are the only ones to look at later.
        marks: dict[Layer, int] = {}
        for layer in LAYERS:
            marks[layer] = connection.execute(statements(layer).last_id).scalar_one()
    listed = list(lake.list())
    with catalog.stream() as connection:
        in_use = set(referenced(connection, dict.fromkeys(LAYERS, 0)))
    unreferenced = [item for item in listed if item.path not in in_use]
    orphans = [item for item in unreferenced if item.last_modified < before]
    staging = list(lake.stale_staging(min(before, datetime.now(UTC) - _WRITING)))
    if not dry_run:
        deleted: list[StoredObject] = []
        for start in range(0, len(orphans), _BATCH):
            with catalog.exclusive() as connection:
                recent = set(referenced(connection, marks))
                batch = [o for o in orphans[start : start + _BATCH] if o.path not in recent]
                lake.delete(item.path for item in batch)
            deleted += batch
        orphans = deleted
        lake.delete_staging(item.path for item in staging)
    return GarbageReport(
        objects=tuple(item.path for item in orphans),
        staging=tuple(item.path for item in staging),
        bytes=sum(item.size for item in [*orphans, *staging]),
        kept_young=sum(item.last_modified >= before for item in unreferenced),
        dry_run=dry_run,
    )
