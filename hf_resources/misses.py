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
) -> list[str]:
    """Readable reasons why ``identity`` is not what ``previous`` was made from.

    Args:
        previous: the head, or None if there is none.
        identity: what is to be computed.
        forced: the user asked for it regardless.
        grown: inputs that only had rows appended; their columns are not called changed.

    Returns:
        Reasons in order of cause; empty if nothing differs.
    """
    if previous is None:
        return ["first computation"]
    old = previous.identity
    new: dict[str, Any] = json.loads(canonical_json(identity.explanation()))
    reasons = ["forced"] if forced else []
    reasons += _values("plugin", old.get("plugin_key"), new["plugin_key"])
    reasons += _parameters("", old.get("params", {}), new["params"])
    reasons += _modules(old.get("modules", {}), new["modules"])
    reasons += _libraries(old.get("libraries", {}), new["libraries"])
    reasons += _values("schema version", old.get("schema_version"), new["schema_version"])
    content = list(_inputs(old.get("inputs", {}), new["inputs"], grown))
    reasons += content
    reasons += _range(old, new, appended=bool(grown) and not content)
    if reasons in ([], ["forced"]) and previous.version_hash != identity.version_hash:
        reasons += _rest(old, new)
    return reasons


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
        *_parameters("", previous.identity.get("params", {}), params),
        *_values("code version", previous.code_version, code_version),
    ]


def _values(what: str, old: object, new: object) -> Iterator[str]:
    if old != new:
        yield f"{what} {_shown(old)} -> {_shown(new)}"


def _parameters(prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        path = f"{prefix}{name}"
        if name not in old:
            yield f"parameter {path} added: {_shown(new[name])}"
        elif name not in new:
            yield f"parameter {path} removed, was {_shown(old[name])}"
        elif isinstance(old[name], dict) and isinstance(new[name], dict):
            yield from _parameters(f"{path}.", old[name], new[name])
        else:
            yield from _values(f"parameter {path}", old[name], new[name])


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
    old: Mapping[str, Any], new: Mapping[str, Any], grown: Collection[str]
) -> Iterator[str]:
    for name in [*new, *(name for name in old if name not in new)]:
        # A partition other than the dataset's own has its symbol and timeframe in its name.
        asset, *partition = name.split("|")
        called = f"{asset} of {' '.join(partition)}" if partition else asset
        if name not in old:
            yield f"{called}: new input"
        elif name not in new:
            yield f"{called}: no longer an input"
        elif name not in grown:
            before, after = old[name]["columns"], new[name]["columns"]
            # As the plugin reads them; what is no longer read comes last.
            order = [*after, *(column for column in before if column not in after)]
            changed = [column for column in order if before.get(column) != after.get(column)]
            if changed:
                yield f"{called}: {', '.join(changed)} changed"


def _range(old: Mapping[str, Any], new: Mapping[str, Any], *, appended: bool) -> Iterator[str]:
    before, after = (_moment(values["start_date"]) for values in (old, new))
    yield from _values("range start", before, after)
    appended = appended and before == after and old["end_date"] < new["end_date"]
    for reason in _values("range end", *(_moment(values["end_date"]) for values in (old, new))):
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


def _moment(text: str) -> str:
    """Dates of daily bars without a time of day."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    if not (moment.hour or moment.minute or moment.second):
        return moment.date().isoformat()
    return moment.strftime("%Y-%m-%d %H:%M")
