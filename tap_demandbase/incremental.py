"""Date windows of an export, and the rows of each window that are sent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from demandbase_api.errors import ConfigurationError
from tap_demandbase import bookmark
from tap_demandbase.bookmark import Bookmark
from tap_demandbase.windows import Window, cut_windows, midnight, parse_timestamp

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from datetime import datetime

    from demandbase_api.models import Entity
    from tap_demandbase.config import StreamOptions


MAX_OVERLAP_ROWS = 200_000
"""About 30 MB. Rows beyond the limit are sent twice, which a loader with a key merges."""

TOLERANCE = timedelta(days=1)
"""Rows may be so far outside of the requested days, since the server may use another time zone."""


@dataclass(slots=True)
class FilteredRows:
    """Numbers of a job's rows by their date.

    Args:
        key: The date field.
        window: The window of the job.
        before: Rows before the first day of the run, which are not sent.
        repeated: Rows that the previous window sent, which are not sent again.
        far: Rows that are further outside of the requested days than ``TOLERANCE``, sent or not.
    """

    key: str
    window: Window
    before: int = 0
    repeated: int = 0
    far: int = 0

    @property
    def left_out(self) -> int:
        """Rows that are not sent."""
        return self.before + self.repeated


class WindowedExport:
    """A run of a stream that requests a range of dates, window by window.

    It serves incremental streams, and full exports of entities that Demandbase exports by days.

    Args:
        key: The date field: the replication key, or the field that the entity is exported by.
        mark: The bookmark to start from.
        options: The stream's settings.
        today: Current date in UTC.
        whole_days: Whether the key's values are dates without a time.
    """

    def __init__(
        self, key: str, mark: Bookmark, options: StreamOptions, today: date, *, whole_days: bool
    ) -> None:
        self.key = key
        self.mark = mark
        self.rows_without_value = 0
        self.whole_days = whole_days
        self._overlap = WindowOverlap()
        oldest = _oldest(mark, options)
        if oldest is not None and whole_days:
            oldest = midnight(oldest.date())
        self.oldest = oldest
        """Rows before this time are not sent; ``None`` for no limit."""
        self._exported_on = today
        self._oldest_job: datetime | None = None
        self._has_end = options.end_date is not None
        self.windows = cut_windows(
            None if oldest is None else oldest.date(),
            options.end_date or today,
            options.window_days,
            max_days=options.max_days,
            resume_at=mark.next_window,
        )
        self._window: Window | None = None
        self._newest: datetime | None = None
        self._filtered: FilteredRows | None = None

    def start(self, window: Window) -> FilteredRows:
        """Start a window, or restart the current one with the rows of another job.

        Returns:
            The numbers of the job's rows, which are counted while they are filtered.
        """
        if window is self._window:
            self._overlap.restart()
        else:
            self._overlap.next_window()
        self._window = window
        self._newest = None
        self._filtered = FilteredRows(self.key, window)
        return self._filtered

    @property
    def tolerated(self) -> tuple[datetime | None, datetime | None]:
        """The first time that is not far outside of the requested days, and the first after it."""
        window = self._window
        if window is None or (window.start is None and not self._has_end):
            return None, None  # no days are requested
        start = None if window.start is None else _shifted(midnight(window.start), -TOLERANCE)
        return start, _shifted(midnight(window.end), TOLERANCE + timedelta(days=1))

    def count(self, *, before: int = 0, repeated: int = 0, far: int = 0) -> None:
        """Count rows of the window's job; see ``FilteredRows``."""
        if self._filtered is not None:
            self._filtered.before += before
            self._filtered.repeated += repeated
            self._filtered.far += far

    def accepts(self, record: Mapping[str, Any]) -> bool:
        """Return whether a record is sent, and record its value of the key."""
        text = record[self.key]
        if text is None:
            self.rows_without_value += 1
            return True
        timestamp = parse_timestamp(text)
        first, stop = self.tolerated
        if (first is not None and timestamp < first) or (stop is not None and timestamp >= stop):
            self.count(far=1)
        if self.oldest is not None and timestamp < self.oldest:
            self.count(before=1)
            return False
        self.record_values(timestamp)
        return self.is_new(record, timestamp.date())

    def is_new(self, record: Mapping[str, Any], day: date) -> bool:
        """Return whether the previous window has not sent a record, and remember it for the next.

        Args:
            record: A record that is not before the first day of the run.
            day: Day of its value of the key.
        """
        window = self._window
        if window is not None:
            if day == window.start and self._overlap.already_sent(record):
                self.count(repeated=1)
                return False
            if day == window.end and not window.is_last:
                self._overlap.add(record)
        return True

    def record_values(self, newest: datetime | None, *, without_value: int = 0) -> None:
        """Record the key's values of rows of the window.

        Args:
            newest: The greatest value; ``None`` if no row has one.
            without_value: Number of rows without a value.
        """
        self.rows_without_value += without_value
        if newest is not None and (self._newest is None or newest > self._newest):
            self._newest = newest

    @property
    def overlap_days(self) -> set[date]:
        """The days of the window whose rows must go through ``is_new`` one by one."""
        window = self._window
        if window is None:
            return set()
        days: set[date] = set()
        if window.start is not None and self._overlap.has_rows:
            days.add(window.start)
        if not window.is_last:
            days.add(window.end)
        return days

    def advance(self, window: Window, created_at: datetime) -> Bookmark:
        """Return the bookmark after a window whose rows have all been sent.

        Args:
            window: The window.
            created_at: Creation time of the job that exported it.
        """
        # Rows may have arrived late between two jobs: the look-back counts from the older one.
        oldest_job = min(self._oldest_job or created_at, created_at)
        self._oldest_job = oldest_job
        value = bookmark.advance(
            self.mark.value, window, self._newest, oldest_job, whole_days=self.whole_days
        )
        # A job that was reused may be of an earlier day.
        self._exported_on = min(self._exported_on, oldest_job.date())
        next_window, exported_on = window.end, self._exported_on
        if (reached := self.mark.next_window) is not None and next_window < reached:
            # The windows before have been exported again only in part.
            next_window, exported_on = reached, self.mark.exported_on or self._exported_on
        self.mark = Bookmark(value) if window.is_last else Bookmark(value, next_window, exported_on)
        return self.mark

    def warn_without_value(self, stream: str, logger: logging.Logger) -> None:
        """Log how many rows had no value of the key, if any."""
        if self.rows_without_value:
            logger.warning(
                "%d records of stream %s have no %s: they were sent and do not advance the "
                "bookmark",
                self.rows_without_value,
                stream,
                self.key,
            )


