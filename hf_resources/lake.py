"""The lake: immutable objects by path, on a local disk or in S3.

Atomic, durable creation, reading, listing and deletion of bytes belong here. What the bytes mean
(Parquet, chunks) and which of them are in use (catalog) is not known here.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore, S3Store

from hf_plugins.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from obstore.store import S3Config

# A file that is being written is called "<name>#<digits>", by obstore and by this module alike;
# obstore never lists such names.
_STAGING: Final = re.compile(r"#\d+$")


class StoredObject(NamedTuple):
    """One entry of a listing."""

    path: str
    size: int
    last_modified: datetime


class Lake:
    """Objects under one root. Paths are relative to it, with ``/`` as separator.

    Args:
        url: a local path, ``file:///path`` or ``s3://bucket/prefix``. S3 takes credentials, region
            and endpoint from the standard ``AWS_*`` variables.
    """

    def __init__(self, url: str) -> None:
        self._root: Path | None = None
        parts = urlsplit(url)
        if parts.scheme == "s3":
            self._base = url.rstrip("/")
            self._store = _s3_store(parts.netloc, parts.path.strip("/"))
        elif parts.scheme in ("", "file"):
            path = Path(unquote(parts.path)) if parts.scheme else Path(url)
            self._root = path.expanduser().absolute()
            self._base = self._root.as_uri()
            # obstore makes the folder, and cannot be opened on one that is missing.
            try:
                self._store = LocalStore(self._root, mkdir=True)
                _sync_folder(self._root.parent)
            except OSError as error:
                raise ConfigurationError(
                    f"lake folder {self._root} cannot be made: {error}"
                ) from None
        else:
            raise ConfigurationError(
                f"lake '{url}' has scheme '{parts.scheme}'; allowed: a local path, file, s3"
            )

    def uri(self, path: str) -> str:
        """Address of an object, for people and for other readers."""
        return f"{self._base}/{path}"

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Create an object; of several concurrent callers exactly one succeeds.

        On return the object is durable, whoever wrote it, so that a row may refer to it.

        Returns:
            False if it was there already; it is left as it is.

        Raises:
            ConfigurationError: the bucket does not exist.
        """
        if self._root is not None:
            return _link(self._root, path, data, replace=False)
        try:
            # One request: the condition of a multipart upload is only checked at its end.
            obstore.put(self._store, path, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        except FileNotFoundError:
            raise ConfigurationError(f"the bucket of lake {self._base} does not exist") from None
        return True

    def replace(self, path: str, data: bytes) -> None:
        """Overwrite a damaged object atomically; only for mending what does not match its name."""
        if self._root is not None:
            _link(self._root, path, data, replace=True)
        else:
            obstore.put(self._store, path, data, use_multipart=False)

    def get(self, path: str) -> bytes:
        """Read an object.

        Raises:
            DataError: there is none.
        """
        try:
            return obstore.get(self._store, path).bytes().to_bytes()
        except FileNotFoundError:
            raise DataError(f"object {self.uri(path)} is missing from the lake") from None

    def file(self, path: str) -> Path | None:
        """The file that an object of a local lake is; None in S3, and where there is none."""
        file = None if self._root is None else self._root / path
        return file if file is not None and file.is_file() else None

    def exists(self, path: str) -> bool:
        """Whether an object is there."""
        try:
            obstore.head(self._store, path)
        except FileNotFoundError:
            return False
        return True

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Complete objects under a folder, in no particular order."""
        for batch in obstore.list(self._store, prefix or None):
            for entry in batch:
                yield StoredObject(entry["path"], entry["size"], entry["last_modified"])

    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects; those that are gone already are no error."""
        for path in paths:
            with suppress(FileNotFoundError):
                obstore.delete(self._store, path)

    def stale_staging(self, before: datetime) -> Iterator[StoredObject]:
        """Files that a killed writer left behind, last touched before a moment (local disk only).

        S3 has none: an object appears there in one request or not at all.
        """
        if self._root is None:
            return
        for folder, _, names in os.walk(self._root):
            for name in filter(_STAGING.search, names):
                file = Path(folder, name)
                with suppress(FileNotFoundError):  # its writer may just be finishing
                    status = file.stat()
                    modified = datetime.fromtimestamp(status.st_mtime, before.tzinfo)
                    if modified < before:
                        path = file.relative_to(self._root).as_posix()
                        yield StoredObject(path, status.st_size, modified)

    def delete_staging(self, paths: Iterable[str]) -> None:
        """Delete files that :meth:`stale_staging` found."""
        for path in paths:
            if self._root is not None and _STAGING.search(path):
                (self._root / path).unlink(missing_ok=True)


def _s3_store(bucket: str, prefix: str) -> S3Store:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    # A server of one's own seldom has a certificate or a wildcard domain for buckets.
    config: S3Config = {"virtual_hosted_style_request": not endpoint}
    if endpoint:
        config["endpoint"] = endpoint
    return S3Store(
        bucket,
        prefix=prefix or None,
        config=config,
        client_options={"allow_http": endpoint.startswith("http://")},
    )


def _link(root: Path, path: str, data: bytes, *, replace: bool) -> bool:
    """Write a file so that its name never shows less than all of its bytes, even after a crash.

    obstore's local ``put`` is atomic but does not reach the disk: after a power failure the name
    could stand for an empty file. Here the bytes are on disk before the name exists, and the name
    is before this returns.
    """
    target = root / path
    if not target.is_relative_to(root) or ".." in target.parts:
        raise DataError(f"object path '{path}' leaves the lake")
    target.parent.mkdir(parents=True, exist_ok=True)
    created = False
    if replace or not target.exists():
        staging = target.with_name(f"{target.name}#{secrets.randbelow(10**18)}")
        try:
            _write_through(staging, data)
            if replace:
                staging.replace(target)
                created = True
            else:
                with suppress(FileExistsError):
                    os.link(staging, target)
                    created = True
        finally:
            staging.unlink(missing_ok=True)
    # Also for a loser: the winner may not have come this far. Every level, because another process
    # may have made a folder of the path a moment ago; an unchanged folder costs next to nothing.
    folder = target.parent
    while True:
        _sync_folder(folder)
        if folder == root:
            return created
        folder = folder.parent


def _write_through(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
