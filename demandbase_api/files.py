"""Files that survive a crash: written whole or not at all, and durable if asked for.

All functions raise ``OSError``.
"""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

PRIVATE = 0o600
"""Mode of files that only their owner may read."""

_MAX_TRIES = 20


def write_atomically(path: Path, content: str | bytes, *, durable: bool = False) -> None:
    """Replace a file in one step, by one for its owner only: no reader ever sees a part of it.

    Args:
        path: The file; its folder must exist.
        content: The content; a text is written as UTF-8.
        durable: Whether the file must survive a failure of the system.
    """
    descriptor, partial = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(partial, path)  # noqa: PTH105 - mkstemp returns a text
    except OSError:
        with suppress(OSError):
            os.unlink(partial)  # noqa: PTH108
        raise
    if durable:
        sync_folder(path.parent)


def call_in_folder(folder: Path, function: Callable[[], T]) -> T:
    """Call what creates a file in a folder that other processes remove when it is empty.

    Args:
        folder: The folder; created first.
        function: Called again if the folder has been removed meanwhile.
    """
    for tries_left in reversed(range(_MAX_TRIES)):
        try:
            make_private_folder(folder)
            return function()
        except (FileNotFoundError, FileExistsError):
            # The latter if it is removed between the attempt to create it and the check.
            if not tries_left:
                raise
    raise AssertionError("unreachable")


def open_private(path: Path, flags: int) -> int:
    """Open a file for writing; create it for its owner only.

    Args:
        path: The file.
        flags: Further flags, as for ``os.open``.

    Returns:
        The file descriptor, which the caller closes.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, PRIVATE)


def make_private_folder(folder: Path) -> None:
    """Create a folder for its owner only; leave an existing one as it is."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names of a folder's files durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems keep names durable by themselves and reject this call.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)
