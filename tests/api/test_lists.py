"""Pages of lists: all are read, and none for ever."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from demandbase_api.errors import ApiOperation, UnexpectedResponseError
from demandbase_api.http import lists
from demandbase_api.http.lists import ListReader, Page, read_page
from demandbase_api.models import JobStatus
from demandbase_api.v1.schemas import export_job
from tests.api.fake_exports import FakeClock

LIST = ApiOperation.LIST_EXPORTS


class Pages:
    """A list whose pages are given, or made by a function of number and offset."""

    def __init__(self, pages: Sequence[Page] | Callable[[int, int], Page]) -> None:
        self._pages = pages
        self.calls: list[tuple[int, int]] = []

    def __call__(self, number: int, received: int) -> Page:
        self.calls.append((number, received))
        if callable(self._pages):
            return self._pages(number, received)
        return self._pages[number] if number < len(self._pages) else Page([], None)


def jobs(*ids: object, **members: object) -> list[object]:
    return [{"id": number, "status": "completed", **members} for number in ids]


def ids(pages: Pages, *, complete: bool = False) -> list[str]:
    found = ListReader("export").jobs(LIST, pages, "id", export_job, complete=complete)
    return [job.id for job in found]


def sliced(items: Sequence[object], size: int, total: int | None = None) -> Pages:
    return Pages(lambda _number, received: Page(list(items[received : received + size]), total))


@pytest.mark.parametrize("total", [None, 7])
@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_all_pages_are_read(size: int, total: int | None) -> None:
    pages = sliced(jobs(*range(7)), size, total)
    assert ids(pages, complete=True) == [str(number) for number in range(7)]
    assert len(pages.calls) == -(-7 // size) + (total is None)


@pytest.mark.parametrize("total", [None, 3, 1_000_000])
@pytest.mark.parametrize("has_all", [True, False])
def test_a_list_that_ignores_the_offset_ends(
    total: int | None, *, has_all: bool, caplog: pytest.LogCaptureFixture
) -> None:
    listed = jobs(1, 2, 3) if has_all else jobs(1, 2)
    pages = Pages(lambda _number, _received: Page(listed, total))
    with caplog.at_level(logging.WARNING):
        assert ids(pages) == [str(number) for number in range(1, len(listed) + 1)]
    if has_all and total == 3:
        assert len(pages.calls) == 1
        assert not caplog.records
    else:
        assert len(pages.calls) == 3
        assert "gave the same items on further pages" in caplog.text


def test_a_list_that_must_be_complete_raises_after_the_items_that_were_read() -> None:
    pages = Pages(lambda _number, _received: Page(jobs(1, 2), None))
    found = ListReader("export").jobs(LIST, pages, "id", export_job, complete=True)
    assert [next(found).id, next(found).id] == ["1", "2"]
    with pytest.raises(UnexpectedResponseError, match="the same items on further pages"):
        next(found)


def test_offsets_that_begin_again_end(caplog: pytest.LogCaptureFixture) -> None:
    listed = [jobs(1, 2), jobs(3, 4), jobs(5)]
    pages = Pages(lambda number, _received: Page(listed[number % 3], None))
    assert ids(pages) == ["1", "2", "3", "4", "5"]
    assert len(pages.calls) == 5
    assert "the same items" in caplog.text


@pytest.mark.parametrize(("size", "calls"), [(1, 50), (10, 50), (100, 6)])
def test_a_list_without_end_has_one(monkeypatch: pytest.MonkeyPatch, size: int, calls: int) -> None:
    monkeypatch.setattr(lists, "MAX_PAGES", 50)
    monkeypatch.setattr(lists, "PAGE_SIZE", 10)
    pages = Pages(lambda _number, received: Page(jobs(*range(received, received + size)), None))
    with pytest.raises(UnexpectedResponseError, match="in 50 pages or 500 items"):
        ids(pages)
    assert len(pages.calls) == calls


def test_a_job_that_moves_to_the_next_page_does_not_end_the_list() -> None:
    def page(number: int, received: int) -> Page:
        listed = jobs(1, 2, 3, 4) if number == 0 else jobs("new", 1, 2, 3, 4)
        return Page(listed[received : received + 1], None)

    assert ids(Pages(page)) == ["1", "2", "3", "4"]


def test_pages_that_are_short_of_the_total_are_read_three_times(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pages = sliced(jobs(1, 2, 3), 2, total=4)
    assert ids(pages) == ["1", "2", "3"]
    assert len(pages.calls) == 3 * 3
    assert not caplog.records
    assert ids(pages, complete=True) == ["1", "2", "3"]
    assert "lists fewer items than it counts" in caplog.text


def row_errors(*rows: object) -> list[object]:
    return [{"row_number": row, "message": "bad"} for row in rows]


def items(pages: Pages, *, complete: bool = False) -> Iterable[object]:
    reader = ListReader("import")
    return list(reader.items(LIST, pages, number="row_number", complete=complete))


def test_equal_items_are_others_as_long_as_the_total_says_so() -> None:
    equal = row_errors(*[None] * 10)
    assert items(sliced(equal, 2, total=10)) == equal


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("total", [None, 1_000_000])
def test_row_errors_that_ignore_the_offset_end(total: int | None, *, complete: bool) -> None:
    pages = Pages(lambda _number, _received: Page(row_errors(1, 2), total))
    if complete:
        with pytest.raises(UnexpectedResponseError, match="the same items"):
            items(pages, complete=True)
    else:
        assert items(pages) == row_errors(1, 2)
    assert len(pages.calls) == 3


def test_a_list_that_takes_long_is_logged_every_ten_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()

    def page(_number: int, received: int) -> Page:
        clock.time += 4
        return Page(jobs(*range(7))[received : received + 1], 7)

    reader = ListReader("import", clock=clock)
    with caplog.at_level(logging.INFO):
        found = reader.jobs(LIST, Pages(page), "id", export_job, complete=False)
        assert len(list(found)) == 7
    assert [record.getMessage() for record in caplog.records] == [
        f"Demandbase was asked to list the export jobs, and has sent {pages} items on {pages} "
        "pages so far"
        for pages in (3, 6)
    ]


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ({"id": None}, "left out the member “id”"),
        ({"id": ["x"]}, "“id” that cannot be read"),
        ({"status": None}, "left out the member “status”"),
        ({"status": 3}, "“status” that cannot be read"),
        ({"file_parts": "2"}, "“file_parts” that cannot be read"),
        (None, "other than an object"),
    ],
)
def test_a_job_that_cannot_be_read_is_left_out_with_one_warning(
    odd: dict[str, Any] | None, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = odd if odd is None else {**dict(jobs("x")[0]), **odd}  # type: ignore[call-overload]
    reader = ListReader("export")
    for _ in range(2):
        pages = sliced([*jobs(1), foreign, *jobs(2), foreign], 2)
        found = reader.jobs(LIST, pages, "id", export_job, complete=False)
        assert [job.id for job in found] == ["1", "2"]
    [record] = caplog.records
    assert said in record.getMessage()


def test_the_status_of_a_job_may_be_unknown(caplog: pytest.LogCaptureFixture) -> None:
    reader = ListReader("export")
    for _ in range(2):
        pages = Pages([Page([*jobs(1, 2, status="Expired"), *jobs(3, status="on hold")], 3)])
        found = list(reader.jobs(LIST, pages, "id", export_job, complete=False))
    assert {job.status for job in found} == {JobStatus.UNKNOWN}
    assert [job.status_text for job in found] == ["Expired", "Expired", "on hold"]
    assert [record.getMessage() for record in caplog.records] == [
        "The export job 1 has the unknown status “Expired”: it counts as not ended",
        "The export job 3 has the unknown status “on hold”: it counts as not ended",
    ]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ({"jobs": [1], "total": 5}, Page([1], 5)),
        ({"jobs": [1]}, Page([1], None)),
        ({"jobs": [1], "total": -1}, Page([1], None)),
        ({"jobs": [1], "total": "5"}, Page([1], None)),
        ({"jobs": [1], "total": True}, Page([1], None)),
        ({"jobs": [], "total": 0}, Page([], 0)),
        ({"jobs": None, "total": 0}, Page([], 0)),
        ({"total": 0}, Page([], 0)),
        ({"jobs": None, "total": 3}, "left out"),
        ({"jobs": None}, "left out"),
        ({"error": "later"}, "left out"),
        ({}, "left out"),
        ({"jobs": "none", "total": 0}, "cannot be read"),
    ],
)
def test_the_items_of_a_page_must_not_be_missing(
    response: dict[str, Any], expected: Page | str
) -> None:
    if isinstance(expected, str):
        with pytest.raises(UnexpectedResponseError, match=f"{expected}.*list the export jobs"):
            read_page(LIST, response, "jobs", "total")
    else:
        assert read_page(LIST, response, "jobs", "total") == expected


def test_a_last_page_of_jobs_that_moved_is_the_end() -> None:
    pages = Pages([Page(jobs(1, 2), 2 + 1), Page(jobs(2), 2 + 1)])
    assert ids(pages) == ["1", "2"]
    assert len(pages.calls) == 3
