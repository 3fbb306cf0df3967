"""The move of files from the folders of earlier versions to the state folder."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, NamedTuple

from demandbase_api.files import make_private_folder, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

LOCK_SUFFIX = ".alive"
"""End of the name of a file that a run locks while its entries of the import journal are in use."""

_ENTRY_SUFFIX = ".json"
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Kept(NamedTuple):
    """A kind of files that is kept.

    Args:
        folder: Their folder within the state folder; empty for the state folder itself.
        prefix: How their names begin.
        suffix: How their names end.
    """

    folder: str
    prefix: str
    suffix: str


def take_over(base: Path, subfolders: tuple[str, ...], folder: Path, kept: Kept) -> None:
    """Move files of this user to the state folder; links are not followed.

    Args:
        base: A folder that earlier versions used.
        subfolders: Names of the folders below it that lead to the files.
        folder: The state folder.
        kept: Kind of the files.

    Raises:
        OSError: A file cannot be moved.
    """
    new = folder / kept.folder
    with ExitStack() as opened:
        try:
            place = _open_folder(base, subfolders, opened)
        except OSError:
            return  # there is none
        if _is_same(place, new):
            return
        moved = [
            name
            for name in sorted(os.listdir(place))  # noqa: PTH208 - a descriptor
            if name.startswith(kept.prefix)
            and name.endswith(kept.suffix)
            and _move(place, name, new)
        ]
    if moved:
        earlier = base.joinpath(*subfolders)
        logger.info("%d files of earlier runs were moved from %s to %s", len(moved), earlier, new)


def _open_folder(base: Path, subfolders: tuple[str, ...], opened: ExitStack) -> int:
    """Return a descriptor of a folder, which is closed with the stack."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    place = os.open(base, flags)
    opened.callback(os.close, place)
    for name in subfolders:
        place = os.open(name, flags | os.O_NOFOLLOW, dir_fd=place)
        opened.callback(os.close, place)
    return place


def _is_same(place: int, folder: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(place), folder.stat())
    return False


def _move(place: int, name: str, folder: Path) -> bool:
    """Move a file of this user; return whether there was one.

    Args:
        place: File descriptor of its folder.
        name: Its name.
        folder: Its new folder.
    """
    if _is_in_use(place, name):
        return False
    try:
        file = os.fdopen(os.open(name, _OPEN, dir_fd=place), encoding="utf-8")
    except OSError:
        return False  # a link, another user's file, or moved by another run
    with file:
        with suppress(OSError):  # not all network file systems have locks
            fcntl.flock(file, fcntl.LOCK_EX)  # another run may be moving it
        if not _is_own(file.fileno()):
            return False
        if not (folder / name).exists():  # otherwise a run ended before it had removed the old one
            make_private_folder(folder)
            write_atomically(folder / name, file.read(), durable=True)
        os.unlink(name, dir_fd=place)
    return True


def _is_own(file: int) -> bool:
    """Return whether an open file is an ordinary one of this user, with one name."""
    status = os.fstat(file)
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1


def _is_in_use(place: int, name: str) -> bool:
    """Return whether the run that wrote an entry of the import journal is still alive."""
    owner = name.removesuffix(_ENTRY_SUFFIX).rpartition(".")[2]
    try:
        lock = os.open(f"{owner}{LOCK_SUFFIX}", _OPEN, dir_fd=place)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False
