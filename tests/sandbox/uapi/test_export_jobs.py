from __future__ import annotations

import json

import pytest
import requests

from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tests.sandbox.uapi.conftest import Caller, rows_of
from tests.sandbox.uapi.published import CREATED_JOB, EXPORT, JOB_PAGE, JOB_STATUS, LISTED_JOB

pytestmark = pytest.mark.thorough

DAY = 24 * 3600
NAMES = ["{Account}.account_id", "{Account}.name"]


def test_a_job_lives_by_the_clock_and_ends_in_a_signed_link() -> None:
    with Sandbox(SandboxOptions(pending_seconds=60, processing_seconds=60)) as sandbox:
        api = Caller(sandbox)
        body = {"entityType": "account", "jobName": "x", "fields": NAMES}
        created = api("POST", f"{EXPORT}/job", json=body)
        assert (created.status_code, created.json().keys()) == (202, CREATED_JOB)
        job_id = created.json()["jobId"]
        states = []
        for _ in range(3):
            job = api.status(job_id)
            assert job.keys() == JOB_STATUS
            states.append((job["jobStatus"], bool(job["resultsUrl"]), job["message"]))
            sandbox.clock.advance(61)
        assert states == [
            ("accepted", False, None),
            ("processing", False, None),
            ("finished", True, None),
        ]
        link = api.status(job_id)["resultsUrl"]
        assert link.startswith(sandbox.files_url)
        rows = rows_of(requests.get(link, timeout=10).content)
        assert [*rows[0]] == NAMES
        assert len(rows) == 200
        headers = {"Authorization": f"Bearer {sandbox.token}"}
        assert requests.get(link, headers=headers, timeout=10).status_code == 400


def test_a_link_ends_after_a_day_and_the_job_gives_a_new_one(api: Caller) -> None:
    job_id = api.create(entityType="account")
    link = api.status(job_id)["resultsUrl"]
    api.sandbox.clock.advance(DAY - 5)
    assert requests.get(link, timeout=10).status_code == 200
    api.sandbox.clock.advance(6)
    assert requests.get(link, timeout=10).status_code == 403
    assert requests.get(api.status(job_id)["resultsUrl"], timeout=10).status_code == 200


def test_an_unknown_job_is_404_with_its_code(api: Caller) -> None:
    response = api("GET", f"{EXPORT}/job/nope")
    assert (response.status_code, response.json()["errorCode"]) == (404, "404-302")


def test_both_apis_show_the_same_rows(api: Caller) -> None:
    rows = [{"account_id": "a-1", "name": 'The "One"'}, {"account_id": "a-2"}]
    api.sandbox.put_rows("accounts", rows)
    found = api.export(entityType="account", fields=["{Account}.id", *NAMES])
    assert [list(row.values()) for row in found] == [["1", "a-1", 'The "One"'], ["2", "a-2", ""]]


def test_a_row_shows_the_account_and_person_it_belongs_to(api: Caller) -> None:
    fields = ["{Activity}.id", "{Activity}.account_id", "{Account}.id", "{Account}.domain"]
    found = api.export(
        entityType="activity", fields=fields, fromDate="2025-12-01", toDate="2026-01-31"
    )
    assert len(found) == 2000
    for row in found[:50]:
        number = int(row["{Activity}.account_id"].removeprefix("acc-"))
        assert row["{Account}.id"] == str(number)
        assert row["{Account}.domain"] == f"company{number}.example"


@pytest.mark.parametrize(
    ("end", "inclusive", "ids"),
    [
        ("2026-01-02", True, ["a", "b", "c"]),
        ("2026-01-02", False, ["a"]),
        ("2026-01-02T00:00:00Z", True, ["a", "b"]),
        ("2026-01-02T23:59:59Z", False, ["a", "b"]),
    ],
)
def test_a_range_holds_the_activities_between_its_ends(
    end: str, *, inclusive: bool, ids: list[str]
) -> None:
    options = SandboxOptions(pending_seconds=0, processing_seconds=0, to_date_inclusive=inclusive)
    moments = {
        "early": "2025-12-31T23:59:59Z",
        "a": "2026-01-01T00:00:00Z",
        "b": "2026-01-02T00:00:00Z",
        "c": "2026-01-02T23:59:59Z",
        "late": "2026-01-03T00:00:00Z",
    }
    rows = [{"activity_id": name, "activity_at": moment} for name, moment in moments.items()]
    with Sandbox(options) as sandbox:
        sandbox.put_rows("activities", rows)
        found = Caller(sandbox).export(entityType="activity", fromDate="2026-01-01", toDate=end)
        assert [row["{Activity}.activity_id"] for row in found] == ids


