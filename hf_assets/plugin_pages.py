"""The page about the feature plugins, made of what they declare.

Keys, parameters, columns and memory come from the registry, the prose and the formulas from the
docstrings: ``hf plugins docs`` prints the page. How a docstring becomes Markdown belongs in
:mod:`hf_assets.prose`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from hf_assets.prose import cell, markdown, table
from hf_plugins.base import BaseFeature, Memory, Params, Side
from hf_plugins.errors import ConfigurationError
from hf_plugins.features.technical.catalogue import TechnicalAnalysis, parameters_of
from hf_plugins.features.technical.catalogue_table import INDICATORS, LOOK_AHEAD, NOT_OFFERED
from hf_plugins.params import describe_field
from hf_plugins.registry import features

HEAD: Final = """# Feature plugins

<!-- Printed by `hf plugins docs`; edit the docstrings of the plugins instead. -->

What `plugin:` may name in the YAML of a feature, and what `params:` may hold there:

```yaml
type: hf_assets.Feature
attributes: {name: rsi_14, plugin: technical.rsi, params: {length: 14}}
```

A parameter that is left out has its default; an unknown one, or one out of range, is an error.
Columns, memory and what is read are those of the defaults.

**Memory** is what a value depends on, the current bar included. *Finite*: so many bars, and nothing
before them. *Fading*: recursive, with an influence below 1e-12 of what is further back.
*Cumulative*: all bars. **New bars** says what is computed when bars are appended. However it is
done, the result has the bits of a computation of the whole history; where nothing less than that
yields them, the whole is computed again.

