"""A bucket for what outlives a run: many machines may share it, and each may be thrown away."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from typing_extensions import override

from demandbase_api.errors import ConfigurationError
from demandbase_api.state.earlier import Kept
from demandbase_api.state.folder import SINGER_STATES, scratch_folder
from demandbase_api.state.ports import Locks, State, StateStore

if TYPE_CHECKING:
    from pathlib import Path

    from demandbase_api.state.objects import BucketObjects

_SCHEME = "s3"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NO_PARTS = frozenset({"", ".", ".."})
_ENDPOINT = "AWS_ENDPOINT_URL"


@dataclass(frozen=True, slots=True)
class StateBucket(State):
    """The setting ``state_dir`` as a URL.

    Args:
        url: The URL, as ``checked_url`` returns it.
        tenant: Folder of the tenant's objects.
        spool_dir: The setting ``spool_dir``.
    """

    url: str
    tenant: str
    spool_dir: Path | None = None
    is_shared = True

    @override
    def open(self) -> Path:
        self._objects()
        return scratch_folder(self.spool_dir)

    @override
    def store(self, kept: Kept | None = None) -> StateStore:
        objects = self._objects(kept)
        from demandbase_api.state.objects import ObjectStore  # noqa: PLC0415 - see _opened

        return ObjectStore(objects)

    @override
    def locks(self, kept: Kept, run: str) -> Locks:
        from demandbase_api.state import leases  # noqa: PLC0415

        return leases.LeaseLocks(self._objects(kept), run, beat_seconds=leases.BEAT_SECONDS)

    @override
    def copies(self, folder: str) -> StateStore | None:
        return self.store(Kept(folder, "", "", is_journal=False))

    @override
    def singer_states(self) -> StateStore:
        # Not in the tenant's folder: a new API Key Set, which begins another, must not lose them.
        objects = self._bucket().below(SINGER_STATES)
        from demandbase_api.state.objects import ObjectStore  # noqa: PLC0415 - see _opened

        return ObjectStore(objects)

    def _bucket(self) -> BucketObjects:
        return _opened(self.url, _endpoint())

    def _objects(self, kept: Kept | None = None) -> BucketObjects:
        objects = self._bucket().below(self.tenant)
        return objects.below(kept.folder) if kept is not None and kept.folder else objects


def checked_url(text: str) -> str:
    """Return a URL of the setting ``state_dir`` without a slash at its end.

    Raises:
        ConfigurationError: It cannot be used.
    """
    bucket = prefix = problem = ""
    try:
        parts = urlsplit(text.strip())
    except ValueError:
        problem = "it cannot be parsed"
    else:
        bucket, prefix = parts.netloc, parts.path.strip("/")
        if parts.scheme != _SCHEME or not text.strip().lower().startswith(f"{_SCHEME}://"):
            problem = f"only a folder or a URL that begins with {_SCHEME}:// is possible"
        elif "@" in bucket or parts.query or parts.fragment:
            problem = "it may have a bucket and a prefix only; set credentials by AWS_… variables"
        elif not bucket:
            problem = "it has no bucket"
        elif not _BUCKET.fullmatch(bucket):
            problem = "its bucket has a character that no name of a bucket has"
        elif not text.strip().isprintable() or (
            prefix and not _NO_PARTS.isdisjoint(prefix.split("/"))
        ):
            problem = "its prefix has an empty part, . or .., or a control character"
    if problem:
        # The URL is not shown: it may contain credentials.
        raise ConfigurationError(
            f"The setting state_dir cannot be used: {problem}. Example: s3://my-bucket/demandbase."
        )
    return f"{_SCHEME}://{bucket}/{prefix}".rstrip("/")


def _endpoint() -> str | None:
    """Return the address of another server than AWS.

    Raises:
        ConfigurationError: It is no address.
    """
    text = os.environ.get(_ENDPOINT)
    if text is None:
        return None
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname)
        is_address = is_address and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        # It is not shown: it may contain credentials.
        raise ConfigurationError(
            f"The variable {_ENDPOINT}, for the state_dir, is no address: it must be http:// or "
            "https:// with a host and a port. Without the variable, AWS is used."
        )
    return text.replace(text[: len(parts.scheme)], parts.scheme, 1)


@cache
def _opened(url: str, endpoint: str | None) -> BucketObjects:
    """Return the objects of a bucket, which is checked once in a process."""
    try:
        # Only runs with such a setting pay for the library, which need not be installed.
        from demandbase_api.state.objects import open_bucket  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The setting state_dir is a URL, for which the package {error.name} is missing. "
            "Install singer-demandbase[s3], or set state_dir to a folder."
        ) from error
    return open_bucket(url, endpoint)