@pytest.mark.parametrize(
    ("field", "operator", "values", "ids"),
    [
        ("name", "Equals", ["Acme"], ["1"]),
        ("name", "Does Not Equal", ["Acme"], ["2", "3", "4"]),
        ("name", "In", ["Acme", "Globex"], ["1", "2"]),
        ("name", "Not In", ["Acme", "Globex"], ["3", "4"]),
        ("name", "Contains", ["lob", "cm"], ["1", "2"]),
        ("name", "Does Not Contain", ["lob"], ["1", "3", "4"]),
        ("name", "Begins With", ["Ac"], ["1"]),
        ("name", "Does Not Begin With", ["Ac"], ["2", "3", "4"]),
        ("name", "Ends With", ["%"], ["3"]),
        ("name", "Does Not End With", ["%"], ["1", "2", "4"]),
        ("name", "Exists", [], ["1", "2", "3"]),
        ("name", "Does Not Exist", [], ["4"]),
        ("employee_count", "Greater Than", ["9"], ["2", "3"]),
        ("employee_count", "Greater Than or Equal To", ["9"], ["1", "2", "3"]),
        ("employee_count", "Less Than", ["100"], ["1", "2"]),
        ("employee_count", "Less Than or Equal To", ["100"], ["1", "2", "3"]),
        ("employee_count", "Between", ["9", "10"], ["1", "2"]),
        ("employee_count", "Equals", ["10.0"], ["2"]),
        ("scored_at", "Less Than", ["2026-01-02"], ["1"]),
        ("scored_at", "Greater Than or Equal To", ["2026-01-02"], ["2"]),
        ("is_target", "Equals", ["true"], ["1"]),
    ],
)
def test_a_filter_lets_the_rows_through_that_it_means(
    api: Caller, field: str, operator: str, values: list[str], ids: list[str]
) -> None:
    api.sandbox.put_rows(
        "accounts",
        [
            {
                "account_id": "1", "name": "Acme", "employee_count": "9", "is_target": "true",
                "scored_at": "2026-01-01T23:59:59Z",
            },
            {
                "account_id": "2", "name": "Globex", "employee_count": "10",
                "is_target": "false", "scored_at": "2026-01-02T00:00:00Z",
            },
            {"account_id": "3", "name": "100%", "employee_count": "100"},
            {"account_id": "4"},
        ],
    )  # fmt: skip
    rule = {"field": f"{{Account}}.{field}", "operator": operator, "values": values}
    found = api.export(entityType="account", filters=[rule])
    assert [row["{Account}.account_id"] for row in found] == ids


def test_lists_and_accounts_narrow_a_job(api: Caller) -> None:
    accounts = api.export(entityType="account", accountListIds=[2])
    assert {row["{Account}.account_id"][-1] for row in accounts} == {"2"}
    people = api.export(entityType="person", personListIds=[1])
    assert {row["{Person}.person_id"][-1] for row in people} == {"1"}
    groups = api.export(entityType="accountBuyingGroup", accountIds=[3, 5, 10_000_000])
    assert {row["{Account}.id"] for row in groups} == {"3", "5"}


def test_a_job_for_lists_shows_who_is_on_them(api: Caller) -> None:
    members = api.export(f"{EXPORT}/accountList/job")
    lists = {row["accountListId"] for row in members}
    assert lists == {"1", "2"}
    one = api.export(f"{EXPORT}/accountList/job", accountListId=2)
    assert {row["accountListName"] for row in one} == {"Sample account list 2"}
    assert {int(row["accountId"]) % 10 for row in one} == {2}
    people = api.export(f"{EXPORT}/personList/job", personListIds=[1])
    assert {int(row["personId"]) % 10 for row in people} == {1}


def test_results_come_as_json_too(api: Caller) -> None:
    link = api.status(api.create(entityType="account", fields=NAMES, format="JSON"))["resultsUrl"]
    rows = json.loads(requests.get(link, timeout=10).content)
    assert [*rows[0]] == NAMES
    assert len(rows) == 200


def test_results_can_come_in_parts_and_under_labels() -> None:
    options = SandboxOptions(
        pending_seconds=0, processing_seconds=0, part_rows=90, results_urls=True,
        label_headers=True, byte_order_mark=True,
    )  # fmt: skip
    with Sandbox(options) as sandbox:
        job = Caller(sandbox).status(Caller(sandbox).create(entityType="account", fields=NAMES))
        parts = [requests.get(link, timeout=10).content for link in job["resultsUrls"]]
        assert [len(rows_of(part)) for part in parts] == [90, 90, 20]
        assert all(part.startswith(b"\xef\xbb\xbfExternal Account ID,") for part in parts)
        path = job["resultsUrl"].partition("?")[0]
        assert path == job["resultsUrls"][0].partition("?")[0]


