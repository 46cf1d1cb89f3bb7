"""From declared items to Dagster definitions.

The components declared bare specs; here each becomes executable, with its partitions, explicit
mappings, code version, automation and description. Features share one subsettable step, because
they read the same bars; every other task is a step of its own.
"""

# No `from __future__ import annotations`: Dagster reads the annotations of decorated functions.

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import dagster as dg

from hf_assets import coverage, partitions
from hf_assets.automation import automation_sensor, inputs_changed
from hf_assets.certification import certification_definitions
from hf_assets.components import ItemComponent
from hf_assets.coverage import Coverage
from hf_assets.execution import RunOptions, execute
from hf_assets.feeds import feed_definitions
from hf_assets.fetching import prepared
from hf_assets.graph import build_tasks
from hf_assets.items import DEFAULT_SOURCE
from hf_assets.metadata import describe
from hf_assets.project import Project, load_project
from hf_assets.quality import quality_definitions
from hf_assets.resources import StoreResource
from hf_assets.side_feeds import side_feed_definitions
from hf_assets.sweep import sweep_definitions
from hf_assets.tasks import Task
from hf_assets.tracking import tracking_definitions
from hf_plugins import registry
from hf_plugins.base import BaseScorer
from hf_plugins.errors import HfError

KINDS: Final[Mapping[str, set[str]]] = {
    "market_data": {"parquet"},
    "side_data": {"parquet"},
    "features": {"pandas", "parquet"},
    "quality": {"markdown", "numba"},
    "models": set(),
    "predictions": {"parquet"},
    "signals": {"parquet"},
    "backtests": {"numba", "parquet"},
    "reports": {"markdown"},
}
PARTITIONS_PER_RUN: Final = 200
"""Partitions that one run takes of a cheap step; training takes one partition per run."""


def build_definitions(
    tree: dg.ComponentTree, *, store: StoreResource | None = None
) -> dg.Definitions:
    """All definitions of a component tree.

    Raises:
        ConfigurationError: a document is wrong; one sentence says which and how.
    """
    try:
        declared = tree.build_defs()
        project = load_project(tree)
        tasks = build_tasks(project)
    except Exception as error:
        raise _plain(error) from None
    specs = {spec.key: spec for spec in declared.resolve_all_asset_specs()}
    assets = assemble(project, tasks, specs)
    covered = partition_sets(project, tasks)
    keys = [key for task in tasks for key in task.asset_keys()]
    ours = dg.Definitions(
        assets=assets,
        resources={"store": store or StoreResource()},
        sensors=[automation_sensor(keys)],
        executor=dg.in_process_executor,
    )
    return dg.Definitions.merge(
        _without(declared, set(keys)),
        ours,
        sweep_definitions(tasks, covered),
        tracking_definitions(project),
        feed_definitions(project),
        side_feed_definitions(project, covered),
        certification_definitions(project, tasks),
        quality_definitions(component for component, _ in project.quality.values()),
    )


def assemble(
    project: Project, tasks: Sequence[Task], declared: Mapping[dg.AssetKey, dg.AssetSpec]
) -> list[dg.AssetsDefinition]:
    """Executable assets, in the order in which data flows."""
    origins = _origins(project)
    steps: dict[str, list[Task]] = {}
    for task in tasks:
        steps.setdefault(step_name(task), []).append(task)
    covered = partition_sets(project, tasks)
    depths = _depths(tasks)
    assets = []
    for step, members in steps.items():
        specs = [
            _spec(task, key, declared.get(key), origins, covered, depths)
            for task in members
            for key in task.asset_keys()
        ]
        assets.append(_step(project, step, members, specs, covered[members[0].names()[0]]))
    return assets


def step_name(task: Task) -> str:
    """Name of the step that executes a task: features that read the same partitions share one."""
    output = task.outputs[0]
    if output.layer != "features":
        return f"{output.layer}__{output.name}"
    return f"features__{task.step}" if task.step else "features"


def partition_sets(project: Project, tasks: Iterable[Task]) -> dict[str, dg.PartitionsDefinition]:
    """The partitions of each asset key."""
    made: dict[Coverage, dg.PartitionsDefinition] = {}
    covered: dict[str, dg.PartitionsDefinition] = {}
    for task in tasks:
        layer, name = task.outputs[0].layer, task.outputs[0].name
        block = covered_by(project, layer, name)
        if layer == "reports" or block.symbols == (partitions.WHOLE_UNIVERSE,):
            chosen = partitions.by_timeframe(block.timeframes)
        else:
            # One object for equal blocks: partitions of a large universe are not listed again.
            chosen = made.setdefault(block, partitions.by_symbol(block.symbols, block.timeframes))
        covered |= dict.fromkeys(task.names(), chosen)
    return covered


def covered_by(project: Project, layer: str, name: str) -> Coverage:
    """Which symbols and timeframes an asset covers."""
    if layer == "market_data":
        return coverage.whole(project.universe)
    if layer == "side_data":
        return coverage.of_table(project.universe, project.tables[name])
    if layer in ("backtests", "reports"):
        item = project.strategies[name][0].item
        return coverage.whole(project.universe).within(item.universe, [item.timeframe])
    features = [name]
    if layer == "signals":
        name = project.signals[name][0].item.model
    if layer == "quality":
        features = project.quality[name][0].item.features
    elif layer != "features":
        features = project.models[name][0].item.features
    return coverage.of_features(project.universe, project.tables, project.features, features)


