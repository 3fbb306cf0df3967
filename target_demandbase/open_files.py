"""How many files a run may have open: the system limits them for the process, not for a stream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_RESERVED = 64
"""Files that a run opens in addition to staged rows: connections, locks, its journal, libraries."""

_MAX_GROUPS = 1024
_MIN_GROUPS = 16

_FILES_OF_ROWS = 2
"""Open files of staged rows: the rows, and the messages that they come from."""


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """What a run may have open at a time.

    Args:
        groups: Number of files that rows are staged in, over all streams.
        jobs: Number of import jobs: the rows of each are kept until it ends.
    """

    groups: int
    jobs: int


def open_files(spare: int, max_jobs: int) -> OpenFiles:
    """Return what a run may have open.

    While a file without superseded rows is written, the file with all rows is open, too.

    Args:
        spare: Number of files that the process may still open.
        max_jobs: Number of import jobs that the settings allow.
    """
    usable = max(0, spare - _RESERVED)
    jobs = max(1, min(max_jobs, usable // (2 * _FILES_OF_ROWS)))
    groups = (usable - _FILES_OF_ROWS * jobs) // (2 * _FILES_OF_ROWS)
    return OpenFiles(max(_MIN_GROUPS, min(_MAX_GROUPS, groups)), jobs)


def spare_files() -> int:
    """Return the number of files that the system lets this process open in addition."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return 512
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return 1 << 20
    try:
        return limit - len(list(Path("/dev/fd").iterdir()))
    except OSError:  # a container without /proc
        return limit - _RESERVED


class GroupBudget:
    """Counts the files that rows are staged in, over all streams of a run.

    Args:
        groups: Maximum number.
    """

    def __init__(self, groups: int) -> None:
        self.used = 0
        self._groups = groups

    @property
    def has_room(self) -> bool:
        """Whether one more may be opened."""
        return self.used < self._groups