A revised bar computes a feature again only where a column changed that the feature reads. The
columns of the bars are those of [market_data.md](market_data.md).
"""
MANY: Final = 20
"""So many plugins of one module with the same parameters are told in one table."""
SHOWN: Final = 12
"""Columns that are named; more are counted."""


def features_page(keys: Sequence[str]) -> str:
    """The page about some feature plugins, in Markdown."""
    plugins = [features.get(key) for key in sorted(keys)]
    families = {
        family: list(found) for family, found in groupby(plugins, lambda each: _family(each.key))
    }
    parts = [HEAD, _overview(families)]
    for family, members in families.items():
        parts.append(f"## {family}")
        together = [
            [each for each in members if _kind(each) == kind]
            for kind in dict.fromkeys(map(_kind, members))
        ]
        for alike in together:
            if len(alike) >= MANY:
                parts.append(_many(alike))
            else:
                parts += [_section(each) for each in alike]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def yields(feature: BaseFeature) -> str:
    """A list of what a feature yields, how far it looks back, and what new bars cost."""
    names = [f"`{name}`" for name in feature.outputs]
    more = len(names) - SHOWN
    columns = ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
    return (
        f"* **Columns**: {columns}\n* **Memory**: {_memory(feature.memory)}\n"
        f"* **New bars**: {_growth(feature)}"
    )


def parameter_table(model: type[Params], values: Mapping[str, Any] | None = None) -> str:
    """The parameters of a plugin: defaults, types, ranges and meanings, and values if given."""
    shown = [] if values is None else ["value"]
    rows = [["parameter", *shown, "default", "type, range", "meaning"]]
    for name, info in model.model_fields.items():
        row = describe_field(name, info)
        given = [] if values is None else [f"`{cell(json.dumps(values[name]))}`"]
        default = row["default"] if info.is_required() else f"`{row['default']}`"
        allowed = " ".join(part for part in (row["type"], row["range"]) if part)
        rows.append([f"`{name}`", *given, default, cell(allowed), cell(row["description"])])
    return table(rows)


def _family(key: str) -> str:
    return key.partition(".")[0]


def _kind(plugin: type[BaseFeature]) -> tuple[str, Any]:
    return plugin.__module__, plugin.Params


def _overview(families: Mapping[str, Sequence[type[BaseFeature]]]) -> str:
    rows = [["family", "plugins"]]
    for family, members in families.items():
        linked = [f"[{each.key}](#{_anchor(each.key)})" for each in members]
        if len(members) >= MANY and len({_kind(each) for each in members}) == 1:
            linked = [f"{linked[0]} to {linked[-1]}"]
        rows.append([f"[{family}](#{family})", ", ".join(linked)])
    return table(rows)


def _anchor(heading: str) -> str:
    """What a heading is called in a link, where dots are left out."""
    return heading.replace(".", "")


def _section(plugin: type[BaseFeature]) -> str:
    parts = [f"### {plugin.key}", markdown(plugin, formulas="math"), _facts(plugin)]
    if plugin.Params.model_fields:
        parts.append(parameter_table(plugin.Params))
    if plugin is TechnicalAnalysis:
        parts.append(_indicators())
    return "\n\n".join(parts)


def _many(plugins: Sequence[type[BaseFeature]]) -> str:
    """Plugins that differ in their formula alone, which their docstring has as a literal block."""
    first = plugins[0]
    parts = [markdown(sys.modules[first.__module__]), parameter_table(first.Params)]
    rows = [["plugin", "formula", "reads", "memory"]]
    for plugin in plugins:
        feature = plugin()
        _, formula, _ = markdown(plugin).split("```", 2)
        # A break in the formula ends no cell.
        formula = " ".join(formula.split())
        anchor = f'<a id="{_anchor(plugin.key)}"></a>'
        memory = _memory(feature.memory)
        reads = ", ".join(feature.reads)
        rows.append([f"{anchor}`{plugin.key}`", f"`{cell(formula)}`", reads, memory])
    return "\n\n".join([*parts, table(rows)])


def _facts(plugin: type[BaseFeature]) -> str:
    try:
        feature = plugin()
    except ConfigurationError:
        return "Columns, memory and what is read: by the parameters, of which some are required."
    read = ", ".join(f"`{name}`" for name in feature.reads) or "no column, the time stamps alone"
    beside = "".join(f"\n* **Beside**: {_beside(side)}" for side in feature.sides)
    return f"{yields(feature)}\n* **Reads**: {read}{beside}"


def _beside(side: Side) -> str:
    columns = ", ".join(f"`{name}`" for name in side.columns)
    if side.table or side.feature:
        what = f"the table `{side.table}`" if side.table else f"the feature `{side.feature}`"
    else:
        what = "enriched bars"
    whose = " ".join(each for each in (side.symbol, side.timeframe) if each)
    late = f", {side.lag_minutes} minutes later" if side.lag_minutes else ""
    return f"{columns} of {what}{f' of {whose}' if whose else ''}, joined `{side.join}`{late}"


def _memory(memory: Memory) -> str:
    if memory.lookback is None:
        return memory.kind
    return f"{memory.kind}, {memory.lookback:,} bar{'s' if memory.lookback > 1 else ''}"


def _growth(feature: BaseFeature) -> str:
    if feature.context is not None:
        beside = f" and {feature.context:,} bars before them" if feature.context else ""
        return f"computed alone, from the state that was left{beside}"
    if feature.memory.kind == "finite":
        return "computed alone, with the bars that they look back on"
    return "all bars are computed again"


def _indicators() -> str:
    """The indicators behind one plugin."""
    rows = [["indicator", "parameters", "columns", "reads", "memory"]]
    for name in sorted(INDICATORS):
        feature = TechnicalAnalysis(indicator=name)
        defaults = [
            f"`{field}={describe_field(field, info)['default']}`"
            for field, info in parameters_of(name).model_fields.items()
            if field != "indicator"
        ]
        columns = ", ".join(f"`{column}`" for column in feature.outputs)
        reads = ", ".join(feature.reads)
        rows.append([f"`{name}`", " ".join(defaults), columns, reads, _memory(feature.memory)])
    refused = [["indicator", "why not"]]
    refused += [[f"`{name}`", f"looks ahead: {cell(why)}"] for name, why in LOOK_AHEAD.items()]
    refused += [[f"`{name}`", cell(why)] for name, why in NOT_OFFERED.items()]
    return "\n\n".join(
        (
            f"#### The {len(INDICATORS)} indicators of {TechnicalAnalysis.key}",
            table(rows),
            "Refused:",
            table(refused),
        )
    )
