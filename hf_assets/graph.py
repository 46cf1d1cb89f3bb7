"""From items to tasks: what each declared asset reads, runs and yields.

One function per layer, in the order in which data flows. A compute function here only hands frames
to a plugin and wraps what comes back; formulas belong in ``hf_plugins``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final, cast

import numpy as np
import pandas as pd

from hf_assets import coverage, reports, tracking
from hf_assets.partitions import WHOLE_UNIVERSE
from hf_assets.project import Project
from hf_assets.quality import quality_task
from hf_assets.side_data import side_data_tasks
from hf_assets.side_tables import SideTable
from hf_assets.tasks import (
    STATE,
    Closes,
    Fetched,
    Input,
    Job,
    Partition,
    Product,
    Settled,
    Task,
    column,
    merged,
)
from hf_plugins import joins, registry
from hf_plugins.base import BaseFeature, Side
from hf_plugins.enrichment import bars as enrichment
from hf_plugins.enrichment.universal import UniversalState
from hf_plugins.models.artefact import pack
from hf_plugins.timeframes import EVENT, bars_per_year
from hf_plugins.validation.labels import get_label
from hf_plugins.validation.out_of_sample import assert_out_of_sample
from hf_plugins.validation.walk_forward import prediction_report, walk_forward
from hf_plugins.versioning import implementation_of, sha256_hex
from hf_resources import ingestion
from hf_resources.calendars import bar_closes
from hf_resources.datasets import Dataset, Definition, Layer
from hf_resources.ingestion import ingest
from hf_resources.store import DatasetStore

ENRICHED = "market_data/enriched"
_ENRICHED: Final[tuple[Layer, str]] = ("market_data", "enriched")
BARS = tracking.BARS
QUARANTINE = tracking.QUARANTINE

STORAGE_AND_TRANSPORT: Final = (
    "hf_resources.chunks",
    "hf_resources.datasets",
    "hf_resources.source_registry",
    "hf_resources.sources.base",
    "hf_resources.sources.paging",
    "hf_resources.sources.remarks",
    "hf_resources.spool",
    "hf_resources.store",
)
"""What ingestion imports and what does not decide which bars come of what was fetched."""

CALENDARS: Final = ("hf_resources.calendars", ("exchange-calendars",))
"""What decides when trading in a bar ended, and so which rows of a side table count for it."""
UNIVERSE: Final = ("hf_resources.instruments",)
"""What of it is read from a file and checked; its values are among the parameters."""


def build_tasks(project: Project) -> list[Task]:
    """All tasks of a project, parents before children."""
    return [
        *side_data_tasks(project),
        _bars(project),
        _enriched(project),
        *(_feature(project, name) for name in project.features),
        *(_quality(project, name) for name in project.quality),
        *(_model(project, name) for name in project.models),
        *(_signal(project, name) for name in project.signals),
        *(_backtest(project, name) for name in project.strategies),
        *(_report(project, name) for name in project.strategies),
    ]


# -------------------------------------------------------------------------------- market data


def _bars(project: Project) -> Task:
    def fetch(
        store: DatasetStore,
        partition: Partition,
        heads: Mapping[str, Dataset | None],
        whole: bool,
    ) -> Fetched:
        symbol, timeframe = partition
        attempt = tracking.begin_fetch(project, partition)
        try:
            outcome, spool = ingest(
                store,
                project.sources[symbol],
                project.universe.get(symbol),
                timeframe,
                policy=project.policies[symbol],
                now=attempt.started_at.replace(microsecond=0),
                bars=heads[BARS],
                quarantine=heads[QUARANTINE],
                whole=whole,
            )
        except Exception as error:
            tracking.record_failure(store, attempt, error)
            raise

        def finish(settled: Settled) -> Mapping[str, Any]:
            spool.clear()
            return tracking.record_fetch(settled, attempt, outcome)

        staged = {BARS: outcome.bars, QUARANTINE: outcome.quarantine}
        return Fetched(staged, outcome.digests, outcome.summary(), finish)

    def local(symbol: str) -> Mapping[str, Any]:
        source = project.sources[symbol]
        instrument = asdict(project.universe.get(symbol))
        return {
            "instrument": {name: instrument[name] for name in tracking.DECISIVE},
            "source": source.key,
            "params": source.parameters(),
            "quality": project.policies[symbol].model_dump(mode="json"),
        }

    bars = Definition(
        layer="market_data",
        name="bars",
        plugin_key="market_data.bars",
        parameters={},
        description=(
            "Bars as their source has them, in canonical form: UTC open times, strictly "
            "increasing, rounded to the instrument's precision, each with its quality and its "
            "revision. A bar that its source corrects is a new revision; the old one stays in the "
            "earlier versions."
        ),
        family="source",
    )
    quarantine = replace(
        bars,
        name="quarantine",
        description=(
            "Rows that the quality policy put aside, in order of arrival, each with its reason in "
            "`validation_notes`. Nothing that came is dropped."
        ),
    )
    # What a source fetches is identified by content; the code that counts is what is made of it.
    implementation = implementation_of(
        ingestion.__name__, ("numpy", "pandas"), excluding=STORAGE_AND_TRANSPORT
    )
    return Task((bars, quarantine), (), implementation, _nothing, fetch=fetch, local=local)


def _nothing(job: Job) -> Mapping[str, Product]:
    del job
    return {}


def _enriched(project: Project) -> Task:
    def setting(partition: Partition) -> dict[str, str]:
        instrument = project.universe.get(partition[0])
        return {
            "timeframe": partition[1],
            "calendar": instrument.calendar,
            "asset_class": instrument.asset_class,
        }

    def compute(job: Job) -> Mapping[str, Product]:
        state = UniversalState.from_json(json.loads(job.state)) if job.state else None
        frame, after = enrichment.enrich(
            job.frames[BARS], **setting((job.symbol, job.timeframe)), state=state
        )
        left = json.dumps(after, allow_nan=False).encode()
        return {ENRICHED: Product(frame, attachments={STATE: left})}

    def local(symbol: str) -> Mapping[str, Any]:
        return {key: value for key, value in setting((symbol, "")).items() if value}

    definition = Definition(
        layer="market_data",
        name="enriched",
        plugin_key="market_data.enriched",
        parameters={},
        description=(
            "Open, high, low and close on a total-return basis, anchored at the first bar: a later "
            "dividend or split never rewrites what is there. The raw close stays as `raw_close`. "
            "With the universal and the crypto features and the quality of each bar."
        ),
        family="view",
    )
    return Task(
        (definition,),
        (Input("market_data", "bars", enrichment.READS),),
        implementation_of(enrichment.__name__, ("numba", "numpy", "pandas")),
        compute,
        context=lambda partition: enrichment.context_rows(**setting(partition)),
        stateful=True,
        record=tracking.record_computation,
        local=local,
    )


# ----------------------------------------------------------------------------------- features


def _feature(project: Project, name: str) -> Task:
    component, plugin = project.features[name]
    key = f"features/{name}"
    stateful = plugin.context is not None
    tables = {side.table: project.tables[side.table] for side in plugin.sides if side.table}
    # What came since the row before is told by that row, which only a state can do without.
    before = any(side.join in joins.WINDOWED for side in plugin.sides)

    def closes(partition: Partition, index: pd.DatetimeIndex) -> np.ndarray:
        return bar_closes(project.universe.get(partition[0]), partition[1], index)

    def local(symbol: str) -> Mapping[str, Any]:
        instrument = project.universe.get(symbol)
        return {"calendar": instrument.calendar, "asset_class": instrument.asset_class}

    def compute(job: Job) -> Mapping[str, Product]:
        data = _read_by(plugin, job, tables, closes if tables else None)
        appended = len(data) if job.after is None else int(np.count_nonzero(data.index > job.after))
        if not appended:
            empty = pd.DataFrame(columns=list(plugin.outputs), index=data.index[:0], dtype=float)
            return {key: Product(empty, {STATE: job.state or b"null"} if stateful else {})}
        if not stateful:
            return {key: Product(_checked(key, plugin, plugin.compute(data), data.index))}
        data = data.iloc[-(appended + (plugin.context or 0)) :]
        state = json.loads(job.state) if job.state else None
        frame, after = plugin.advance(data, appended, state)
        left = json.dumps(after, allow_nan=False).encode()
        index = data.index[len(data) - appended :]
        return {key: Product(_checked(key, plugin, frame, index), attachments={STATE: left})}

    definition = Definition(
        layer="features",
        name=name,
        plugin_key=plugin.key,
        parameters=plugin.parameters(),
        description=component.item.description,
        family=plugin.key.partition(".")[0],
    )
    memory = plugin.memory
    rows = plugin.context
    if not stateful and memory.kind == "finite":
        rows = cast(int, memory.lookback) - 1
    implementation = implementation_of(type(plugin))
    if plugin.sides:
        implementation = merged(implementation, implementation_of(joins.__name__))
    if tables:
        implementation = merged(implementation, implementation_of(*CALENDARS, excluding=UNIVERSE))
    return Task(
        (definition,),
        _inputs_of(plugin, tables),
        implementation,
        compute,
        schema_version=plugin.schema_version,
        context=lambda partition: None if rows is None else rows + before,
        stateful=stateful,
        step=coverage.step_label(project.universe, project.tables, project.features, name),
        local=local if tables else None,
        closes=closes if tables else None,
    )


def _parent_of(side: Side, tables: Mapping[str, SideTable]) -> Input:
    """Where the rows of a side are, without their columns."""
    lags = (side.lag_minutes, side.lag_minutes)
    if side.table:
        of_market = tables[side.table].scope == "market"
        symbol = WHOLE_UNIVERSE if of_market else side.symbol
        return Input("side_data", side.table, (), False, symbol, EVENT, "asof", lags)
    layer, parent = ("features", side.feature) if side.feature else _ENRICHED
    join = "inner" if side.join == "inner" else "asof"
    return Input(layer, parent, (), False, side.symbol, side.timeframe, join, lags)


def _inputs_of(plugin: BaseFeature, tables: Mapping[str, SideTable]) -> tuple[Input, ...]:
    """The own bars, and each parent partition beside them once, with all columns read of it."""
    own = Input("market_data", "enriched", plugin.reads)
    found: dict[tuple[str, str | None, str | None], Input] = {(ENRICHED, None, None): own}
    for side in plugin.sides:
        parent = _parent_of(side, tables)
        place = (parent.key, parent.symbol, parent.timeframe)
        used = found.get(place, parent)
        found[place] = replace(
            used,
            columns=tuple(dict.fromkeys((*used.columns, *side.columns))),
            # Of several joins the one that needs to know more decides what a tail reads.
            join="asof" if "asof" in (used.join, parent.join) else parent.join,
            lags=(min(used.lags[0], parent.lags[0]), max(used.lags[1], parent.lags[1])),
        )
    return tuple(found.values())


def _read_by(
    plugin: BaseFeature, job: Job, tables: Mapping[str, SideTable], closes: Closes | None
) -> pd.DataFrame:
    """The frame of a feature: its own bars and what it declares beside them."""
    own = job.frames[ENRICHED].loc[:, list(plugin.reads)]
    partition = (job.symbol, job.timeframe)
    sides = {
        side: job.frames[_parent_of(side, tables).frame_key(partition)] for side in plugin.sides
    }
    if not sides:
        return own
    ends = closes(partition, pd.DatetimeIndex(own.index)) if closes else None
    return joins.joined(own, sides, job.timeframe, ends)


def _checked(key: str, plugin: BaseFeature, frame: pd.DataFrame, index: pd.Index) -> pd.DataFrame:
    """Hold a plugin to its contract before anything of it is published."""
    if not frame.index.equals(index):
        raise TypeError(f"{key}: {plugin!r} changed the index; a feature keeps that of its input")
    if tuple(frame.columns) != tuple(plugin.outputs):
        raise TypeError(
            f"{key}: {plugin!r} yielded columns {list(frame.columns)}, declared are "
            f"{list(plugin.outputs)}"
        )
    return frame


def _quality(project: Project, name: str) -> Task:
    component, params = project.quality[name]
    features = {each: project.features[each][1] for each in component.item.features}
    return quality_task(component, params, features)


# ------------------------------------------------------------------------------------- models


def _model(project: Project, name: str) -> Task:
    component, scheme = project.models[name]
    item = component.item
    plugin_type = registry.models.get(item.plugin)
    plugin = plugin_type(**item.params)
    features = {feature: project.features[feature][1].outputs for feature in item.features}
    columns = [column for outputs in features.values() for column in outputs]
    models_key, predictions_key = f"models/{name}", f"predictions/{name}"

    def compute(job: Job) -> Mapping[str, Product]:
        # A feature that joins other instruments lacks the bars that one of them lacks. What is left
        # lies no denser than the bars, so a gap in its rows is at least that gap in bars.
        frames = [job.frames[f"features/{feature}"] for feature in features]
        X = pd.concat(frames, axis=1, join="inner").loc[:, columns]
        label = get_label(item.label)(column(job.frames[ENRICHED], "close"), item.horizon)
        y = label.loc[X.index]
        result = walk_forward(
            lambda seed: plugin_type(seed=seed, **item.params),
            X,
            y,
            horizon=item.horizon,
            params=scheme,
            seed=_seed(job),
        )
        report = prediction_report(result.predictions, horizon=item.horizon)
        artefact = pack(
            result.model,
            columns=columns,
            horizon=item.horizon,
            label=item.label,
            train_start=result.train_start,
            train_end=result.train_end,
        )
        page = reports.model_report(name, result.folds, report).encode()
        summary = {**report, "folds": len(result.folds), "features": columns}
        return {
            models_key: Product(
                attachments={"model.zip": artefact, "report.md": page}, summary=summary
            ),
            predictions_key: Product(
                result.predictions, attachments={"report.md": page}, summary=summary
            ),
        }

    parameters = {
        "params": plugin.parameters(),
        "features": item.features,
        "label": item.label,
        "horizon": item.horizon,
        "scope": item.scope,
        "walk_forward": scheme.model_dump(mode="json"),
    }
    outputs = tuple(
        Definition(
            layer=layer,
            name=name,
            plugin_key=plugin.key,
            parameters=parameters,
            description=item.description,
            family=plugin.key.partition(".")[0],
        )
        for layer in ("models", "predictions")
    )
    inputs = (
        *(Input("features", feature, tuple(outputs)) for feature, outputs in features.items()),
        Input("market_data", "enriched", ("close",)),
    )
    implementation = merged(
        implementation_of(plugin_type),
        implementation_of("hf_plugins.validation.walk_forward", ("numpy", "pandas")),
        implementation_of("hf_plugins.validation.labels", ("numpy", "pandas")),
    )
    return Task(outputs, inputs, implementation, compute, schema_version=plugin.schema_version)


def _seed(job: Job) -> int:
    """Seed of a partition: from what is computed, not from the rows it is computed on.

    Seeding from the full version hash would redraw every past prediction whenever a bar is added.
    """
    identity = job.identity
    return int(sha256_hex(f"{identity.code_version}|{job.symbol}|{job.timeframe}")[:8], 16)


# ------------------------------------------------------------------------------------ signals


def _signal(project: Project, name: str) -> Task:
    component, plugin = project.signals[name]
    key, predictions_key = f"signals/{name}", f"predictions/{component.item.model}"

    def compute(job: Job) -> Mapping[str, Product]:
        predictions = job.frames[predictions_key]
        known = predictions.loc[column(predictions, "prediction").notna().cummax()]
        frame = plugin.generate(known.loc[:, list(plugin.reads)])
        frame = frame.assign(train_end=known["train_end"])
        return {key: Product(frame, summary=_positions(column(frame, "target")))}

    definition = Definition(
        layer="signals",
        name=name,
        plugin_key=plugin.key,
        parameters={"params": plugin.parameters(), "model": component.item.model},
        description=component.item.description,
        family=plugin.key.partition(".")[0],
    )
    columns = tuple(dict.fromkeys((*plugin.reads, "prediction", "train_end")))
    return Task(
        (definition,),
        (Input("predictions", component.item.model, columns),),
        implementation_of(type(plugin)),
        compute,
        schema_version=plugin.schema_version,
    )


def _positions(target: pd.Series) -> dict[str, float]:
    return {
        "long": float((target > 0).mean()),
        "short": float((target < 0).mean()),
        "flat": float((target == 0).mean()),
    }


# ---------------------------------------------------------------------------------- backtests


def _backtest(project: Project, name: str) -> Task:
    component, engine = project.strategies[name]
    item = component.item
    key, signal_key = f"backtests/{name}", f"signals/{item.signal}"

    def compute(job: Job) -> Mapping[str, Product]:
        signals, bars = job.frames[signal_key], job.frames[ENRICHED]
        assert_out_of_sample(signals)
        prices = bars.loc[signals.index[0] :, list(engine.reads)]
        calendar = project.universe.get(job.symbol).calendar
        result = engine.run(
            prices, signals.loc[:, ["target"]], bars_per_year=bars_per_year(calendar, job.timeframe)
        )
        equity = column(result.equity, "equity")
        attachments = {
            "equity.svg": reports.sparkline(equity).encode(),
            "equity_plot.svg": reports.equity_plot(equity, column(bars, "close")).encode(),
            "trades.parquet": reports.table_bytes(result.trades),
            "rejected.parquet": reports.table_bytes(result.rejected),
        }
        return {key: Product(result.equity, attachments, dict(result.metrics))}

    definition = Definition(
        layer="backtests",
        name=name,
        plugin_key=engine.key,
        parameters={"params": engine.parameters(), "signal": item.signal},
        description=item.description,
        family="engine",
    )
    inputs = (
        Input("signals", item.signal, ("target", "train_end")),
        Input("market_data", "enriched", tuple(dict.fromkeys((*engine.reads, "close")))),
    )
    implementation = merged(
        implementation_of(type(engine)),
        implementation_of("hf_plugins.timeframes"),
        implementation_of("hf_plugins.validation.out_of_sample"),
    )
    return Task(
        (definition,),
        inputs,
        implementation,
        compute,
        schema_version=engine.schema_version,
        local=lambda symbol: {"calendar": project.universe.get(symbol).calendar},
    )


def _report(project: Project, name: str) -> Task:
    component, _ = project.strategies[name]
    item = component.item
    key, backtest_key = f"reports/{name}", f"backtests/{name}"

    def compute(job: Job) -> Mapping[str, Product]:
        rows = {
            symbol: {**dataset.summary, "start": dataset.start_date, "end": dataset.end_date}
            for (_, symbol), dataset in job.inputs.items()
        }
        missing = [symbol for symbol in item.universe if symbol not in rows]
        page = reports.leaderboard(rows, missing).encode()
        curves = {symbol: column(frame, "equity") for (_, symbol), frame in job.frames.items()}
        attachments = {
            "leaderboard.md": page,
            "equity_plot.svg": reports.comparison_plot(curves).encode(),
        }
        summary: dict[str, Any] = {"symbols": len(rows), "missing": missing}
        return {key: Product(attachments=attachments, summary=summary)}

    definition = Definition(
        layer="reports",
        name=name,
        plugin_key="report.leaderboard",
        parameters={"universe": item.universe, "strategy": backtest_key},
        description=f"The backtests of `{name}` beside each other, best Sharpe ratio first.",
        family="report",
    )
    return Task(
        (definition,),
        (Input("backtests", name, ("equity",), summary=True),),
        implementation_of(reports.__name__),
        compute,
        symbols=tuple(item.universe),
    )
