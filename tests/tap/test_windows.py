"""Windows, bookmarks and the day that two windows share, as pure functions."""

from __future__ import annotations

import itertools
import logging
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demandbase_api.models import Entity
from tap_demandbase.bookmark import Bookmark, advance, read, write
from tap_demandbase.config import StreamOptions
from tap_demandbase.errors import StateError
from tap_demandbase.incremental import WindowedExport, WindowOverlap, with_first_day
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
    assert result.date() <= end or result == previous
    state: dict[str, object] = {}
    write(state, "seen_at", Bookmark(result, end, date(2030, 1, 1)))
    again = read(state, "seen_at", "visits")
    assert again == Bookmark(result, end, date(2030, 1, 1))
    del state["exported_on"]  # as in version 0.1.0
    again = read(state, "seen_at", "visits")
    assert again == (Bookmark(result, end) if result.date() == end else Bookmark(result))
    assert read(state, "other", "visits") == Bookmark()
    write(state, "seen_at", Bookmark(result))
    assert state["next_window"] is None
    assert read(state, "seen_at", "visits") == Bookmark(result)


@given(days, st.integers(0, 400), days, st.integers(1, 40), st.none() | st.integers(1, 90))
def test_the_first_window_of_a_resumed_run_passes_the_day_that_was_reached(
    reached: date, before: int, end: date, window_days: int, max_days: int | None
) -> None:
    start = reached - timedelta(days=before)
    windows = cut_windows(start, end, window_days, max_days=max_days, resume_at=reached)
    if start > end:
        assert windows == ()
        return
    assert (windows[0].start, windows[-1].end) == (start, end)
    for window, following in itertools.pairwise(windows):
        assert window.end == following.start
    lengths = [(window.end - (window.start or date.max)).days for window in windows]
    each = min(window_days, max_days or window_days)
    first = min(before + each, max_days or before + each)
    assert lengths[0] == min(first, (end - start).days)
    assert all(length == each for length in lengths[1:-1])
    assert all(length <= each for length in lengths[1:])


FIRST_DAY = date(2026, 1, 1)


def options(lookback_days: int, window_days: int | None, max_days: int | None) -> StreamOptions:
    return StreamOptions(
        key_properties=None,
        replication_key=None,
        account_list_id=None,
        lookback_days=lookback_days,
        lenient_numbers=False,
        window_days=window_days,
        start_date=midnight(FIRST_DAY),
        end_date=None,
        max_days=max_days,
    )


def run(
    mark: Bookmark, today: date, settings: StreamOptions, most: int | None
) -> tuple[Bookmark, list[Window]]:
    """Export some windows, or all; return the bookmark that a state keeps, and the windows."""
    export = WindowedExport("seen_at", mark, settings, today, whole_days=False)
    done = list(export.windows[:most])
    state: dict[str, object] = {"next_window": None}
    write(state, "seen_at", mark) if mark.value else None
    for window in done:
        export.start(window)
        write(state, "seen_at", export.advance(window, midnight(today) + timedelta(hours=12)))
    return read(state, "seen_at", "visits"), done


@given(
    st.integers(0, 5),
    st.none() | st.integers(1, 5),
    st.none() | st.integers(7, 10),
    st.none() | st.integers(0, 12),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=8),
)
def test_rows_that_arrive_within_the_look_back_are_exported_however_runs_are_interrupted(
    lookback_days: int,
    window_days: int | None,
    max_days: int | None,
    bookmarked: int | None,
    interrupted: list[tuple[int, int]],
) -> None:
    settings = options(lookback_days, window_days, max_days)
    today, mark = FIRST_DAY + timedelta(days=12), Bookmark()
    exports: list[tuple[Window, date]] = []
    if bookmarked is not None:
        day = FIRST_DAY + timedelta(days=bookmarked)
        mark = Bookmark(midnight(day) + timedelta(hours=5))
        exports.append((Window(None, day, is_last=True), day))
    for later, most in [*interrupted, (1, None), (lookback_days, None)]:
        today += timedelta(days=later)
        before = mark
        mark, done = run(mark, today, settings, most)
        exports += [(window, today) for window in done]
        if before.next_window is not None and mark.next_window is not None:
            assert mark.next_window >= before.next_window
    for age in range((today - FIRST_DAY).days - lookback_days + 1):
        day = FIRST_DAY + timedelta(days=age)
        arrives = day + timedelta(days=lookback_days)
        assert any(
            (window.start or date.min) <= day <= window.end and on >= arrives
            for window, on in exports
        )


