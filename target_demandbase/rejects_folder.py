"""The folder under rejects_path: files that hold personal data and must outlive a crash."""

from __future__ import annotations

import errno
import hashlib
import os
from tempfile import TemporaryFile
from typing import TYPE_CHECKING
from urllib.parse import quote

from demandbase_api.errors import DemandbaseError

if TYPE_CHECKING:
    from pathlib import Path

_MAX_NAME = 100


class RejectsError(DemandbaseError):
    """The folder for rejected rows and the report cannot be used."""


def rejects_error(error: OSError) -> RejectsError:
    """Return the error for a folder that does not take a file."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    reason = "it has no room left" if full else (error.strerror or "it failed")
    return RejectsError(
        f"The folder for rejected rows cannot be written: {reason}; free some room, or point the "
        "setting rejects_path at another writable folder."
    )


def file_name_part(name: str) -> str:
    """Return a name as a part of a file name; different names stay different."""
    safe = quote(name, safe="", errors="surrogatepass")
    if len(safe) <= _MAX_NAME:
        return safe
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    return f"{safe[:_MAX_NAME]}-{digest[:16]}"


def make_folder(folder: Path) -> None:
    """Create a folder that only its owner can look into; one that is there stays as it is.

    Raises:
        OSError: It cannot be created.
    """
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def check_folder(folder: Path) -> None:
    """Create a folder and see whether it takes files, before it is needed.

    Raises:
        RejectsError: It does not.
    """
    try:
        make_folder(folder)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise rejects_error(error) from error


def open_private(path: Path, flags: int) -> int:
    """Open a file for writing, created where it is not there, for its owner only.

    Args:
        path: The file.
        flags: What else to open it with, as for ``os.open``.

    Returns:
        The file descriptor, which the caller closes.

    Raises:
        OSError: It cannot be opened.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)


def sync_folder(folder: Path) -> None:
    """Make the names of a folder's files durable.

    Raises:
        OSError: The disk fails.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems keep names durable by themselves and refuse this call.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)
