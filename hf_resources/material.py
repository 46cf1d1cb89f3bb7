"""What scorers need beside their code: local files, and models of the Hugging Face hub.

Where a material is found, and the digest that tells it from others, belong here; what a scorer
makes of it is in ``hf_plugins.scorers``. A material that is not there is an error that says how to
get it; nothing else is ever taken in its place.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Final

from hf_plugins.base import Material
from hf_plugins.errors import ConfigurationError
from hf_plugins.versioning import combine_digests

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_BLOCK: Final = 1 << 20
# The same weights in the formats of other libraries.
_OTHER_FORMATS: Final = ["*.h5", "*.msgpack", "*.onnx", "*.ot", "*.tflite", "onnx/*", "openvino/*"]


def digest_of(material: Material) -> str:
    """What identifies a material: its content, or the commit that stands for it.

    Files are read once a process, and again when their size or time changes.

    Raises:
        ConfigurationError: there is no such file or folder, or the revision is no full commit.
    """
    if material.revision:
        if not _COMMIT.fullmatch(material.revision):
            raise ConfigurationError(
                f"model '{material.location}': the revision is '{material.revision}'; it must be a "
                "full commit of 40 hex digits, so that it never means other weights"
            )
        return f"{material.location}@{material.revision}"
    root = _local(material)
    if root.is_file():
        return _digest(root, *_state(root))
    files = [
        path
        for path in sorted(root.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    if not files:
        raise ConfigurationError(f"the folder '{root}' is empty; it must hold the model's files")
    return combine_digests(
        f"{path.relative_to(root).as_posix()}={_digest(path, *_state(path))}" for path in files
    )


def find(material: Material) -> Path:
    """The file or folder of a material; a model of the hub is downloaded where it is not cached.

    Raises:
        ConfigurationError: it is not there and cannot be had; says where it was looked for, and how
            to get it.
    """
    if not material.revision:
        return _local(material)
    digest_of(material)
    try:
        from huggingface_hub import constants, snapshot_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError:
        raise ConfigurationError(
            f"model '{material.location}' is one of the Hugging Face hub; install "
            "hf-assets[news] for it, or name a local folder"
        ) from None
    try:
        folder = snapshot_download(
            material.location, revision=material.revision, ignore_patterns=_OTHER_FORMATS
        )
    except (HfHubHTTPError, OSError, ValueError) as error:
        # The library's errors of a missing file are OSError and ValueError, too.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigurationError(
            f"model '{material.location}' at revision {material.revision} is not in the cache "
            f"{constants.HF_HUB_CACHE}, and the hub does not give it ({reason}); download it with "
            f"'hf download {material.location} --revision {material.revision}' where there is a "
            "network and take the cache along, or name a local folder"
        ) from error
    return Path(folder)


def _local(material: Material) -> Path:
    path = Path(material.location).expanduser().absolute()
    if not path.exists():
        raise ConfigurationError(
            f"'{material.location}' does not exist (looked for at {path}); name a file or folder "
            "that does, or a model of the Hugging Face hub with its revision"
        )
    return path


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=4096)
def _digest(path: Path, size: int, changed: int) -> str:
    del size, changed  # a file of another size or time is read again
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
