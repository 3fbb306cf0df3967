"""Which days an incremental run asks for, and which of the rows go out."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tap_demandbase import bookmark
from tap_demandbase.moment import midnight, parse
from tap_demandbase.overlap import SharedDay
from tap_demandbase.windows import Window, cut

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from datetime import date, datetime

    from tap_demandbase.bookmark import Bookmark
    from tap_demandbase.stream_options import StreamOptions


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
        self._shared = SharedDay()
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
            if day == window.start and self._shared.has_gone_out(record):
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
