"""Objects in a bucket that many machines share: written whole, and on condition if need be.

The library is imported here only, and this module only if ``state_dir`` is a URL.
"""

from __future__ import annotations

import random
import re
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO, Protocol

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store
from typing_extensions import override

from demandbase_api.errors import StateError
from demandbase_api.state.ports import Item, StateStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from obstore import Bytes, ObjectMeta, PutMode
    from obstore.store import ObjectStore as Bucket

_CONNECT, _REQUEST = timedelta(seconds=5), timedelta(seconds=15)
_RETRIES, _RETRY = 8, timedelta(seconds=20)
"""A call of a bucket that does not respond ends within 35 seconds: a signal waits for it."""
_FIRST_PAUSE, _PAUSE = timedelta(seconds=0.2), timedelta(seconds=3)
"""Pauses between tries, which double. A bucket may fail for some seconds."""
_PART_BYTES, _PARTS = 5 << 20, 2
"""Size of the parts of a large file, and how many are sent at a time. Each is one request, which
must end in time on a slow line, too. Stores take no smaller parts."""

_UPDATE_SECONDS = 30.0
"""Maximum time to wait for other runs that update an object."""
_CONFLICTS = 3
"""Tries to create an object that does not exist, and is said to: another run is removing it."""
_MARK = "writer"
"""Attribute of an object with a text of the request that wrote it."""
_CODE = re.compile(r"<Code>([A-Za-z0-9]+)</Code>")
_METADATA = re.compile(r"/latest/(api/token|meta-data)|/v2/credentials")
"""Addresses of the services that give machines their credentials."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it was read.

    Args:
        content: Its content.
        version: What changes with each content.
        written_at: When it was written, by the clock of the store.
    """

    content: bytes
    version: str
    written_at: datetime


class Objects(Protocol):
    """Objects by name, with writes that only one of several runs can make.

    Raises:
        StateError: From every method: the objects cannot be used.
    """

    def get(self, name: str) -> Stored | None:
        """Return an object; ``None`` if there is none."""

    def put(self, name: str, content: bytes) -> None:
        """Write an object."""

    def create(self, name: str, content: bytes) -> str | None:
        """Write an object that does not exist; return its version, ``None`` if it exists."""

    def replace(self, name: str, content: bytes, version: str) -> str | None:
        """Write an object that has a version; return its new one, ``None`` if it has another."""

    def open(self, name: str) -> BinaryIO:
        """Open an object for reading; it may be large."""

    def copy_in(self, file: Path, name: str) -> None:
        """Write an object that has the content of a file, which may be large."""

    def rename(self, name: str, new: str) -> None:
        """Give an object another name."""

    def delete(self, name: str) -> None:
        """Remove an object if it is there."""

    def items(self) -> list[Item]:
        """Return all objects, by name."""

    def location(self, name: str = "") -> str:
        """Return where an object is, or all, for a person."""

    def now(self) -> datetime:
        """Return the time by the clock of the store; it may be a second or two behind."""


@dataclass(frozen=True, slots=True)
class StoreClock:
    """The clock of a store, as far as this machine knows it.

    Args:
        time: Time of the store at some moment.
        at: That moment, in seconds of this machine's clock.
    """

    time: datetime
    at: float

    def now(self) -> datetime:
        """Return the time; it may be a second or two behind."""
        return self.time + timedelta(seconds=time.monotonic() - self.at)


