"""How a root's partition is fetched: in the pool of its vendor, and whole when its rules changed.

A pool is Dagster's: its limit is the number of symbols that are fetched from a vendor at once, over
all runs, wherever they were started; it is shown under Deployment, Concurrency. Dagster ties a pool
to a whole step, but one step fetches from all vendors, so a slot is claimed here for each partition
with the very code that Dagster's executors use. That code is not public: it is used in this module
alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import dagster as dg
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

from hf_assets.items import DEFAULT_SOURCE, MarketDataItem
from hf_assets.project import Project
from hf_assets.tasks import Fetched, Partition, Task
from hf_plugins.versioning import canonical_json
from hf_resources.datasets import Dataset
from hf_resources.store import DatasetStore

POLL_SECONDS: Final = 0.5
"""Time between two looks at a pool that is full; Dagster itself asks the database more rarely."""


@dataclass(frozen=True)
class Pool:
    """A pool of a vendor; ``limit`` None leaves the limit to the instance."""

    name: str
    limit: int | None


def document_of(project: Project, symbol: str) -> MarketDataItem:
    """The market data document that serves a symbol."""
    name = project.universe.get(symbol).source or DEFAULT_SOURCE
    return project.market_data[name].item


def pool_of(project: Project, task: Task, symbol: str) -> Pool:
    """The pool in which a symbol is fetched: as its document says, else named after its source."""
    layer, name = task.outputs[0].layer, task.outputs[0].name
    if layer == "side_data":
        return Pool(project.tables[name].maker.key, None)
    item = document_of(project, symbol)
    return Pool(item.pool or item.source, item.pool_limit)


def prepared(task: Task, project: Project, context: dg.AssetExecutionContext) -> Task:
    """A root whose fetches keep to their pools; any other task as it is."""
    fetch = task.fetch
    if fetch is None:
        return task

    def pooled(
        store: DatasetStore,
        partition: Partition,
        heads: Mapping[str, Dataset | None],
        whole: bool,
    ) -> Fetched:
        whole = whole or _asks_otherwise(task, partition, heads)
        with slot(context, pool_of(project, task, partition[0])):
            return fetch(store, partition, heads, whole)

    return replace(task, fetch=pooled)


@contextmanager
def slot(context: dg.AssetExecutionContext, pool: Pool) -> Iterator[None]:
    """Hold one slot of a pool; without a limit, of the document or the instance, there is no wait.

    A limit that a document declares is given to the instance, for it is the reviewed one. A run
    that is killed loses its slot when Dagster's run monitoring finds it
    (``free_slots_after_run_end_seconds``).
    """
    storage = context.instance.event_log_storage
    step = str(context.op_execution_context.op_handle)
    if pool.limit is not None:
        limits = {known.name: known.limit for known in storage.get_pool_limits()}
        if limits.get(pool.name) != pool.limit:
            storage.set_concurrency_slots(pool.name, pool.limit)
    with InstanceConcurrencyContext(context.instance, context.run) as claims:
        waited = time.monotonic()
        while not claims.claim(pool.name, step):
            time.sleep(POLL_SECONDS)
        waited = time.monotonic() - waited
        if waited >= 1:
            context.log.info(f"waited {waited:.0f} s for a slot of pool '{pool.name}'")
        try:
            yield
        finally:
            claims.free_step(step)


def _asks_otherwise(task: Task, partition: Partition, heads: Mapping[str, Dataset | None]) -> bool:
    """Whether what stands was fetched by other rules: then its end alone would not be enough.

    Otherwise the old history would go on under new parameters, say raw prices under adjusted ones.
    """
    head = heads[task.names()[0]]
    if head is None:
        return False
    return head.identity.get("params") != json.loads(canonical_json(task.params_of(partition)))
