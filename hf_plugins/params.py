"""Parameters as a user writes them, checked against a pydantic model, with readable errors.

Used for plugin parameters and for the attributes of YAML documents alike, so that the same mistake
is told in the same words everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from hf_plugins.errors import ConfigurationError, listing, nearest

M = TypeVar("M", bound=BaseModel)


def parse_params(
    owner: str, model: type[M], values: Mapping[str, Any], *, noun: str = "parameter"
) -> M:
    """Validate ``values`` with ``model``, JSON semantics (lists for tuples, no silent coercion).

    Raises:
        ConfigurationError: one sentence per mistake, each naming the owner, the field, what is
            allowed and the nearest match.
    """
    try:
        text = json.dumps(dict(values))
    except TypeError as error:
        raise ConfigurationError(f"{owner}: {noun}s must be plain YAML values ({error})") from None
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        problems = [_sentence(model, problem, noun) for problem in error.errors()]
    raise ConfigurationError(f"{owner}: " + "; ".join(problems))


def describe_field(name: str, info: FieldInfo) -> dict[str, str]:
    """One row of a parameter table: name, type, allowed range, default, description."""
    annotation = info.annotation
    kind = getattr(annotation, "__name__", None) or str(annotation)
    if "[" in str(annotation):
        kind = str(annotation).replace("typing.", "")
    bounds = []
    for constraint in info.metadata:
        for attribute, symbol in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
            bound = getattr(constraint, attribute, None)
            if bound is not None:
                bounds.append(f"{symbol} {bound}")
    default = "required" if info.is_required() else json.dumps(info.get_default(), default=str)
    return {
        "name": name,
        "type": kind,
        "range": " and ".join(bounds),
        "default": default,
        "description": info.description or "",
    }


def _sentence(model: type[BaseModel], problem: Any, noun: str) -> str:
    location = [str(part) for part in problem["loc"]]
    name = location[0] if location else noun
    fields = model.model_fields
    if problem["type"] == "extra_forbidden" and len(location) == 1:
        allowed = list(fields)
        return f"unknown {noun} '{name}'; allowed: {listing(allowed)}.{nearest(name, allowed)}"
    if problem["type"] == "missing":
        return f"{noun} '{name}' is required"
    message = problem["msg"][0].lower() + problem["msg"][1:]
    sentence = f"{noun} '{'.'.join(location)}' is {problem['input']!r}: {message}"
    if name in fields:
        row = describe_field(name, fields[name])
        allowed = " ".join(part for part in (row["type"], row["range"]) if part)
        sentence += f" (allowed: {allowed}; default: {row['default']})"
    if problem["type"] == "literal_error":
        options = [
            part.strip(" '\"")
            for part in problem["ctx"]["expected"].replace(" or ", ",").split(",")
        ]
        sentence += (
            f".{nearest(problem['input'], options)}" if nearest(problem["input"], options) else ""
        )
    return sentence
