"""Errors that speak to the person who wrote the YAML or the plugin.

Only exception types and the sentence-building helpers they share belong here. Every message says
what was wrong, where, what is allowed, and the nearest allowed value.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

_MANY: Final = 60
"""Allowed names that a message lists in full, at most."""
_SHOWN: Final = 12
"""Names that a message lists of more."""


class HfError(Exception):
    """Base of every error that a user of the platform can cause and mend."""


class ConfigurationError(HfError, ValueError):
    """A declaration (YAML, parameter, environment) is wrong."""


class UnknownPluginError(ConfigurationError):
    """A plugin key that no registry knows."""


class DataError(HfError, ValueError):
    """Data that breaks the contract of its layer."""


class LookAheadError(HfError, ValueError):
    """A computation would use what was not known yet, or rows that a model was trained on."""


def nearest(name: object, allowed: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest allowed name, or ``""``."""
    match = difflib.get_close_matches(str(name), list(allowed), n=1, cutoff=0.5)
    return f" Did you mean '{match[0]}'?" if match else ""


def listing(allowed: Iterable[str]) -> str:
    """Join allowed values for a message; ``none`` when there are none."""
    return ", ".join(sorted(allowed)) or "none"


def unknown(kind: str, name: object, allowed: Iterable[str]) -> str:
    """Build the sentence for a name that is not among the allowed ones."""
    names = list(allowed)
    if len(names) <= _MANY:
        told = listing(names)
    else:
        like = difflib.get_close_matches(str(name), names, n=_SHOWN, cutoff=0)
        told = f"{len(names)} names, of which the nearest are {', '.join(like)}"
    return f"unknown {kind} '{name}'; allowed: {told}.{nearest(name, names)}"
