"""The folder of what must outlive a run: journals of jobs, counts of calls, discovered fields.

Other users of the machine must not be able to write there: the plugins believe what they read.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from typing_extensions import override

from demandbase_api.errors import SpoolError, spool_error, state_error
from demandbase_api.files import make_private_folder
from demandbase_api.state.earlier import Kept, take_over
from demandbase_api.state.ports import Locks, State, StateStore

logger = logging.getLogger(__name__)

_NAME = "singer-demandbase"
EXPORT_JOURNAL = Kept("tap-demandbase-jobs", "", ".job.json", is_journal=True)
IMPORT_JOURNAL = Kept("target-demandbase-ledger", "", ".json", is_journal=True)
EXPORT_REPORTS = "tap-demandbase-reports"
"""Folder of the reports of the tap's runs."""
IMPORT_REPORTS = "target-demandbase-reports"
"""Folder of the reports of the target's runs, if several machines share it."""
KEPT_ROWS = "target-demandbase-rows"
"""Folder of rejected and undelivered rows, if several machines share it."""
SINGER_STATES = "state"
"""Folder of the states of Singer runs."""
_SHARED = tuple(
    Kept("", f"demandbase-{kind}-", ".json", is_journal=False) for kind in ("calls", "fields")
)
"""Files of a tenant that both plugins use."""

_NO_HOME = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT}
"""Errors of a home folder that is not there or cannot be written."""


@dataclass(frozen=True, slots=True)
class StateFolder(State):
    """The folder of what must outlive a run.

    Args:
        state_dir: The setting ``state_dir``.
        spool_dir: The setting ``spool_dir``, which is used if ``state_dir`` is not set. Default:
            the user's folder for state.
    """

    state_dir: Path | None = None
    spool_dir: Path | None = None
    is_shared = False

    @override
    def open(self) -> Path:
        """Create the folder if it is missing, and return it.

        It belongs to this user or to root, and others cannot write to it: a folder that they can
        write to gets a folder of this user's own. What this user has in the folder of earlier
        versions is taken over.

        Raises:
            SpoolError: The folder cannot be used.
        """
        return self._open(*_SHARED)

    @override
    def store(self, kept: Kept | None = None) -> StateStore:
        from demandbase_api.state.folder_store import FolderStore  # noqa: PLC0415 - see locks

        return FolderStore(self.open() if kept is None else self.journal(kept))

    @override
    def locks(self, kept: Kept, run: str) -> Locks:
        # Commands that need no state start without filelock.
        from demandbase_api.state.folder_store import FolderLocks  # noqa: PLC0415

        return FolderLocks(self.journal(kept), run)

    @override
    def copies(self, folder: str) -> StateStore | None:
        return None

    @override
    def singer_states(self) -> StateStore:
        from demandbase_api.state.folder_store import FolderStore  # noqa: PLC0415 - see locks

        return FolderStore(self.open() / SINGER_STATES)

    def journal(self, kept: Kept) -> Path:
        """Return the folder of a journal, which need not exist; take over earlier entries.

        Raises:
            SpoolError: The state folder cannot be used.
        """
        return self._open(*_SHARED, kept) / kept.folder

    def _open(self, *kinds: Kept) -> Path:
        try:
            chosen = self.state_dir or self.spool_dir
            folder = _default_folder() if chosen is None else _private_folder(chosen)
            for kept in kinds:
                base, subfolders = self._earlier(kept)
                take_over(base, subfolders, folder, kept)
        except OSError as error:
            raise state_error(error) from error
        return folder

    def _earlier(self, kept: Kept) -> tuple[Path, tuple[str, ...]]:
        """Return where earlier versions kept some files: a folder, and those below it."""
        subfolders = (kept.folder,) if kept.folder else ()
        if self.spool_dir is not None:
            return self.spool_dir, subfolders
        temporary = Path(tempfile.gettempdir())
        return temporary, subfolders if kept is IMPORT_JOURNAL else (_NAME, *subfolders)


def is_private(owner: int, mode: int, user: int) -> bool:
    """Return whether nobody but a user, root and a group can write to a folder.

    Args:
        owner: User id of the folder's owner.
        mode: Its permissions.
        user: User id.
    """
    return owner in {user, 0} and not mode & stat.S_IWOTH


def scratch_folder(spool_dir: Path | None) -> Path:
    """Return a folder of this user for files that are soon written elsewhere.

    Args:
        spool_dir: The setting ``spool_dir``.

    Raises:
        SpoolError: It cannot be used.
    """
    try:
        return _private_folder(spool_dir or Path(tempfile.gettempdir()))
    except OSError as error:
        raise spool_error(error) from error


def _private_folder(folder: Path) -> Path:
    make_private_folder(folder)
    return folder if _is_private(folder.stat()) else _own_folder(folder)


def _own_folder(shared: Path) -> Path:
    """Return this user's folder in a folder that others may write to.

    Raises:
        SpoolError: Somebody else has created it.
    """
    folder = shared / f"{_NAME}-{os.geteuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not (stat.S_ISDIR(status.st_mode) and _is_private(status)):
        raise SpoolError(
            f"The folder {folder} belongs to another user, or others can write to it. Set "
            "state_dir to a folder that only this user can write to."
        )
    return folder


def _is_private(status: os.stat_result) -> bool:
    return is_private(status.st_uid, status.st_mode, os.geteuid())


def _default_folder() -> Path:
    """Return the user's folder for state; one in the system's temporary folder without a home."""
    try:
        folder = _private_folder(_user_folder())
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _error(errno.EACCES)
    except OSError as error:
        if error.errno not in _NO_HOME:
            raise
        folder = _own_folder(Path(tempfile.gettempdir()))
        _warn_of_fallback(folder, error.strerror)
    return folder


def _user_folder() -> Path:
    from platformdirs import user_state_path  # noqa: PLC0415 - most runs have a setting

    folder = None
    with suppress(RuntimeError):  # newer versions raise it where older ones return a path with ~
        folder = user_state_path(_NAME, appauthor=False)
    if folder is None or not folder.is_absolute():
        raise _error(errno.ENOENT)
    return folder


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@cache
def _warn_of_fallback(folder: Path, reason: str) -> None:
    logger.warning(
        "This user has no folder for state (%s): journals and counts of calls are kept in %s, "
        "which may not survive a restart of the system. Set state_dir to a folder that does.",
        reason,
        folder,
    )
