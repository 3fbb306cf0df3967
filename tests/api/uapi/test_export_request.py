from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demandbase_api.errors import ConfigurationError
from demandbase_api.models import DateRange, ExportRequest
from demandbase_api.uapi.entities import BY_NAME
from demandbase_api.uapi.exports import job_name, request_body

DAYS = DateRange("{Account}.seen", date(2026, 1, 1), date(2026, 1, 31))


def members(request: ExportRequest) -> dict[str, object]:
    body = request_body(request, "0123abcd")
    assert body.pop("jobName") == f"{job_name(request)} 0123abcd"
    return body


def test_activities_are_scoped_by_from_and_to() -> None:
    body = members(ExportRequest("activities", ("{Activity}.id",), DAYS))
    assert body == {
        "entityType": "activity",
        "fields": ["{Activity}.id"],
        "format": "CSV",
        "fromDate": "2026-01-01",
        "toDate": "2026-01-31",
    }


def test_other_entities_are_scoped_by_filters_that_include_the_whole_last_day() -> None:
    assert members(ExportRequest("accounts", ("{Account}.id",), DAYS))["filters"] == [
        {
            "field": "{Account}.seen",
            "operator": "Greater Than or Equal To",
            "values": ["2026-01-01"],
        },
        {"field": "{Account}.seen", "operator": "Less Than", "values": ["2026-02-01"]},
    ]


def test_a_list_has_a_body_of_its_own() -> None:
    request = ExportRequest("account_list_members", ("accountId",), account_lists=("7", "3", "7"))
    assert members(request) == {"accountListIds": [3, 7]}


def test_advertising_comes_from_all_sources_unless_one_is_chosen() -> None:
    every = ExportRequest("campaigns", ("campaignId",), report_type="summary")
    assert members(every)["source"] == ["all"]
    one = ExportRequest("campaigns", ("campaignId",), report_type="summary", sources=("google",))
    assert members(one)["source"] == ["google"]
    assert members(one)["adReportType"] == "summary"


@pytest.mark.parametrize("entity", BY_NAME)
def test_the_name_of_a_job_fits_and_is_the_same_for_the_same_request(entity: str) -> None:
    one = ExportRequest(entity, ("a", "b"), account_lists=("1", "2"))
    same = ExportRequest(entity, ("b", "a"), account_lists=("2", "1"))
    assert job_name(one) == job_name(same)
    assert len(request_body(one, "0123abcd")["jobName"]) <= 50
    assert entity in job_name(one)


REQUESTS = st.builds(
    ExportRequest,
    entity=st.sampled_from(["accounts", "people"]),
    fields=st.sets(st.sampled_from("abc")).map(lambda names: tuple(sorted(names))),
    date_range=st.none()
    | st.builds(
        DateRange,
        field=st.sampled_from("ab"),
        start=st.none() | st.dates(date(2026, 1, 1), date(2026, 1, 3)),
        end=st.dates(date(2026, 1, 3), date(2026, 1, 5)),
    ),
    account_lists=st.sets(st.sampled_from("123")).map(lambda ids: tuple(sorted(ids))),
)


@given(one=REQUESTS, other=REQUESTS)
def test_jobs_have_the_same_name_only_for_equal_requests(
    one: ExportRequest, other: ExportRequest
) -> None:
    assert (job_name(one) == job_name(other)) == (one == other)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (ExportRequest("accounts", account_lists=("list-1",)), "whole numbers"),
        (ExportRequest("people", person_lists=tuple(map(str, range(10_001)))), "at most 10,000"),
        (
            ExportRequest("activities", date_range=DateRange("x", None, date(2026, 1, 1))),
            "set start_date",
        ),
        (ExportRequest("accounts", sources=("google",)), r"accounts\.source is for advertising"),
    ],
)
def test_an_impossible_request_is_reported(request_: ExportRequest, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        request_body(request_, "0123abcd")