@dataclass(frozen=True, slots=True)
class BucketObjects(Objects):
    """Objects whose names in a bucket begin with a folder.

    Args:
        bucket: The bucket.
        url: Its URL, with the prefix of all names.
        folder: The folder below that: empty, or with a slash at its end.
        clock: The clock of the store; known once the bucket has been checked.
    """

    bucket: Bucket
    url: str
    folder: str = ""
    clock: StoreClock | None = None

    def below(self, folder: str) -> BucketObjects:
        """Return the objects in a folder below this one."""
        return replace(self, folder=f"{self.folder}{folder}/")

    def checked(self) -> BucketObjects:
        """Write, read, list and delete an object; return the objects with the store's clock.

        Raises:
            StateError: One of these is not possible, or the store ignores conditions.
        """
        name = f"check-{uuid.uuid4().hex}"
        try:
            version = self.create(name, b"check")
            written = time.monotonic()
            stored = self.get(name)
            with self._as_state_error():
                next(iter(self._listed()), None)
            obeys = (
                version is not None
                and self.create(name, b"other") is None
                and self.replace(name, b"newer", version) is not None
                and self.replace(name, b"other", version) is None
            )
        except BaseException:
            with suppress(StateError):
                self.delete(name)
            raise
        self.delete(name)
        if stored is None or not obeys:
            raise self._error(*_UNCONDITIONAL)
        return replace(self, clock=StoreClock(stored.written_at, written))

    @override
    def get(self, name: str) -> Stored | None:
        found = self._read(name)
        return None if found is None else found[0]

    @override
    def put(self, name: str, content: bytes) -> None:
        with self._as_state_error():
            obstore.put(self.bucket, self._path(name), content)

    @override
    def create(self, name: str, content: bytes) -> str | None:
        return self._put_if(name, content, "create")

    @override
    def replace(self, name: str, content: bytes, version: str) -> str | None:
        return self._put_if(name, content, {"e_tag": version})

    @override
    def open(self, name: str) -> BinaryIO:
        file = TemporaryFile()  # noqa: SIM115 - the caller closes it
        try:
            for part in self._parts(name):
                file.write(part)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    @override
    def copy_in(self, file: Path, name: str) -> None:
        with self._as_state_error():
            obstore.put(
                self.bucket,
                self._path(name),
                file,
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS,
            )

    @override
    def rename(self, name: str, new: str) -> None:
        with self._as_state_error():
            obstore.rename(self.bucket, self._path(name), self._path(new))

    @override
    def delete(self, name: str) -> None:
        with self._as_state_error():
            obstore.delete(self.bucket, self._path(name))

    @override
    def items(self) -> list[Item]:
        with self._as_state_error():
            found = [
                Item(each["path"].removeprefix(self.folder), each["last_modified"], each["size"])
                for chunk in self._listed()
                for each in chunk
            ]
        return sorted(found)

    @override
    def location(self, name: str = "") -> str:
        return f"{self.url}/{self.folder}{name}"

    @override
    def now(self) -> datetime:
        if self.clock is None:
            raise RuntimeError("the bucket has not been checked")
        return self.clock.now()

    def _path(self, name: str) -> str:
        return f"{self.folder}{name}"

    def _parts(self, name: str) -> Iterator[Bytes]:
        """Yield an object in parts; a small one takes one request."""
        with self._as_state_error():
            found = obstore.get(self.bucket, self._path(name))
            size = found.meta["size"]
            first = found.bytes() if size <= _PART_BYTES else None
        if first is not None:
            yield first
            return
        for start in range(0, size, _PART_BYTES):
            with self._as_state_error():
                part = obstore.get_range(
                    self.bucket, self._path(name), start=start, length=_PART_BYTES
                )
            yield part

    def _listed(self) -> Iterable[Sequence[ObjectMeta]]:
        """Return all objects in pieces, each of which is one request."""
        return obstore.list(self.bucket, self.folder or None)

    def _read(self, name: str) -> tuple[Stored, str] | None:
        """Return an object and its mark."""
        try:
            with self._as_state_error():
                found = obstore.get(self.bucket, self._path(name))
                content, meta = bytes(found.bytes()), found.meta
        except StateError as error:
            if isinstance(error.__cause__, FileNotFoundError) and error.reason == _MISSING:
                return None
            raise
        stored = Stored(content, meta["e_tag"] or "", meta["last_modified"])
        return stored, str(found.attributes.get(_MARK, ""))

    def _put_if(self, name: str, content: bytes, mode: PutMode) -> str | None:
        mark = uuid.uuid4().hex
        for _ in range(_CONFLICTS):
            with self._as_state_error():
                try:
                    done = obstore.put(
                        self.bucket,
                        self._path(name),
                        content,
                        attributes={_MARK: mark},
                        mode=mode,
                        use_multipart=False,
                    )
                    return done["e_tag"] or ""
                except (AlreadyExistsError, PreconditionError) as error:
                    _raise_if_bucket_is_missing(error)
            # The request is repeated if its response is lost: this may be the first one's work.
            found = self._read(name)
            if found is not None or mode != "create":
                return found[0].version if found is not None and found[1] == mark else None
        return None

    @contextmanager
    def _as_state_error(self) -> Iterator[None]:
        try:
            yield
        # NotImplementedError: obstore's error for a conditional write that a store does not offer.
        except (BaseError, OSError, ValueError, NotImplementedError) as error:
            raise self._error(*_problem(error)) from error

    def _error(self, reason: str, advice: str) -> StateError:
        return StateError(f"Cannot use {self.url}, the state_dir: {reason}. {advice}", reason)


_MISSING = "an object is missing"
_UNCONDITIONAL = (
    (
        "it ignores the conditions of a write (If-None-Match, If-Match), without which two "
        "machines could do the same at once"
    ),
    "Use a store that supports conditional writes, as S3 does.",
)
_NO_CREDENTIALS = (
    "there are no credentials for it",
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role.",
)
_BAD_VARIABLES = (
    "an environment variable whose name begins with AWS_ has a value that cannot be used",
    "docs/state.md lists those that are needed; remove others, and run again.",
)
_OTHER_REGION = "it is in another region", "Set AWS_REGION to the region of the bucket."
_BY_CODE = {
    "AuthorizationHeaderMalformed": _OTHER_REGION,
    "IllegalLocationConstraintException": _OTHER_REGION,
    "PermanentRedirect": _OTHER_REGION,
    "NoSuchBucket": ("there is no such bucket", "Create it, or correct the setting state_dir."),
    "NotImplemented": _UNCONDITIONAL,
    "RequestTimeTooSkewed": ("the clock of this machine is wrong", "Set it, and run again."),
}
_DENIED = {
    "AccessDenied",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "TokenRefreshRequired",
}


def _raise_if_bucket_is_missing(error: Exception) -> None:
    if "NoSuchBucket" in str(error):
        raise error