@given(
    st.integers(0, 9), st.integers(1, 5), st.integers(0, 1), st.none() | timestamps, st.booleans()
)
def test_a_run_that_is_stopped_after_each_window_advances(
    lookback_days: int,
    window_days: int,
    days_between: int,
    value: datetime | None,
    ends_later: bool,  # noqa: FBT001
) -> None:
    settings = options(lookback_days, window_days, None)
    today, mark = FIRST_DAY + timedelta(days=20), Bookmark()
    if value is not None:
        mark = Bookmark(max(value, midnight(FIRST_DAY)))
    if ends_later:
        settings = replace(settings, end_date=today + timedelta(days=10))
    for _ in range(100):
        before, today = mark, today + timedelta(days=days_between)
        mark, windows = run(mark, today, settings, 1)
        if not windows or windows[0].is_last:
            break
        if before.next_window is not None:
            assert mark.next_window == before.next_window + timedelta(days=window_days)
    else:
        # One day a day never catches up, as without an interruption.
        assert days_between == window_days == 1


def test_the_state_of_an_earlier_version_is_resumed_at_its_window() -> None:
    settings = options(3, 2, None)
    mark = Bookmark(midnight(date(2026, 1, 9)), date(2026, 1, 9))
    export = WindowedExport("seen_at", mark, settings, date(2026, 1, 10), whole_days=False)
    assert export.windows == (Window(date(2026, 1, 9), date(2026, 1, 10), is_last=True),)
    days = date(2026, 1, 9), date(2026, 1, 10)
    export = WindowedExport(
        "seen_at", Bookmark(mark.value, *days), settings, date(2026, 1, 11), whole_days=False
    )
    assert export.windows == (Window(date(2026, 1, 7), date(2026, 1, 11), is_last=True),)


def test_a_job_of_an_earlier_day_counts_as_exported_then() -> None:
    export = WindowedExport(
        "seen_at", Bookmark(), options(3, 2, None), date(2026, 1, 9), whole_days=False
    )
    first, second = export.windows[:2]
    created = midnight(date(2026, 1, 8)) + timedelta(hours=23)
    assert export.advance(first, created).exported_on == date(2026, 1, 8)
    assert export.advance(second, midnight(date(2026, 1, 9))).exported_on == date(2026, 1, 8)


def test_the_look_back_of_the_next_run_counts_from_the_oldest_job() -> None:
    export = WindowedExport(
        "seen_at", Bookmark(), options(3, 2, None), date(2026, 1, 9), whole_days=False
    )
    created = midnight(date(2026, 1, 9))
    newest = created + timedelta(days=1, hours=20)  # of the last job, which waited for the quota
    for window in export.windows:
        export.start(window)
        export.record_values(newest)
        mark = export.advance(window, newest if window.is_last else created)
    assert mark == Bookmark(created)


@pytest.mark.parametrize("member", ["partitions", "progress_markers"])
def test_a_member_that_the_sdk_cannot_read_is_named(member: str) -> None:
    with pytest.raises(StateError, match=f"stream visits cannot be read: {member} must be"):
        read({member: 5}, None, "visits")


def test_a_time_that_the_calendar_lacks_is_no_timestamp() -> None:
    for text in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00"):
        with pytest.raises(ValueError):  # noqa: PT011 - it has no text
            parse_timestamp(text)


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


@pytest.mark.parametrize(
    ("max_days", "mark", "start", "end", "expected"),
    [
        (89, None, None, None, "2026-03-03"),
        (89, None, None, "2026-05-01", "2026-02-01"),
        (89, None, None, "0001-02-01", "0001-01-01"),
        (89, None, "2020-01-01", None, "2020-01-01"),
        (89, "2026-05-01", None, None, None),
        (None, None, None, None, None),
    ],
)
def test_an_entity_that_is_exported_by_days_begins_with_the_days_of_one_job(
    max_days: int | None, mark: str | None, start: str | None, end: str | None, expected: str | None
) -> None:
    entity = Entity("activities", "", (), max_days=max_days)
    begun = Bookmark(None if mark is None else parse_timestamp(mark))
    settings = replace(
        options(0, None, None),
        start_date=None if start is None else parse_timestamp(start),
        end_date=None if end is None else date.fromisoformat(end),
    )
    logger = logging.getLogger("test")
    found = with_first_day(entity, begun, settings, date(2026, 5, 31), logger)
    assert found.start_date == (None if expected is None else parse_timestamp(expected))
    assert found.max_days == max_days


def test_what_is_remembered_is_bounded() -> None:
    shared = WindowOverlap(max_rows=10)
    for value in range(1000):
        shared.add({"v": value})
    shared.next_window()
    assert sum(shared.already_sent({"v": value}) for value in range(1000)) == 10
