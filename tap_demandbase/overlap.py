"""Keeps rows of the day that two windows share from going out twice."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ROWS = 200_000
"""About 30 MB; rows beyond that go out twice, which a loader with a key mends."""


class SharedDay:
    """Remembers the rows of a window's last day while the next window is read.

    A row is told by a digest of all of its values, so one that changed between the two jobs
    goes out again. At most ``max_rows`` digests are kept.
    """

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self._max_rows = max_rows
        self._before: dict[bytes, int] = {}
        self._told: dict[bytes, int] = {}
        self._now: dict[bytes, int] = {}

    def next_window(self) -> None:
        """Begin a window: what the last one noted is what it shares."""
        self._before, self._told, self._now = self._now, {}, {}

    def again(self) -> None:
        """Begin the same window again, from another job."""
        self._told, self._now = {}, {}

    @property
    def has_before(self) -> bool:
        """Whether the last window noted any row."""
        return bool(self._before)

    def note(self, record: Mapping[str, Any]) -> None:
        """Note a row of the window's last day, which has gone out."""
        digest = _digest(record)
        if digest in self._now or len(self._now) < self._max_rows:
            self._now[digest] = self._now.get(digest, 0) + 1

    def has_gone_out(self, record: Mapping[str, Any]) -> bool:
        """Return whether the last window sent this very row; each is told once."""
        if not self._before:
            return False
        digest = _digest(record)
        told = self._told.get(digest, 0)
        if told >= self._before.get(digest, 0):
            return False
        self._told[digest] = told + 1
        return True


def _digest(record: Mapping[str, Any]) -> bytes:
    return hashlib.blake2b(repr(list(record.values())).encode(), digest_size=16).digest()
