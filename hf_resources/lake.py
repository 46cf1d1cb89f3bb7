"""The lake: immutable objects by path, on a local disk or in S3.

Atomic, durable creation, reading, listing and deletion of bytes belong here, and what is done when
a server or a disk fails at it. What the bytes mean (Parquet, chunks) and which of them are in use
(catalog) is not known here.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    GenericError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import LocalStore, S3Store

from hf_plugins.errors import ConfigurationError, DataError, HfError
from hf_resources.datasets import StorageError

if TYPE_CHECKING:
    from obstore.store import S3Config

_SILENCE: Final = timedelta(seconds=30)
"""How long an S3 server may send nothing before a request, or a part of one, counts as lost."""
_PATIENCE: Final = timedelta(seconds=60)
"""How long a request to S3 is repeated, with growing pauses, before it has failed."""
_TRIES: Final = 3
"""How often a request to S3 is sent that the library does not repeat by itself."""
_LARGE: Final = 16 << 20
"""Objects from this size, in bytes, are sent to S3 in parts, each of which is repeated alone."""
_PART: Final = 8 << 20
_PARTS_AT_ONCE: Final = 4

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
            False if it was there already; it is left as it is. Also where an S3 server has created
            it for this call, and its answer was lost.

        Raises:
            ConfigurationError: the bucket does not exist, or refuses.
            StorageError: the server does not answer, or the disk is full.
        """
        with self._failing("written", path, len(data)):
            if self._root is not None:
                return _link(self._root, path, data, replace=False)
            return self._create(path, data)

    def replace(self, path: str, data: bytes) -> None:
        """Overwrite a damaged object atomically; only for mending what does not match its name.

        Raises:
            ConfigurationError, StorageError: as :meth:`put_if_absent`.
        """
        with self._failing("written", path, len(data)):
            if self._root is not None:
                _link(self._root, path, data, replace=True)
            else:
                self._put(path, data)

    def get(self, path: str) -> bytes:
        """Read an object.

        Raises:
            DataError: there is none.
            ConfigurationError: the bucket refuses.
            StorageError: the server does not answer, or the disk fails.
        """
        try:
            with self._failing("read", path):
                return obstore.get(self._store, path).bytes().to_bytes()
        except FileNotFoundError:
            raise DataError(f"object {self.uri(path)} is missing from the lake") from None

    def file(self, path: str) -> Path | None:
        """The file that an object of a local lake is; None in S3, and where there is none."""
        file = None if self._root is None else self._root / path
        return file if file is not None and file.is_file() else None

    def exists(self, path: str) -> bool:
        """Whether an object is there.

        Raises:
            ConfigurationError, StorageError: as :meth:`get`.
        """
        try:
            with self._failing("looked for", path):
                obstore.head(self._store, path)
        except FileNotFoundError:
            return False
        return True

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Complete objects under a folder, in no particular order.

        Raises:
            ConfigurationError, StorageError: as :meth:`get`.
        """
        with self._failing("listed", prefix):
            yield from self._listed(prefix)

    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects; those that are gone already are no error.

        Raises:
            ConfigurationError, StorageError: as :meth:`get`.
        """
        for path in paths:
            with suppress(FileNotFoundError), self._failing("deleted", path):
                obstore.delete(self._store, path)

    def stale_staging(self, before: datetime) -> Iterator[StoredObject]:
        """Files that a killed writer left behind, last touched before a moment (local disk only).

        In S3 an object appears in one piece or not at all. What a large one is staged under is
        listed like any object there.
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

    def _listed(self, prefix: str) -> Sequence[StoredObject]:
        """All of a listing; begun anew where a page of it breaks off, as the library does not."""
        for attempt in range(1, _TRIES + 1):
            try:
                return [
                    StoredObject(entry["path"], entry["size"], entry["last_modified"])
                    for batch in obstore.list(self._store, prefix or None)
                    for entry in batch
                ]
            except GenericError as error:
                if attempt == _TRIES or "body error" not in str(error):
                    raise
        raise AssertionError("unreachable")

    def _create(self, path: str, data: bytes) -> bool:
        """Create an object in S3.

        The library repeats what a server refuses for the moment (5xx) or breaks off, and waits in
        vain but once: where no answer comes, the object may be there or not. Here both are right,
        for nobody writes other bytes under the same path, so it is sent again.
        """
        if len(data) >= _LARGE and self.exists(path):
            return False
        for attempt in range(1, _TRIES + 1):
            try:
                if len(data) >= _LARGE:
                    self._create_in_parts(path, data)
                else:
                    obstore.put(self._store, path, data, mode="create", use_multipart=False)
                return True
            except AlreadyExistsError:
                # A server that is busy with another creation of the object says the same (409),
                # and that one may come to nothing.
                if self.exists(path):
                    return False
                if attempt == _TRIES:
                    raise
            except GenericError as error:
                if attempt == _TRIES or "kind: Timeout" not in str(error):
                    raise
            except FileNotFoundError:
                raise ConfigurationError(
                    f"the bucket of lake {self._base} does not exist"
                ) from None
        raise AssertionError("unreachable")

    def _create_in_parts(self, path: str, data: bytes) -> None:
        """Send the parts under another name; the object then appears at once, by a copy.

        An upload in parts cannot itself be made to create only. What a writer that dies leaves
        behind is an object that no row references, or parts, which a rule of the bucket clears.
        """
        staging = _staging_name(path)
        self._put(staging, data)
        try:
            obstore.copy(self._store, staging, path, overwrite=False)
        finally:
            self.delete([staging])

    def _put(self, path: str, data: bytes) -> None:
        obstore.put(
            self._store,
            path,
            data,
            use_multipart=len(data) >= _LARGE,
            chunk_size=_PART,
            max_concurrency=_PARTS_AT_ONCE,
        )

    @contextmanager
    def _failing(self, done: str, path: str, size: int = 0) -> Iterator[None]:
        """Name the object, the cause and the remedy where a server or a disk fails."""
        try:
            yield
        except (FileNotFoundError, HfError):
            raise
        except (BaseError, OSError) as error:
            what, cause = f"{self.uri(path)} cannot be {done}", _cause(error)
            refused = isinstance(error, PermissionDeniedError | UnauthenticatedError)
            if self._root is not None:
                failure: HfError = StorageError(f"{what}: {_local(error, cause, size)}")
            elif refused or " 403 " in cause or " 401 " in cause:
                failure = ConfigurationError(
                    f"{what}, because {_endpoint() or 'S3'} refuses it ({cause}); check "
                    "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and the rights on the "
                    "bucket"
                )
            else:
                failure = StorageError(
                    f"{what}, because {_endpoint() or 'S3'} fails at it ({cause}); nothing that "
                    "was published is changed. Run it again once the server answers"
                )
            raise failure from None


def _s3_store(bucket: str, prefix: str) -> S3Store:
    endpoint = _endpoint()
    # A server of one's own seldom has a certificate or a wildcard domain for buckets.
    config: S3Config = {
        "virtual_hosted_style_request": not endpoint,
        "copy_if_not_exists": "multipart",
    }
    if endpoint:
        config["endpoint"] = endpoint
    return S3Store(
        bucket,
        prefix=prefix or None,
        config=config,
        client_options={
            "allow_http": endpoint.startswith("http://"),
            # No limit on the whole, which is right for a small object and wrong for a large one.
            "timeout": timedelta(hours=1),
            "read_timeout": _SILENCE,
        },
        retry_config={"retry_timeout": _PATIENCE, "backoff": {"max_backoff": timedelta(seconds=5)}},
    )


def _endpoint() -> str:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")


def _cause(error: Exception) -> str:
    """The last part of a message of the library, without the page that the server sent."""
    text = str(error).partition("\n\nDebug source")[0]
    return text.rpartition(" - ")[2].partition(": <")[0].strip()


def _local(error: Exception, cause: str, size: int) -> str:
    full = (errno.ENOSPC, errno.EDQUOT)
    if isinstance(error, OSError) and error.errno in full:
        return (
            f"no space is left on its disk for {size} bytes; nothing that was published is "
            "changed. Free some space (`hf gc` deletes what no dataset references) and run it again"
        )
    return cause


def _staging_name(name: str) -> str:
    return f"{name}#{secrets.randbelow(10**18)}"


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
        staging = target.with_name(_staging_name(target.name))
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
