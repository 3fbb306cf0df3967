from __future__ import annotations

from typing import Any

import pytest

from demandbase_sandbox import Sandbox, SandboxOptions
from tests.sandbox.uapi.conftest import Caller
from tests.sandbox.uapi.published import EXPORT, MAX_IDS, MAX_JOB_NAME

NAME, SCORE = "{Account}.name", "{Account}.engagement_score"
ACTIVITY = {"entityType": "activity"}
BUYERS = {"entityType": "accountBuyingGroup"}
AD = {"entityType": "campaign", "source": ["all"], "adReportType": "summary"}


def filtered(field: str, operator: str, *values: str) -> dict[str, Any]:
    return {"filters": [{"field": field, "operator": operator, "values": [*values]}]}


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"surprise": 1}, "400-147"),
        ({"limit": 10}, "400-147"),
        ({"accountListId": 1}, "400-147"),
        ({"entityType": "planet"}, "400-127"),
        ({"entityType": "Account"}, "400-127"),
        ({"jobName": "x" * (MAX_JOB_NAME + 1)}, "400-126"),
        ({"jobName": ""}, "400-126"),
        ({"format": "csv"}, "400-116"),
        ({"fields": ["{Account}.nope"]}, "400-115"),
        ({"fields": [NAME, NAME]}, "400-103"),
        ({"fields": []}, "400-103"),
        ({"fields": NAME}, "400-103"),
        ({**ACTIVITY}, "400-104"),
        ({**ACTIVITY, "fromDate": "2026-01-01"}, "400-112"),
        ({**ACTIVITY, "toDate": "2026-01-01"}, "400-112"),
        ({**ACTIVITY, "fromDate": "2026-01-02", "toDate": "2026-01-01"}, "400-113"),
        ({**ACTIVITY, "fromDate": "2026-01-01", "toDate": "2026-04-01"}, "400-114"),
        ({"fromDate": "01/02/2026", "toDate": "2026-01-01"}, "400-111"),
        ({"fromDate": "2026-02-30", "toDate": "2026-03-01"}, "400-111"),
        ({"fromDate": "2026-01-01T00:00:00", "toDate": "2026-03-01"}, "400-111"),
        ({**AD, "fromDate": "2026-01-01", "toDate": "2026-01-01"}, "400-137"),
        ({"entityType": "campaign", "adReportType": "summary"}, "400-104"),
        ({"entityType": "campaign", "source": ["all"]}, "400-104"),
        ({**AD, "adReportType": "nope"}, "400-139"),
        ({"adReportType": "summary"}, "400-139"),
        ({**AD, "source": ["newspaper"]}, "400-138"),
        ({**AD, "source": "all"}, "400-138"),
        ({"accountListIds": ["1"]}, "400-129"),
        ({"accountListIds": [9]}, "400-142"),
        ({"accountListIds": [*range(MAX_IDS + 1)]}, "400-145"),
        ({"entityType": "person", "personListIds": ["1"]}, "400-141"),
        ({"entityType": "person", "personListIds": [9]}, "400-143"),
        ({"entityType": "person", "personListIds": [*range(MAX_IDS + 1)]}, "400-146"),
        ({**BUYERS}, "400-149"),
        ({**BUYERS, "accountIds": ["one"]}, "400-148"),
        ({**BUYERS, "accountIds": [*range(MAX_IDS + 1)]}, "400-150"),
        ({"entityType": "personBuyingGroupMember"}, "400-149"),
        ({"accountIds": [1]}, "400-147"),
        ({**BUYERS, "companyIds": [1], "accountIds": [1]}, "400-147"),
        (filtered("{Account}.nope", "Equals", "x"), "400-115"),
        (filtered(NAME, "Is", "x"), "400-140"),
        (filtered(NAME, "Greater Than", "x"), "400-140"),
        (filtered(SCORE, "Contains", "1"), "400-140"),
        (filtered(SCORE, "Equals", "many"), "400-103"),
        (filtered(SCORE, "Between", "1"), "400-103"),
        (filtered("{Account}.renewal_date", "Less Than", "soon"), "400-111"),
        (filtered(NAME, "Equals"), "400-104"),
        ({"filters": [{"field": NAME}]}, "400-104"),
        ({"filters": [{"field": NAME, "operator": "Exists", "not": True}]}, "400-147"),
    ],
)
def test_a_wrong_job_is_rejected_by_its_code(
    api: Caller, members: dict[str, Any], code: str
) -> None:
    assert api.code({"entityType": "account", "jobName": "a job", **members}) == code
    assert api.sandbox.export_jobs() == []


