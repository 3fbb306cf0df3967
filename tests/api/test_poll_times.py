from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demandbase_api.jobs.poll_times import JobSize, JobTimes, PollPolicy, seconds_to_next
from demandbase_api.models import DateRange, ExportRequest

POLICY = PollPolicy(interval_seconds=2, interval_max_seconds=60)
SIZE = JobSize("accounts", 1000)


@pytest.mark.parametrize(
    ("age", "shortest", "polls", "jitter", "seconds"),
    [
        # Nothing is known: at once, then at intervals that grow to the longest.
        (0, None, 0, 1, 0),
        (0, None, 1, 1, 2),
        (2, None, 2, 1, 3),
        (2, None, 2, 0.8, 2.4),
        (900, None, 12, 1, 60),
        (900, None, 2000, 0.8, 48),
        # Before the shortest time: then, however often the job has been polled.
        (0, 5, 0, 1, 5),
        (1.5, 5, 3, 0.8, 3.5),
        (0, 0, 0, 1, 0),
        # The longest interval counts then, too.
        (0, 300, 0, 1, 60),
        (0, 300, 0, 0.8, 48),
        (290, 300, 0, 1, 10),
        # From then on: an eighth of the interval, and growing.
        (5, 5, 1, 1, 0.25),
        (5.25, 5, 2, 1, 0.375),
        (5.25, 5, 2, 0.8, 0.3),
        (5 - 1e-9, 5, 1, 1, 0.25),
        # A call that began before and ended after: at once.
        (5.1, 5, 0, 1, 0),
        # Of a job that takes minutes, a fiftieth, up to the interval of other jobs.
        (50, 50, 1, 1, 1),
        (300, 300, 1, 1, 2),
        (900, 300, 20, 1, 60),
    ],
)
def test_the_next_poll(
    age: float, shortest: float | None, polls: int, jitter: float, seconds: float
) -> None:
    assert seconds_to_next(POLICY, age, shortest, polls, jitter) == pytest.approx(seconds)


@given(
    age=st.floats(0, 1e5),
    shortest=st.none() | st.floats(0, 1e5),
    polls=st.integers(0, 1000),
    jitter=st.floats(0.8, 1),
    first=st.floats(1, 600),
    longest=st.floats(1, 600),
)
def test_no_interval_is_longer_than_the_settings_say(
    age: float, shortest: float | None, polls: int, jitter: float, first: float, longest: float
) -> None:
    seconds = seconds_to_next(PollPolicy(first, longest), age, shortest, polls, jitter)
    assert 0 <= seconds <= max(first, longest)
    if shortest is not None and polls > 0:
        unknown = seconds_to_next(PollPolicy(first, longest), age, None, polls, jitter)
        assert seconds <= max(unknown, shortest - age)


@pytest.mark.parametrize(
    ("jobs", "size", "seconds"),
    [
        ([], SIZE, None),
        # A poll showed that it ran: it took at least that long. Without one, it may have been less.
        ([(SIZE, 4.0, 6.0)], SIZE, 4.0),
        ([(SIZE, None, 6.0)], SIZE, 3.0),
        ([(SIZE, 0.0, 6.0)], SIZE, 0.0),
        # The shortest of the latest three.
        ([(SIZE, 9.0, 9.1), (SIZE, 4.0, 6.0), (SIZE, 5.0, 6.0)], SIZE, 4.0),
        ([(SIZE, 4.0, 6.0)] + [(SIZE, 9.0, 9.1)] * 2, SIZE, 4.0),
        ([(SIZE, 4.0, 6.0)] + [(SIZE, 9.0, 9.1)] * 3, SIZE, 9.0),
        # Others of about this size: half as large, or twice as large and so maybe half as fast.
        ([(JobSize("accounts", 500), 4.0, 6.0)], SIZE, 4.0),
        ([(JobSize("accounts", 499), 4.0, 6.0)], SIZE, None),
        ([(JobSize("accounts", 2000), 4.0, 6.0)], SIZE, 2.0),
        ([(JobSize("accounts", 2001), 4.0, 6.0)], SIZE, None),
        ([(JobSize("people", 1000), 4.0, 6.0)], SIZE, None),
        # Jobs of another size in between change nothing.
        ([(SIZE, 4.0, 6.0)] + [(JobSize("accounts", 10), 1.0, 1.1)] * 9, SIZE, 4.0),
    ],
)
def test_the_shortest_time_of_a_size(
    jobs: list[tuple[JobSize, float | None, float]], size: JobSize, seconds: float | None
) -> None:
    times = JobTimes()
    for known, running, ended in jobs:
        times.add(known, running, ended)
    assert times.shortest(size) == seconds


def test_what_exports_are_compared_by() -> None:
    def size(start: date | None, **members: Any) -> JobSize:  # noqa: ANN401
        days = DateRange("updated", start, date(2026, 1, 10))
        request = ExportRequest("accounts", date_range=days)
        return JobSize.of_export(replace(request, **members))

    ten = size(date(2026, 1, 1))
    assert ten.amount == 10
    assert size(date(2026, 1, 1), ids=("a", "b")).amount == 20
    assert size(date(2026, 1, 1), fields=("name",)).kind == ten.kind
    others = [
        size(None),
        size(date(2026, 1, 1), ids=("a",)),
        size(date(2026, 1, 1), entity="people"),
        size(date(2026, 1, 1), account_lists=("1",)),
        size(date(2026, 1, 1), person_lists=("1",)),
        size(date(2026, 1, 1), report_type="x"),
        size(date(2026, 1, 1), sources=("x",)),
    ]
    assert len({each.kind for each in others} | {ten.kind}) == 8
    assert JobSize.of_export(ExportRequest("accounts")).amount == 1
    assert JobSize.of_import("accounts", 0).amount == 1