def _problem(error: Exception) -> tuple[str, str]:
    """Return what is wrong, and what to do; the library's own text quotes whole responses."""
    text = str(error)
    found = _CODE.search(text)
    code = "" if found is None else found[1]
    words = f" ({code})" if code else ""
    reason = f"it cannot be reached{words}"
    advice = "Check the network, the variables AWS_ENDPOINT_URL and AWS_REGION, and run again."
    if code in _BY_CODE:
        reason, advice = _BY_CODE[code]
    elif isinstance(error, NotImplementedError):
        reason, advice = _UNCONDITIONAL
    elif _METADATA.search(text):
        reason, advice = _NO_CREDENTIALS
    elif code in _DENIED or isinstance(error, PermissionDeniedError | UnauthenticatedError):
        reason = f"access was denied{words}"
        advice = (
            "The credentials must be valid, and must allow to list the bucket, and to read, write "
            "and delete objects."
        )
    elif isinstance(error, FileNotFoundError):
        reason, advice = _MISSING, "Another program may have removed it: run again."
    elif "redirect" in text.casefold():
        reason, advice = _OTHER_REGION
    return reason, advice


class ObjectStore(StateStore):
    """Small objects that the runs of several machines share.

    Args:
        objects: The objects.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._versions: dict[str, str] = {}
        """Versions of objects that no other run writes."""

    @override
    def get(self, name: str) -> bytes | None:
        stored = self._objects.get(name)
        return None if stored is None else stored.content

    @override
    def put(self, name: str, content: bytes, *, durable: bool = False) -> None:
        self._objects.put(name, content)

    @override
    def put_own(self, name: str, content: bytes) -> bool:
        known = self._versions.pop(name, None)
        if known is None:
            version = self._objects.create(name, content)
        else:
            version = self._objects.replace(name, content, known)
        # Of an earlier write that failed, only the response may have been lost.
        if version is None and (stored := self._objects.get(name)) is not None:
            version = self._objects.replace(name, content, stored.version)
        if version is None:
            return False
        self._versions[name] = version
        return True

    @override
    def update(self, name: str, change: Callable[[bytes | None], bytes | None]) -> None:
        pause, until = 0.02, time.monotonic() + _UPDATE_SECONDS
        while True:
            stored = self._objects.get(name)
            content = change(None if stored is None else stored.content)
            if content is None:
                return
            if stored is None:
                version = self._objects.create(name, content)
            else:
                version = self._objects.replace(name, content, stored.version)
            if version is not None:
                return
            if time.monotonic() > until:
                place = self._objects.location(name)
                reason = "other runs write it again and again"
                raise StateError(f"Cannot update {place}: {reason}. Run again later.", reason)
            time.sleep(pause * random.random())  # noqa: S311 - not for secrets
            pause = min(2 * pause, 1.0)

    @override
    def open(self, name: str) -> BinaryIO:
        return self._objects.open(name)

    @override
    def copy_in(self, file: Path, name: str) -> None:
        self._objects.copy_in(file, name)

    @override
    def rename(self, name: str, new: str) -> None:
        self._objects.rename(name, new)

    @override
    def delete(self, name: str) -> None:
        self._versions.pop(name, None)
        self._objects.delete(name)

    @override
    def items(self, prefix: str = "") -> list[Item]:
        return [item for item in self._objects.items() if item.name.startswith(prefix)]

    @override
    def location(self, name: str = "") -> str:
        return self._objects.location(name)

    @override
    def close(self) -> None:
        """Do nothing: a bucket has no folders."""


def open_bucket(url: str, endpoint: str | None) -> BucketObjects:
    """Return the objects of a bucket, which has been checked.

    Args:
        url: ``s3://`` with the bucket and a prefix of names.
        endpoint: Address of the server; by default that of AWS.

    Raises:
        StateError: It cannot be used.
    """
    return bucket_objects(url, endpoint).checked()


def bucket_objects(url: str, endpoint: str | None) -> BucketObjects:
    """Return the objects of a bucket, which has not been asked for anything.

    Raises:
        StateError: The variables of the environment cannot be used.
    """
    bucket, _, prefix = url.partition("://")[2].partition("/")
    try:
        store = S3Store(
            bucket,
            prefix=prefix or None,
            client_options={
                "allow_http": (endpoint or "").startswith("http://"),
                "connect_timeout": _CONNECT,
                "timeout": _REQUEST,
            },
            retry_config={
                "backoff": {"init_backoff": _FIRST_PAUSE, "max_backoff": _PAUSE, "base": 2},
                "max_retries": _RETRIES,
                "retry_timeout": _RETRY,
            },
            config={} if endpoint is None else {"endpoint": endpoint},
        )
    except (BaseError, ValueError) as error:
        # Of the library's own text, which may quote values, only this is certain.
        is_incomplete = "Missing" in str(error)
        reason, advice = _NO_CREDENTIALS if is_incomplete else _BAD_VARIABLES
        raise StateError(f"Cannot use {url}, the state_dir: {reason}. {advice}", reason) from error
    return BucketObjects(store, url)
