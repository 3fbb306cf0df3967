"""Which days an incremental run asks for, and which of the rows go out."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from demandbase_api.errors import ConfigurationError
from tap_demandbase import bookmark
from tap_demandbase.bookmark import Bookmark
from tap_demandbase.windows import Window, cut, midnight, parse

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping
    from datetime import date, datetime

    from demandbase_api.models import Entity
    from tap_demandbase.config import StreamOptions


MAX_ROWS = 200_000
"""About 30 MB; rows beyond that go out twice, which a loader with a key mends."""


class WindowOverlap:
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

    def already_sent(self, record: Mapping[str, Any]) -> bool:
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


class Replication:
    """One incremental run of a stream.

    Args:
        key: The replication key.
        mark: The bookmark to begin at.
        options: The stream's settings.
        today: The UTC day of the request.
        whole_days: Whether replication values are dates.
    """

    def __init__(
        self, key: str, mark: Bookmark, options: StreamOptions, today: date, *, whole_days: bool
    ) -> None:
        self.key = key
        self.value = mark.value
        self.without_value = 0
        self.whole_days = whole_days
        self._shared = WindowOverlap()
        oldest = _oldest(mark, options)
        if oldest is not None and whole_days:
            oldest = midnight(oldest.date())
        self.oldest = oldest
        """Before this moment no row goes out; ``None`` for all."""
        start = None if oldest is None else oldest.date()
        self.windows = cut(start, options.end_date or today, options.window_days)
        self._window: Window | None = None
        self._newest: datetime | None = None

    def begin(self, window: Window) -> None:
        """Begin a window, or the same one again from another job."""
        if window is self._window:
            self._shared.again()
        else:
            self._shared.next_window()
        self._window = window
        self._newest = None

    def wants(self, record: Mapping[str, Any]) -> bool:
        """Return whether a row goes out, and note its replication value."""
        text = record[self.key]
        if text is None:
            self.without_value += 1
            return True
        moment = parse(text)
        if self.oldest is not None and moment < self.oldest:
            return False
        self.note(moment)
        window = self._window
        if window is not None:
            day = moment.date()
            if day == window.start and self._shared.already_sent(record):
                return False
            if day == window.end and not window.is_last:
                self._shared.note(record)
        return True

    def note(self, newest: datetime | None, *, without_value: int = 0) -> None:
        """Note the replication values of rows that are in the window.

        Args:
            newest: The greatest of them; ``None`` where there is none.
            without_value: How many have none.
        """
        self.without_value += without_value
        if newest is not None and (self._newest is None or newest > self._newest):
            self._newest = newest

    @property
    def shared_days(self) -> set[date]:
        """The days of the window whose rows only ``wants`` can tell."""
        window = self._window
        if window is None:
            return set()
        days: set[date] = set()
        if window.start is not None and self._shared.has_before:
            days.add(window.start)
        if not window.is_last:
            days.add(window.end)
        return days

    def tell_missing(self, stream: str, logger: logging.Logger) -> None:
        """Tell how many rows there were without a replication value, if any."""
        if self.without_value:
            logger.warning(
                "%d records of stream %s have no %s: they went out and do not move the bookmark",
                self.without_value,
                stream,
                self.key,
            )

    def finish(self, window: Window, created_at: datetime) -> datetime:
        """Return the bookmark after a window whose rows have all gone out."""
        self.value = bookmark.advanced(
            self.value, window, self._newest, created_at, whole_days=self.whole_days
        )
        return self.value


def _oldest(mark: Bookmark, options: StreamOptions) -> datetime | None:
    """Return the moment before which no row goes out; ``None`` for all."""
    start = options.start_date
    if mark.value is None:
        return start
    if mark.next_window is not None:
        return midnight(mark.next_window)
    try:
        oldest = mark.value - timedelta(days=options.lookback_days)
    except OverflowError:
        return start
    # The look-back does not reach behind where the stream was told to begin.
    return start if start is not None and oldest < start <= mark.value else oldest


def replication_of(  # noqa: PLR0913 - all of them bear on it
    entity: Entity,
    options: StreamOptions,
    properties: Mapping[str, Mapping[str, Any]],
    *,
    key: str | None,
    is_incremental: bool,
    bookmark: Callable[[str], Bookmark],
    today: date,
) -> Replication | None:
    """Return the incremental run, or the days that a full one is cut into; ``None`` for neither.

    Args:
        entity: What is exported.
        options: The stream's settings.
        properties: JSON Schema by property.
        key: The replication key, where there is one.
        is_incremental: Whether the run goes on where the last one ended.
        bookmark: Returns the bookmark of a replication key.
        today: The UTC day of the request.

    Raises:
        ConfigurationError: The replication key is no date field, or a first day is needed and
            none is given.
        StateError: The state cannot be read.
    """
    days, name = entity.max_days, entity.name
    if not is_incremental:
        if days is None:
            return None
        key = options.replication_key or entity.date_field
    if not key:
        needs = "is to be incremental" if days is None else "is exported by days"
        raise ConfigurationError(
            f"Stream {name} {needs} and has no replication key. Set "
            f"stream_options.{name}.replication_key to a date field."
        )
    kind = properties.get(key, {}).get("format")
    if kind not in {"date", "date-time"}:
        raise ConfigurationError(
            f"The replication key {key} of stream {name} is no date field. Set "
            f"stream_options.{name}.replication_key, or replication-key in the catalog, "
            "to one that is."
        )
    mark = bookmark(key) if is_incremental else Bookmark()
    if days is not None and mark.value is None and options.start_date is None:
        raise ConfigurationError(
            f"Stream {name} is exported by days on this API, and no first day is given: "
            "set start_date, or leave the stream out."
        )
    options = options.at_most_days(days)
    return Replication(key, mark, options, today, whole_days=kind == "date")