@pytest.mark.parametrize("body", ["text", [1], None, 7])
def test_a_body_that_is_no_object_is_rejected(api: Caller, body: object) -> None:
    assert api.code(body) == "400-102"


@pytest.mark.parametrize("content", [b"{nope", b"\xff\xfe\xfd", b""])
def test_a_body_that_is_no_json_is_rejected(api: Caller, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = api("POST", f"{EXPORT}/job", headers, data=content)
    assert response.json()["errorCode"] == "400-102"


@pytest.mark.parametrize(("missing", "code"), [("entityType", "400-104"), ("jobName", "400-126")])
def test_a_required_member_is_missed_by_its_code(api: Caller, missing: str, code: str) -> None:
    body = {"entityType": "account", "jobName": "a job"}
    del body[missing]
    assert api.code(body) == code


def test_an_error_names_the_fields_that_are_unknown(api: Caller) -> None:
    body = {"entityType": "account", "jobName": "x", "fields": [NAME, "{Account}.a", "b"]}
    message = api("POST", f"{EXPORT}/job", json=body).json()["errorMessage"]
    assert message.endswith("{Account}.a, b")


def test_every_error_has_a_diagnostic_code_of_its_own(api: Caller) -> None:
    codes = {api("POST", f"{EXPORT}/job", json={}).json()["diagnosticCode"] for _ in range(3)}
    assert len(codes) == 3


@pytest.mark.parametrize("days", [("2026-01-01", "2026-03-31"), ("2026-01-01", "2026-01-01")])
def test_ninety_days_of_activities_are_taken(api: Caller, days: tuple[str, str]) -> None:
    assert api.create(entityType="activity", fromDate=days[0], toDate=days[1])


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("accountList", {"jobName": "x", "accountListId": 1, "accountListIds": [2]}, "400-144"),
        ("accountList", {"jobName": "x", "accountListIds": [9]}, "400-142"),
        ("accountList", {"jobName": "x", "accountListId": "1"}, "400-129"),
        ("accountList", {"accountListId": 1}, "400-126"),
        ("accountList", {"jobName": "x", "fields": []}, "400-147"),
        ("personList", {"jobName": "x", "personListIds": [9]}, "400-143"),
        ("personList", {"jobName": "x", "personListIds": ["1"]}, "400-141"),
        ("personList", {"jobName": "x"}, "400-104"),
    ],
)
def test_a_wrong_job_for_lists_is_rejected_by_its_code(
    api: Caller, path: str, body: dict[str, Any], code: str
) -> None:
    assert api.code(body, f"{EXPORT}/{path}/job") == code


@pytest.mark.parametrize(
    "path", ["accountlist/job", "accountList/Job", "personlist/job", "job/", "Jobs", "nope"]
)
def test_paths_are_taken_as_they_are_published(api: Caller, path: str) -> None:
    response = api("POST", f"{EXPORT}/{path}", json={"jobName": "x"})
    assert (response.status_code, response.json()["errorCode"]) == (404, "404-301")


def test_person_lists_can_be_left_open() -> None:
    with Sandbox(SandboxOptions(person_lists_need_ids=False)) as sandbox:
        assert Caller(sandbox).create(f"{EXPORT}/personList/job")
