"""What earlier versions kept in other folders, taken over into the state folder."""

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
        is_journal: Whether they are entries of a journal, which are removed when they are done.
    """

    folder: str
    prefix: str
    suffix: str
    is_journal: bool


def take_over(base: Path, subfolders: tuple[str, ...], folder: Path, kept: Kept) -> None:
    """Take over files of this user into the state folder; links are not followed.

    Entries of a journal are moved. Other files are copied once: the other plugin may still use
    them where they are.

    Args:
        base: A folder that earlier versions used.
        subfolders: Names of the folders below it that lead to the files.
        folder: The state folder.
        kept: Kind of the files.

    Raises:
        OSError: A file cannot be taken over.
    """
    new = folder / kept.folder
    with ExitStack() as opened:
        try:
            place = _open_folder(base, subfolders, opened)
        except OSError:
            return  # there is none
        if _is_same(place, new):
            return
        taken = [
            name
            for name in sorted(os.listdir(place))  # noqa: PTH208 - a descriptor
            if name.startswith(kept.prefix)
            and name.endswith(kept.suffix)
            and _take(place, name, new, moves=kept.is_journal)
        ]
    if taken:
        earlier = base.joinpath(*subfolders)
        logger.info("Files of earlier runs in %s were taken over into %s", earlier, new)


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


def _take(place: int, name: str, folder: Path, *, moves: bool) -> bool:
    """Take over a file of this user that the new folder does not have; return whether it did.

    Args:
        place: File descriptor of its folder.
        name: Its name.
        folder: Its new folder.
        moves: Whether to remove the file.
    """
    path = folder / name
    if not moves and path.exists():
        return False
    if _is_in_use(place, name):
        return False
    try:
        file = os.fdopen(os.open(name, _OPEN, dir_fd=place), "rb")
    except OSError:
        return False  # a link, another user's file, or moved by another run
    with file:
        with suppress(OSError):  # not all network file systems have locks
            fcntl.flock(file, fcntl.LOCK_EX)  # another run may be moving it
        if not _is_own(file.fileno()):
            return False
        is_new = not path.exists()  # otherwise another run has taken it over
        if is_new:
            make_private_folder(folder)
            write_atomically(path, file.read(), durable=True)
        if moves:
            os.unlink(name, dir_fd=place)
    return is_new


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