def date_key(
    entity: Entity, options: StreamOptions, replication_key: str | None, *, is_incremental: bool
) -> str | None:
    """Return the field whose dates bound a stream's jobs; ``None`` if nothing bounds them.

    Raises:
        ConfigurationError: Dates must bound them, and no field is known.
    """
    if is_incremental:
        key, reason = replication_key, "is incremental"
    elif entity.max_days is None:
        return None
    else:
        key, reason = options.replication_key or entity.date_field, "is exported by days"
    if not key:
        raise ConfigurationError(
            f"Stream {entity.name} {reason} and has no replication key. Set "
            f"stream_options.{entity.name}.replication_key to a date field."
        )
    return key


def has_whole_days(stream: str, key: str, properties: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether a key's values are dates without a time.

    Args:
        stream: Name of the stream, for messages.
        key: The field.
        properties: JSON Schema by property.

    Raises:
        ConfigurationError: The key is no date field.
    """
    match properties.get(key, {}).get("format"):
        case "date":
            return True
        case "date-time":
            return False
        case _:
            raise ConfigurationError(
                f"The replication key {key} of stream {stream} is no date field. Set "
                f"stream_options.{stream}.replication_key, or replication-key in the catalog, "
                "to a date field."
            )


def with_first_day(
    entity: Entity, mark: Bookmark, options: StreamOptions, today: date, logger: logging.Logger
) -> StreamOptions:
    """Return the options with the limits of an entity that is exported by days.

    Without a bookmark and a start date, it is exported from the first day that one job reaches.

    Args:
        entity: The entity.
        mark: The bookmark to start from.
        options: The stream's settings.
        today: Current date in UTC.
        logger: Receives the first day that the settings do not give.
    """
    days = entity.max_days
    if days is None:
        return options
    if mark.value is None and options.start_date is None:
        end = options.end_date or today
        first = end - timedelta(days=min(days, (end - date.min).days))
        logger.info(
            "Stream %s begins on %s, %d days back, since start_date is not set",
            entity.name,
            first,
            days,
        )
        options = replace(options, start_date=midnight(first))
    return replace(options, max_days=days)


class WindowOverlap:
    """Rows of the day that two consecutive windows share.

    A row is identified by a digest of all its values, so that a row that changed between the two
    jobs is sent again.

    Args:
        max_rows: Maximum number of digests in memory.
    """

    def __init__(self, max_rows: int = MAX_OVERLAP_ROWS) -> None:
        self._max_rows = max_rows
        self._previous: dict[bytes, int] = {}
        self._matched: dict[bytes, int] = {}
        self._current: dict[bytes, int] = {}

    def next_window(self) -> None:
        """Start a window: it shares a day with the one before."""
        self._previous, self._matched, self._current = self._current, {}, {}

    def restart(self) -> None:
        """Restart the current window, with the rows of another job."""
        self._matched, self._current = {}, {}

    @property
    def has_rows(self) -> bool:
        """Whether the previous window has rows of the shared day."""
        return bool(self._previous)

    def add(self, record: Mapping[str, Any]) -> None:
        """Add a row of the window's last day, which is sent."""
        digest = _digest(record)
        if digest in self._current or len(self._current) < self._max_rows:
            self._current[digest] = self._current.get(digest, 0) + 1

    def already_sent(self, record: Mapping[str, Any]) -> bool:
        """Return whether the previous window sent this row; each of its rows matches once."""
        if not self._previous:
            return False
        digest = _digest(record)
        matched = self._matched.get(digest, 0)
        if matched >= self._previous.get(digest, 0):
            return False
        self._matched[digest] = matched + 1
        return True


def _digest(record: Mapping[str, Any]) -> bytes:
    return hashlib.blake2b(repr(list(record.values())).encode(), digest_size=16).digest()


def _oldest(mark: Bookmark, options: StreamOptions) -> datetime | None:
    """Return the time before which no row is sent; ``None`` for no limit.

    Data arrives up to ``lookback_days`` late. A run that is resumed exports again what the
    interrupted run may have exported too early, as the run after a complete one does.
    """
    start = options.start_date
    if mark.value is None:
        return start
    exported_until = mark.value
    if mark.next_window is not None:
        if mark.exported_on is None:
            return midnight(mark.next_window)
        exported_until = midnight(mark.exported_on)
    try:
        oldest = exported_until - timedelta(days=options.lookback_days)
    except OverflowError:
        return start
    if mark.next_window is not None:
        oldest = min(oldest, midnight(mark.next_window))
    # The look-back does not reach behind the start date.
    return start if start is not None and oldest < start <= mark.value else oldest


def _shifted(timestamp: datetime, by: timedelta) -> datetime | None:
    """Return a timestamp some time later; ``None`` if the calendar ends before."""
    try:
        return timestamp + by
    except OverflowError:
        return None
