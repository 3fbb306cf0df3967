"""Windows, bookmarks and the day that two windows share, as pure functions."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from tap_demandbase.bookmark import Bookmark, advance, read, write
from tap_demandbase.incremental import WindowOverlap
from tap_demandbase.windows import Window, cut_windows, format_timestamp, midnight, parse_timestamp

days = st.dates(date(2000, 1, 1), date(2030, 1, 1))
timestamps = st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1)).map(  # noqa: DTZ001
    lambda timestamp: timestamp.replace(tzinfo=UTC)
)


@given(st.none() | days, days, st.none() | st.integers(1, 4000))
def test_windows_cover_the_range_and_share_their_ends(
    start: date | None, end: date, window_days: int | None
) -> None:
    windows = cut_windows(start, end, window_days)
    if start is not None and start > end:
        assert windows == ()
        return
    assert (windows[0].start, windows[-1].end) == (start, end)
    assert [window.is_last for window in windows] == [False] * (len(windows) - 1) + [True]
    for window, following in itertools.pairwise(windows):
        assert window.end == following.start
        assert window.start is not None
        assert (window.end - window.start).days == window_days
    if start is None or window_days is None:
        assert len(windows) == 1


def test_the_last_of_days_has_an_end() -> None:
    assert cut_windows(date(9999, 12, 30), date.max, 5) == (
        Window(date(9999, 12, 30), date.max, is_last=True),
    )


@given(
    st.none() | timestamps, days, st.none() | timestamps, timestamps, st.booleans(), st.booleans()
)
def test_a_bookmark_never_goes_back_and_never_passes_its_job(
    previous: datetime | None,
    end: date,
    newest: datetime | None,
    created_at: datetime,
    whole_days: bool,  # noqa: FBT001
    is_last: bool,  # noqa: FBT001
) -> None:
    window = Window(None, end, is_last=is_last)
    result = advance(previous, window, newest, created_at, whole_days=whole_days)
    if previous is not None:
        assert result >= previous
    assert result <= created_at or result == previous
    state: dict[str, object] = {}
    write(state, "seen_at", result, end)
    again = read(state, "seen_at", "visits")
    assert again.value == result
    assert again.next_window == (end if result.date() == end else None)
    assert read(state, "other", "visits") == Bookmark()


@given(timestamps, timestamps, st.integers(-14, 14))
def test_timestamps_in_bookmarks_sort_as_texts(one: datetime, other: datetime, hours: int) -> None:
    there = one.astimezone(timezone(timedelta(hours=hours)))
    assert format_timestamp(there) == format_timestamp(one)
    assert parse_timestamp(format_timestamp(one)) == one
    assert (format_timestamp(one) < format_timestamp(other)) == (one < other)
    assert format_timestamp(midnight(one.date())) <= format_timestamp(one)


@given(st.lists(st.integers(0, 5)), st.lists(st.integers(0, 5)))
def test_a_row_of_both_windows_is_sent_once(first: list[int], second: list[int]) -> None:
    shared = WindowOverlap()
    shared.next_window()
    for value in first:
        assert not shared.already_sent({"v": value})
        shared.add({"v": value})
    shared.next_window()
    for _ in range(2):  # the second time after the window's job was replaced
        out = [value for value in second if not shared.already_sent({"v": value})]
        for value in set(second):
            assert out.count(value) == max(0, second.count(value) - first.count(value))
        shared.restart()


def test_what_is_remembered_is_bounded() -> None:
    shared = WindowOverlap(max_rows=10)
    for value in range(1000):
        shared.add({"v": value})
    shared.next_window()
    assert sum(shared.already_sent({"v": value}) for value in range(1000)) == 10
