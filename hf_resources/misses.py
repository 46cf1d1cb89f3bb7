"""Why a dataset must be computed: two identities compared, in words.

Causes stand before effects: what somebody edited (parameters, code, libraries) before the content
that changed upstream. Nothing here decides anything; the version hash does.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from hf_plugins.versioning import Identity, canonical_json
from hf_resources.datasets import Dataset


def explain_miss(
    previous: Dataset | None,
    identity: Identity,
    *,
    forced: bool = False,
    grown: Collection[str] = (),
    changes: Mapping[str, str] | None = None,
) -> list[str]:
    """Readable reasons why ``identity`` is not what ``previous`` was made from.

    Args:
        previous: the head, or None if there is none.
        identity: what is to be computed.
        forced: the user asked for it regardless.
        grown: inputs that only had rows appended; their columns are not called changed.
        changes: what happened to an input, in words, where that is known better than which of its
            columns changed.

    Returns:
        Reasons in order of cause; empty if nothing differs.
    """
    if previous is None:
        return ["first computation"]
    new: dict[str, Any] = json.loads(canonical_json(identity.explanation()))
    same = previous.version_hash == identity.version_hash
    reasons = _differences(previous.identity, new, grown, changes or {}, same=same)
    return ["forced", *reasons] if forced else reasons


def explain_version(
    before: Dataset | None,
    version: Dataset,
    *,
    grown: Collection[str] = (),
    changes: Mapping[str, str] | None = None,
) -> list[str]:
    """As :func:`explain_miss`, for a dataset that was computed already."""
    if before is None:
        return ["first computation"]
    same = before.version_hash == version.version_hash
    reasons = _differences(before.identity, version.identity, grown, changes or {}, same=same)
    return ["forced", *reasons] if same and before.id != version.id else reasons


def explain_settings(previous: Dataset, code_version: str, params: Mapping[str, Any]) -> list[str]:
    """Why what was fetched is to be fetched anew, as far as that is known without fetching it.

    Args:
        previous: the head.
        code_version: of the task now.
        params: of the partition now, as plain JSON values.

    Returns:
        Reasons in order of cause; empty if neither parameters nor code differ.
    """
    return [
        *_parameters(previous.identity.get("params", {}), params),
        *_values("code version", previous.code_version, code_version),
    ]


def parameter_changes(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, tuple[Any, ...], tuple[Any, ...]]]:
    """Parameters that differ: dotted name, value before and after, each empty where there is none.

    Args:
        old: parameters before.
        new: parameters after.
        prefix: what stands before the name of each.
    """
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if name in old and name in new and isinstance(before, dict) and isinstance(after, dict):
            yield from parameter_changes(before, after, f"{prefix}{name}.")
        elif name not in old or name not in new or before != after:
            yield (
                f"{prefix}{name}",
                (before,) if name in old else (),
                (after,) if name in new else (),
            )


def called(name: str) -> str:
    """An input as people call it: the asset, and its partition where that is another one."""
    asset, *partition = name.split("|")
    return f"{asset} of {' '.join(partition)}" if partition else asset


def _differences(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    grown: Collection[str],
    changes: Mapping[str, str],
    *,
    same: bool,
) -> list[str]:
    reasons = [
        *_values("plugin", old.get("plugin_key"), new["plugin_key"]),
        *_parameters(old.get("params", {}), new["params"]),
        *_modules(old.get("modules", {}), new["modules"]),
        *_libraries(old.get("libraries", {}), new["libraries"]),
        *_values("schema version", old.get("schema_version"), new["schema_version"]),
    ]
    content = list(_inputs(old.get("inputs", {}), new["inputs"], grown, changes))
    reasons += content
    reasons += _range(old, new, appended=bool(grown) and not content)
    return reasons if reasons or same else list(_rest(old, new))


def _values(what: str, old: object, new: object) -> Iterator[str]:
    if old != new:
        yield f"{what} {_shown(old)} -> {_shown(new)}"


def _parameters(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for path, before, after in parameter_changes(old, new):
        if not before:
            yield f"parameter {path} added: {_shown(after[0])}"
        elif not after:
            yield f"parameter {path} removed, was {_shown(before[0])}"
        else:
            yield f"parameter {path} {_shown(before[0])} -> {_shown(after[0])}"


def _modules(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            verb = "added" if name not in old else "removed" if name not in new else "changed"
            yield f"code: {name} {verb}"


def _libraries(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if name not in old:
            yield f"library {name} added: {new[name]}"
        elif name not in new:
            yield f"library {name} removed"
        else:
            yield from _values(f"library {name}", old[name], new[name])


def _inputs(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    grown: Collection[str],
    changes: Mapping[str, str],
) -> Iterator[str]:
    for name in [*new, *(name for name in old if name not in new)]:
        if name not in old:
            yield f"{called(name)}: new input"
        elif name not in new:
            yield f"{called(name)}: no longer an input"
        elif name in changes:
            yield f"{called(name)}: {changes[name]}"
        elif name not in grown:
            changed = changed_columns(old[name], new[name])
            if changed:
                yield f"{called(name)}: {', '.join(changed)} changed"


def changed_columns(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Columns of an input, as two identities have it, whose content differs or that one lacks."""
    before, after = old["columns"], new["columns"]
    # As the plugin reads them; what is no longer read comes last.
    order = [*after, *(column for column in before if column not in after)]
    return [column for column in order if before.get(column) != after.get(column)]


def _range(old: Mapping[str, Any], new: Mapping[str, Any], *, appended: bool) -> Iterator[str]:
    before, after = (moment(values["start_date"]) for values in (old, new))
    yield from _values("range start", before, after)
    appended = appended and before == after and old["end_date"] < new["end_date"]
    for reason in _values("range end", *(moment(values["end_date"]) for values in (old, new))):
        yield f"{reason} (rows appended)" if appended else reason


def _rest(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Parts of the hash that the others do not explain."""
    yield from _values("symbol", old.get("symbol"), new["symbol"])
    yield from _values("timeframe", old.get("timeframe"), new["timeframe"])
    if old.get("source_fingerprint") != new["source_fingerprint"]:
        yield "source content changed"
    yield from _values("code version", old.get("code_version"), new["code_version"])


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def moment(text: str) -> str:
    """An ISO 8601 time as people write it: dates of daily bars without a time of day."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    if not (found.hour or found.minute or found.second):
        return found.date().isoformat()
    return found.strftime("%Y-%m-%d %H:%M")
