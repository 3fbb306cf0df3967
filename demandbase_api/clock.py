"""Time, injected so that tests need not wait."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, overload

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE_SECONDS = 0.5
"""Longest time for which a sleep delays the handling of a signal."""


class Clock(Protocol):
    """Source of time, and of waits."""

    def now(self) -> float:
        """Return monotonic seconds."""

    def utc(self) -> datetime:
        """Return the current time in UTC."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock(Clock):
    """The clock of the machine."""

    @override
    def now(self) -> float:
        return time.monotonic()

    @override
    def utc(self) -> datetime:
        return datetime.now(UTC)

    @override
    def sleep(self, seconds: float) -> None:
        # A signal that another thread receives does not interrupt a sleep of the main thread.
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _PIECE_SECONDS))


@overload
def iso_time(moment: datetime) -> str: ...
@overload
def iso_time(moment: datetime | None) -> str | None: ...
def iso_time(moment: datetime | None) -> str | None:
    """Return a time in UTC to the second, as in 2026-01-31T04:05:06Z; ``None`` for none."""
    if moment is None:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def sleep_in_pieces(clock: Clock, seconds: float, piece: float) -> Iterator[float]:
    """Sleep; yield the seconds left before each piece, for the caller to log.

    Args:
        clock: Sleeps.
        seconds: Time to sleep in all.
        piece: Longest time between two yields, in seconds.
    """
    until = clock.now() + seconds
    while (left := until - clock.now()) > 0:
        yield left
        clock.sleep(min(left, piece))
