"""When things run: the automation condition, and the sensor that evaluates it.

One condition serves the whole graph below the raw bars. The level-triggered complement, which finds
what an edge was missed for, is :mod:`hf_assets.sweep`.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg


def inputs_changed() -> dg.AutomationCondition:
    """Request a partition when the data version of what it reads changed, and only then.

    * ``eager()`` would cascade through ``will_be_requested`` and recompute grandchildren before
      anybody knows whether the child's content changed; here a level waits for the level above.
    * The trigger is an edge and is latched until the partition is requested, so that a change that
      arrives while a run is in flight is not lost.
    * A failed run is retried once: ``newly_true`` makes the level ``execution_failed`` an edge, or
      a partition that cannot succeed would be requested at every tick for ever.
    """
    condition = dg.AutomationCondition
    trigger = (
        condition.newly_missing()
        | condition.code_version_changed()
        | condition.any_deps_match(condition.data_version_changed())
    )
    latched = trigger.since(condition.newly_requested() | condition.initial_evaluation())
    retry = condition.execution_failed().newly_true()
    ready = (
        ~condition.any_deps_missing() & ~condition.any_deps_in_progress() & ~condition.in_progress()
    )
    return ((latched | retry) & ready).with_label("inputs_changed")


def automation_sensor(keys: Sequence[dg.AssetKey]) -> dg.AutomationConditionSensorDefinition:
    """The sensor that evaluates the condition for all of the platform's assets."""
    return dg.AutomationConditionSensorDefinition(
        "automation",
        target=dg.AssetSelection.assets(*keys),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
        description="Requests what changed above, level by level; see inputs_changed.",
    )