def test_the_list_is_paged_sorted_and_filtered(api: Caller) -> None:
    ids = [api.create(entityType="account", jobName=f"job {number}") for number in range(11)]
    ids.append(api.create(f"{EXPORT}/accountList/job"))
    first = api("GET", f"{EXPORT}/jobs").json()
    assert first.keys() == JOB_PAGE
    assert (first["pageNo"], first["pageSize"], first["totalCount"]) == (1, 10, 12)
    assert all(job.keys() == LISTED_JOB for job in first["data"])
    assert [job["jobId"] for job in first["data"]] == ids[:1:-1]
    pages = "?page=2&perPage=5&sort=ascending"
    second = api("GET", f"{EXPORT}/jobs{pages}").json()
    assert [job["jobId"] for job in second["data"]] == ids[5:10]
    lists = api("GET", f"{EXPORT}/jobs?entityType=accountList&jobStatus=finished").json()
    assert [job["jobId"] for job in lists["data"]] == ids[-1:]
    assert api("GET", f"{EXPORT}/jobs?jobStatus=failed").json()["totalCount"] == 0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("sort=up", "400-120"),
        ("page=0", "400-121"),
        ("page=x", "400-121"),
        ("perPage=-1", "400-122"),
        ("entityType=planet", "400-123"),
        ("jobStatus=completed", "400-124"),
        ("limit=5", "400-147"),
    ],
)
def test_a_wrong_list_is_rejected_by_its_code(api: Caller, query: str, code: str) -> None:
    assert api("GET", f"{EXPORT}/jobs?{query}").json()["errorCode"] == code


def test_jobs_can_fail_vanish_and_never_end(api: Caller) -> None:
    operation = "createExportJob"
    for fault in (
        Fault(operation, Effect.JOB_FAILS, match={"entity_type": "accounts"}, message="no disk"),
        Fault(operation, Effect.JOB_GONE, match={"entityType": "person"}, seconds=60),
        Fault(operation, Effect.NEVER_ENDS, match={"entity_type": "opportunities"}),
    ):
        api.sandbox.add_fault(fault)
    failed = api.status(api.create(entityType="account"))
    assert (failed["jobStatus"], failed["message"], failed["resultsUrl"]) == (
        "failed", "no disk", "",
    )  # fmt: skip
    gone = api.create(entityType="person")
    assert api.status(gone)["jobStatus"] == "finished"
    api.sandbox.clock.advance(61)
    assert api.status(gone)["errorCode"] == "404-302"
    stuck = api.create(entityType="opportunity")
    api.sandbox.clock.advance(DAY)
    assert api.status(stuck)["jobStatus"] == "processing"


@pytest.mark.parametrize("code", ["403-101", "429-100", "429-102", "500-100"])
def test_a_fault_can_send_a_published_code(api: Caller, code: str) -> None:
    api.sandbox.add_fault(Fault("createExportJob", Effect.STATUS, code=code))
    assert api.code({"entityType": "account", "jobName": "x"}) == code
    assert api.sandbox.export_jobs() == []


def test_a_fault_of_an_unknown_code_is_rejected() -> None:
    with pytest.raises(ValueError, match="code needs the effect status"):
        Fault("createExportJob", Effect.STATUS, code="418-000")


def test_the_calls_can_be_read_from_another_process(api: Caller) -> None:
    api.fields("account")
    counted = api("GET", "/_sandbox/calls").json()
    assert list(counted.values()) == [{"fetchFields": 1}]


def test_faults_affect_the_published_operations(api: Caller) -> None:
    api.sandbox.add_fault(Fault("fetchFields", Effect.STATUS, status=500, times=1))
    api.sandbox.add_fault(Fault("checkExportJobStatus", Effect.EXPIRED_LINK))
    codes = [api("GET", f"{EXPORT}/fields?entityType=account").status_code for _ in range(2)]
    assert codes == [500, 200]
    job_id = api.create(entityType="account")
    links = [api.status(job_id)["resultsUrl"] for _ in range(2)]
    assert [requests.get(link, timeout=10).status_code for link in links] == [403, 200]
    api.sandbox.add_fault(Fault("createExportJob", Effect.DROP_AFTER, match={"api": "uapi"}))
    with pytest.raises(requests.ConnectionError):
        api.create(entityType="account", jobName="lost")
    assert [job["jobName"] for job in api.sandbox.export_jobs()] == ["lost", "a job"]
    seen = api.sandbox.requests("createExportJob")
    assert [(item.status, item.api, item.body["jobName"]) for item in seen] == [
        (202, "uapi", "a job"),
        (0, "uapi", "lost"),
    ]
