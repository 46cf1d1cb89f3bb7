"""Names of objects in the lake.

How a dataset's identity becomes a path, and nothing else: no I/O. A path is a pure function of the
dataset's identity and content, so equal content gets equal names and different content never does.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final

from hf_plugins.errors import DataError

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9.\-]|^\.")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]*")


def quote(text: str) -> str:
    """Turn any text into one path segment, reversibly: ``BTC/USDT`` -> ``BTC_2FUSDT``.

    The escape is ``_XX``, hexadecimal: ``%`` and ``+`` are decoded by some servers, ``=`` makes
    Parquet readers see a hive partition. A leading dot is escaped, so ``..`` leads nowhere.
    """
    escaped = _UNSAFE.sub(lambda m: "".join(f"_{byte:02X}" for byte in m[0].encode()), text)
    return escaped or "_"


def checked_name(kind: str, text: str) -> str:
    """Return a name that is a path segment already.

    Raises:
        DataError: it holds anything but letters, digits, ``_``, ``-`` and ``.``.
    """
    if not _NAME.fullmatch(text):
        raise DataError(f"{kind} '{text}' may only hold letters, digits, '_', '-' and '.'")
    return text


def folder(layer: str, name: str, plugin_key: str, symbol: str, timeframe: str) -> str:
    """Folder of a dataset's objects; features are grouped by plugin, other layers by name."""
    if layer == "features":
        owner = f"feature-store/{checked_name('plugin key', plugin_key)}"
    else:
        owner = f"{layer}/{checked_name('name', name)}"
    return f"{owner}/{quote(symbol)}/{quote(timeframe)}"


def chunk_path(prefix: str, version_hash: str, label: str, digest: str) -> str:
    """Path of one chunk's object."""
    return f"{prefix}/{version_hash}-{label}-{digest[:16]}.parquet"


def attachment_path(prefix: str, version_hash: str, name: str, digest: str) -> str:
    """Path of an attachment's object; a suffix of the name stays at the end."""
    parts = PurePosixPath(checked_name("attachment", name))
    return f"{prefix}/{version_hash}-{parts.stem}-{digest[:16]}{parts.suffix}"
