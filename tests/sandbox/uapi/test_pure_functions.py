from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demandbase_sandbox.exceptions import ApiError
from demandbase_sandbox.uapi.errors import ERROR_CODES, coded_error
from demandbase_sandbox.uapi.export_query import ExportQuery, requested_range
from demandbase_sandbox.uapi.exports import UapiExportJob, job_page
from tests.sandbox.uapi.published import MAX_ACTIVITY_DAYS

days = st.dates(date(2000, 1, 1), date(2100, 1, 1))


@given(days, st.integers(0, 200), st.booleans())
def test_an_activity_range_has_at_most_ninety_days(first: date, span: int, inclusive: bool) -> None:  # noqa: FBT001
    last = first + timedelta(days=span)

    def ask() -> tuple[str, str] | None:
        return requested_range("activity", str(first), str(last), inclusive=inclusive)

    if span + 1 > MAX_ACTIVITY_DAYS:
        with pytest.raises(ApiError) as caught:
            ask()
        assert caught.value.code == "400-114"
    else:
        assert ask() == (str(first), str(last + timedelta(days=inclusive)))


@given(days, days)
def test_a_range_is_rejected_exactly_if_it_ends_before_it_begins(first: date, last: date) -> None:
    if first <= last:
        assert requested_range("account", str(first), str(last), inclusive=True) is not None
    else:
        with pytest.raises(ApiError):
            requested_range("account", str(first), str(last), inclusive=True)


@given(st.integers(0, 40), st.integers(1, 15), st.sampled_from(["ascending", "descending"]))
def test_the_pages_of_a_list_hold_every_job_once(count: int, size: int, sort: str) -> None:
    jobs = [_job(number) for number in reversed(range(count))]
    asked = {"entityType": "All", "jobStatus": "All", "sort": sort, "perPage": str(size)}
    found: list[str] = []
    for page in range(1, count // size + 2):
        response = job_page(jobs, {**asked, "page": str(page)}, 100, int)
        assert response.total_count == count
        found += [job.job_id for job in response.data]
    in_order = [str(number) for number in range(count)]
    assert found == (in_order if sort == "ascending" else in_order[::-1])


@given(st.integers(1, 1000))
def test_a_page_is_never_larger_than_the_largest(size: int) -> None:
    jobs = [_job(number) for number in range(30)]
    asked = {
        "entityType": "All", "jobStatus": "All", "sort": "descending", "page": "1",
        "perPage": str(size),
    }  # fmt: skip
    response = job_page(jobs, asked, 20, int)
    assert response.page_size == min(size, 20) >= len(response.data)


@pytest.mark.parametrize("code", ERROR_CODES)
def test_a_code_begins_with_its_status(code: str) -> None:
    error = coded_error(code, "a detail")
    assert code.startswith(f"{error.status}-")
    assert error.message.endswith("a detail")


def _job(number: int) -> UapiExportJob:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return UapiExportJob(
        id=str(number),
        entity_type="accounts",
        status="finished",
        created_at=moment,
        updated_at=moment,
        published_type="account",
        name="x",
        request={},
        query=ExportQuery("accounts", (), (), (), "1", ()),
    )
