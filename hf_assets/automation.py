"""When things run: the automation condition, and the sensor that evaluates it.

One condition serves the whole graph below the raw bars. The level-triggered complement, which finds
what an edge was missed for, is :mod:`hf_assets.sweep`.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg


def inputs_changed(levels: int = 1) -> dg.AutomationCondition:
    """Request a partition when the data version of what it reads changed, and only then.

    * ``eager()`` would cascade through ``will_be_requested`` and recompute grandchildren before
      anybody knows whether the child's content changed; here a level waits for the level above.
    * An asset that reads both a parent and that parent's child waits for the child: a model reads
      features and prices, and must not be trained on the old features before the new ones.
    * The trigger is an edge and is latched until the partition is requested, so that a change that
      arrives while a run is in flight is not lost. An edge in the very tick that follows a request
      came after it, so it keeps the latch: plain ``since(newly_requested)`` would drop it.
    * A failed run is retried once: ``newly_true`` makes the level ``execution_failed`` an edge, or
      a partition that cannot succeed would be requested at every tick for ever.

    Args:
        levels: how many levels above are waited for while they are recomputed.
    """
    condition = dg.AutomationCondition
    trigger = (
        condition.newly_missing()
        | condition.code_version_changed()
        | condition.any_deps_match(condition.data_version_changed())
    )
    retry = condition.execution_failed().newly_true()
    ready = (
        ~condition.any_deps_missing()
        & ~condition.any_deps_match(_unsettled(levels))
        & ~condition.in_progress()
    )
    return ((_latched(trigger) | retry) & ready).with_label("inputs_changed")


def _latched(trigger: dg.AutomationCondition) -> dg.AutomationCondition:
    """True from an edge until what it triggers is requested; an edge after that counts again."""
    condition = dg.AutomationCondition
    handled = ~trigger & condition.newly_requested()
    return trigger.since(handled | condition.initial_evaluation())


def _unsettled(levels: int) -> dg.AutomationCondition:
    """It, or one of ``levels`` - 1 levels above it, is being recomputed or is about to be."""
    condition = dg.AutomationCondition
    # will_be_requested leaves out parents whose partitions are others, hence the latch beside it.
    changed = _latched(condition.any_deps_match(condition.data_version_changed()))
    unsettled = (
        condition.in_progress()
        | condition.will_be_requested()
        | (changed & ~condition.any_deps_missing())
    )
    if levels > 1:
        unsettled |= condition.any_deps_match(_unsettled(levels - 1))
    return unsettled.with_label("unsettled")


def automation_sensor(keys: Sequence[dg.AssetKey]) -> dg.AutomationConditionSensorDefinition:
    """The sensor that evaluates the condition for all of the platform's assets."""
    return dg.AutomationConditionSensorDefinition(
        "automation",
        target=dg.AssetSelection.assets(*keys),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
        description="Requests what changed above, level by level; see inputs_changed.",
    )