def _spec(
    task: Task,
    key: dg.AssetKey,
    declared: dg.AssetSpec | None,
    origins: Mapping[str, tuple[ItemComponent, Any]],
    covered: Mapping[str, dg.PartitionsDefinition],
    depths: Mapping[str, int],
) -> dg.AssetSpec:
    name = key.to_user_string()
    component, plugin = origins[name]
    chosen = covered[name]
    deps = [
        dg.AssetDep(parent, partition_mapping=_mapping(task, parent, covered, chosen))
        for parent in dict.fromkeys(used.asset_key for used in task.inputs)
    ]
    layer = task.outputs[0].layer if len(task.outputs) == 1 else key.path[0]
    spec = declared or dg.AssetSpec(key)
    return spec.replace_attributes(
        deps=deps,
        skippable=True,
        group_name=layer,
        description=describe(task, component.item.description, plugin, component.origin.at()),
        code_version=task.code_version,
        owners=[component.item.owner],
        kinds=KINDS[layer] | (_library_of(plugin) if layer == "models" else set()),
        tags={**spec.tags, "layer": layer, "plugin": task.plugin_key},
        automation_condition=None if task.fetch else inputs_changed(_levels(task, depths)),
        partitions_def=chosen,
    )


def _depths(tasks: Iterable[Task]) -> dict[str, int]:
    """How many levels are above each asset; tasks come parents before children."""
    depths: dict[str, int] = {}
    for task in tasks:
        above = max((depths[used.key] + 1 for used in task.inputs), default=0)
        depths |= dict.fromkeys(task.names(), above)
    return depths


def _levels(task: Task, depths: Mapping[str, int]) -> int:
    """How far up automation waits: where all comes by one way, a change arrives only once."""
    return depths[task.names()[0]] if len(task.inputs) > 1 else 1


def _library_of(model: Any) -> set[str]:
    """The library that trains a model, as the UI spells it."""
    named = [name for name in type(model).libraries if name not in ("numpy", "pandas", "skops")]
    return {name.replace("-", "") for name in named[:1]}


def _mapping(
    task: Task,
    key: dg.AssetKey,
    covered: Mapping[str, dg.PartitionsDefinition],
    child: dg.PartitionsDefinition,
) -> dg.PartitionMapping:
    if task.symbols:
        return partitions.ALL_SYMBOLS
    parent = covered[key.to_user_string()]
    if not isinstance(parent, dg.MultiPartitionsDefinition):
        return partitions.SAME if parent == child else partitions.EVERYTHING
    sides = [(used.symbol, used.timeframe) for used in task.inputs if used.asset_key == key]
    if any(any(side) for side in sides):
        blocks = cast(list[dg.MultiPartitionsDefinition], [child, parent])
        return partitions.beside(blocks[0], blocks[1], sides)
    return partitions.SAME if parent == child else partitions.SAME_WITHIN_UNIVERSE


def _step(
    project: Project,
    name: str,
    tasks: Sequence[Task],
    specs: Sequence[dg.AssetSpec],
    covered: dg.PartitionsDefinition,
) -> dg.AssetsDefinition:
    trains = any(output.layer == "models" for task in tasks for output in task.outputs)

    @dg.multi_asset(
        name=name,
        specs=list(specs),
        partitions_def=covered,
        can_subset=len(specs) > 1 and len(tasks) == len(specs),
        backfill_policy=dg.BackfillPolicy.multi_run(1 if trains else PARTITIONS_PER_RUN),
    )
    def materialise(
        context: dg.AssetExecutionContext,
        config: RunOptions,
        store: dg.ResourceParam[StoreResource],
    ) -> Any:
        fetching = [prepared(task, project, context) for task in tasks]
        yield from execute(context, store.store(), fetching, config)

    return materialise


def _origins(project: Project) -> dict[str, tuple[ItemComponent, Any]]:
    """The document behind each asset key, and the plugin to describe it by."""
    found: dict[str, tuple[ItemComponent, Any]] = {
        "market_data/bars": (project.market_data[DEFAULT_SOURCE], None),
        "market_data/quarantine": (project.market_data[DEFAULT_SOURCE], None),
        "market_data/enriched": (project.market_data[DEFAULT_SOURCE], None),
    }
    for name, table in project.tables.items():
        scorer = table.maker if isinstance(table.maker, BaseScorer) else None
        found[f"side_data/{name}"] = (table.component, scorer)
    for name, (component, plugin) in project.features.items():
        found[f"features/{name}"] = (component, plugin)
    for name, (component, _) in project.quality.items():
        found[f"quality/{name}"] = (component, None)
    for name, (component, _) in project.models.items():
        model = registry.models.create(component.item.plugin, **component.item.params)
        found[f"models/{name}"] = found[f"predictions/{name}"] = (component, model)
    for name, (component, generator) in project.signals.items():
        found[f"signals/{name}"] = (component, generator)
    for name, (component, engine) in project.strategies.items():
        found[f"backtests/{name}"] = (component, engine)
        found[f"reports/{name}"] = (component, None)
    return found


def _without(defs: dg.Definitions, keys: set[dg.AssetKey]) -> dg.Definitions:
    """The user's own definitions: everything in the tree that is not one of our bare specs."""
    kept = [
        asset
        for asset in defs.assets or []
        if not (isinstance(asset, dg.AssetSpec) and asset.key in keys)
    ]
    return dg.Definitions(
        assets=kept,
        schedules=defs.schedules,
        sensors=defs.sensors,
        jobs=defs.jobs,
        resources=defs.resources,
        asset_checks=defs.asset_checks,
        metadata=defs.metadata,
    )


def _plain(error: BaseException) -> BaseException:
    """The sentence for the user, without the loader's tree around it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, HfError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return error
