"""The tasks of side tables: rows fetched from a source, and scores of their texts.

An asset's body here only asks a source or a scorer and hands on what comes back. What makes a table
of rows is in :mod:`hf_resources.side_tables`, how scores are kept in
:mod:`hf_resources.text_scores`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, cast

import dagster as dg
import numpy as np
import pandas as pd

from hf_assets.components import Scores, SideData
from hf_assets.partitions import WHOLE_UNIVERSE
from hf_assets.project import Project
from hf_assets.side_tables import SideTable
from hf_assets.tasks import Fetched, Input, Job, Partition, Product, Settled, Task, merged
from hf_plugins import texts
from hf_plugins.base import SENTIMENT, BaseScorer
from hf_plugins.versioning import (
    Implementation,
    canonical_json,
    implementation_of,
    sha256_hex,
)
from hf_resources import material, side_tables
from hf_resources.datasets import Dataset, Definition
from hf_resources.side_sources.base import SideSource
from hf_resources.store import DatasetStore
from hf_resources.text_scores import TextScores

PROGRESS_SECONDS: Final = 10
"""Time between two lines of progress."""

_STORAGE: Final = (
    "hf_resources.chunks",
    "hf_resources.datasets",
    "hf_resources.source_registry",
    "hf_resources.sources.remarks",
    "hf_resources.store",
)


def side_data_tasks(project: Project) -> list[Task]:
    """The tasks of all side tables, parents before children."""
    return [
        _table(name, table) if isinstance(table.maker, SideSource) else _scores(name, table)
        for name, table in project.tables.items()
    ]


def _table(name: str, table: SideTable) -> Task:
    source, item = cast(SideSource, table.maker), cast(SideData, table.component).item
    key = f"side_data/{name}"

    def fetch(
        store: DatasetStore,
        partition: Partition,
        heads: Mapping[str, Dataset | None],
        whole: bool,
    ) -> Fetched:
        rows = side_tables.collect(
            store,
            source,
            None if partition[0] == WHOLE_UNIVERSE else partition[0],
            now=datetime.now(UTC),
            head=heads[key],
            whole=whole,
        )

        def finish(settled: Settled) -> Mapping[str, Any]:
            del settled
            told = "\n".join(f"* {each}" for each in rows.notes)
            return {"notes": dg.MetadataValue.md(told)} if told else {}

        return Fetched({key: rows.staged}, rows.staged.digests, rows.summary(), finish)

    definition = Definition(
        layer="side_data",
        name=name,
        plugin_key=f"side_data.{source.key}",
        parameters={"source": source.key, "params": source.parameters(), "scope": item.scope},
        description=item.description
        or "Rows as their source has them, each at the instant from which it was known.",
        family="source",
    )
    # What a source fetches is identified by content; the code that counts is what is made of it.
    implementation = implementation_of(
        side_tables.__name__, ("numpy", "pandas"), excluding=_STORAGE
    )
    return Task((definition,), (), implementation, _nothing, fetch=fetch)


def _nothing(job: Job) -> Mapping[str, Product]:
    del job
    return {}


def _scores(name: str, table: SideTable) -> Task:
    scorer, item = cast(BaseScorer, table.maker), cast(Scores, table.component).item
    key, of = f"side_data/{name}", f"side_data/{item.of}"
    implementation = implementation_of(type(scorer))
    columns = implementation_of(texts.__name__, ("pandas",))

    @cache
    def loaded() -> BaseScorer:
        """Made ready once a process: weights are large."""
        if scorer.material is not None:
            scorer.load(material.find(scorer.material))
        return scorer

    def local(symbol: str) -> Mapping[str, Any]:
        del symbol
        return {"material": _material(scorer)}

    def compute(job: Job) -> Mapping[str, Product]:
        frame = job.frames[of]
        found = texts.joined(frame.loc[:, item.text])
        filled = found.notna().to_numpy()
        kept = TextScores(job.store.catalog, scorer_digest(scorer, implementation))
        scores, scored = kept.of(list(found[filled]), loaded, _progress(job, key))
        values = np.full((len(frame), len(SENTIMENT)), np.nan)
        values[filled] = scores.to_numpy()
        made = pd.DataFrame(values, index=frame.index, columns=list(SENTIMENT))
        summary = {"texts_scored": scored, "texts_blank": int((~filled).sum())}
        return {key: Product(made, summary=summary)}

    definition = Definition(
        layer="side_data",
        name=name,
        plugin_key=scorer.key,
        parameters={"params": scorer.parameters(), "of": item.of, "text": item.text},
        description=item.description,
        family=scorer.key.partition(".")[0],
    )
    return Task(
        (definition,),
        (Input("side_data", item.of, tuple(item.text)),),
        merged(implementation, columns),
        compute,
        schema_version=scorer.schema_version,
        context=lambda partition: 0,
        local=local,
    )


def scorer_digest(scorer: BaseScorer, implementation: Implementation) -> str:
    """What decides the numbers of a scorer: key, parameters, code, libraries and material."""
    return sha256_hex(
        canonical_json(
            {
                "plugin_key": scorer.key,
                "params": scorer.parameters(),
                "implementation": implementation.digest,
                "schema": scorer.schema_version,
                "material": _material(scorer),
            }
        )
    )


def _material(scorer: BaseScorer) -> str | None:
    return None if scorer.material is None else material.digest_of(scorer.material)


def _progress(job: Job, key: str) -> Callable[[int, int], None]:
    next_line = time.monotonic() + PROGRESS_SECONDS

    def told(done: int, total: int) -> None:
        nonlocal next_line
        if time.monotonic() >= next_line:
            next_line = time.monotonic() + PROGRESS_SECONDS
            job.log(f"{key} {job.symbol}: {done:,} of {total:,} texts scored")

    return told
