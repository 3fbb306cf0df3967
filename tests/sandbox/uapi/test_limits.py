from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest

from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from demandbase_sandbox.operations import DAILY_CALLS
from tests.sandbox.uapi import published
from tests.sandbox.uapi.conftest import Caller
from tests.sandbox.uapi.published import EXPORT, IMPORT

pytestmark = pytest.mark.thorough


def test_the_limits_are_those_that_are_published() -> None:
    assert DAILY_CALLS == {
        "createExportJob": published.EXPORT_CREATES,
        "fetchExportJobsInfo": published.EXPORT_LISTS,
        "checkExportJobStatus": published.EXPORT_STATUSES,
        "fetchFields": published.FIELD_CALLS,
        "createImportJob": published.IMPORT_CREATES,
        "uploadImportFile": published.IMPORT_UPLOADS,
        "getImportJob": published.IMPORT_STATUSES,
        "listImportJobs": published.IMPORT_LISTS,
        "listImportSources": published.METADATA_CALLS,
    }


@pytest.mark.parametrize(
    ("operation", "method", "path"),
    [
        ("createExportJob", "POST", f"{EXPORT}/job"),
        ("createExportJob", "POST", f"{EXPORT}/accountList/job"),
        ("createExportJob", "POST", f"{EXPORT}/personList/job"),
        ("fetchExportJobsInfo", "GET", f"{EXPORT}/jobs"),
        ("checkExportJobStatus", "GET", f"{EXPORT}/job/x"),
        ("fetchFields", "GET", f"{EXPORT}/fields"),
        ("createImportJob", "POST", f"{IMPORT}/job"),
        ("uploadImportFile", "PUT", f"{IMPORT}/job/1/data"),
        ("getImportJob", "GET", f"{IMPORT}/job/1"),
        ("listImportJobs", "GET", f"{IMPORT}/jobs"),
        ("listImportSources", "GET", f"{IMPORT}/Account/sources"),
        ("listImportSources", "GET", f"{IMPORT}/activity_type"),
    ],
)
def test_a_day_has_so_many_calls_whatever_their_status(
    operation: str, method: str, path: str
) -> None:
    with Sandbox(SandboxOptions(call_budgets={operation: 3})) as sandbox:
        api = Caller(sandbox)
        codes = [api(method, path).status_code for _ in range(4)]
        assert 429 not in codes[:3]
        assert codes[3] == 429
        assert sum(sandbox.calls_today().values()) == 4
        sandbox.clock.advance(_to_midnight(sandbox) + 1)
        assert api(method, path).status_code == codes[0]
        assert len(sandbox.calls_by_day()) == 2


def test_jobs_of_all_kinds_spend_one_budget() -> None:
    with Sandbox(SandboxOptions(call_budgets={"createExportJob": 2})) as sandbox:
        api = Caller(sandbox)
        codes = [
            api("POST", f"{EXPORT}/{kind}", json={}).status_code
            for kind in ("job", "accountList/job", "personList/job")
        ]
        assert codes == [400, 400, 429]
        assert sandbox.calls_today() == {
            "createExportJob": 1, "fetchAccountListJob": 1, "fetchPersonListJob": 1,
        }  # fmt: skip


def test_calls_without_a_valid_token_spend_nothing(sandbox: Sandbox) -> None:
    assert Caller(sandbox, "wrong")("GET", f"{EXPORT}/jobs").status_code == 401
    assert sandbox.calls_today() == {}


@pytest.mark.parametrize("code", ["429", "429-100"])
def test_the_code_of_a_spent_budget_can_be_chosen(code: str) -> None:
    options = SandboxOptions(call_budgets={"fetchFields": 0}, budget_error_code=code)
    with Sandbox(options) as sandbox:
        response = Caller(sandbox)("GET", f"{EXPORT}/fields?entityType=account")
        assert (response.status_code, response.json()["errorCode"]) == (429, code)
        assert "Retry-After" not in response.headers


def test_a_second_job_is_rejected_while_one_runs() -> None:
    with Sandbox(SandboxOptions(pending_seconds=60, processing_seconds=60)) as sandbox:
        api = Caller(sandbox)
        api.create(entityType="account")
        assert api.code({"entityType": "person", "jobName": "x"}) == "429-102"
        assert api.code({"jobName": "x"}, f"{EXPORT}/accountList/job") == "429-102"
        sandbox.clock.advance(121)
        assert api.create(entityType="person")


def test_more_jobs_at_a_time_can_be_allowed() -> None:
    options = SandboxOptions(pending_seconds=60, max_concurrent_export_jobs=2)
    with Sandbox(options) as sandbox:
        api = Caller(sandbox)
        for _ in range(2):
            api.create(entityType="account")
        assert api.code({"entityType": "person", "jobName": "x"}) == "429-102"


def test_the_bytes_of_24_hours_are_a_quota() -> None:
    options = SandboxOptions(pending_seconds=0, processing_seconds=0, daily_export_bytes=100)
    with Sandbox(options) as sandbox:
        api = Caller(sandbox)
        assert api.status(api.create(entityType="account"))["jobStatus"] == "finished"
        assert api.code({"entityType": "account", "jobName": "x"}) == "429-101"
        sandbox.clock.advance(24 * 3600 - 60)
        assert api.code({"entityType": "account", "jobName": "x"}) == "429-101"
        sandbox.clock.advance(61)
        assert api.create(entityType="account")


def test_a_trial_gets_no_more_than_its_allowance() -> None:
    options = SandboxOptions(pending_seconds=0, processing_seconds=0, trial_export_bytes=3000)
    with Sandbox(options) as sandbox:
        api = Caller(sandbox)
        small = api.create(entityType="campaign", source=["all"], adReportType="summary")
        assert api.status(small)["jobStatus"] == "finished"
        large = api.status(api.create(entityType="account"))
        assert (large["jobStatus"], large["resultsUrl"]) == ("failed", "")
        assert "24-hour" in large["message"]


@pytest.mark.slow
def test_too_many_queries_at_once_are_429() -> None:
    options = SandboxOptions(max_concurrent_queries=1)
    with Sandbox(options) as sandbox:
        sandbox.add_fault(Fault("fetchExportJobsInfo", Effect.DELAY, seconds=5))
        api = Caller(sandbox)
        slow = threading.Thread(target=api, args=("GET", f"{EXPORT}/jobs"))
        slow.start()
        while not sandbox.calls_today():
            threading.Event().wait(0.01)
        response = api("GET", f"{EXPORT}/fields?entityType=account")
        assert (response.status_code, response.json()["errorCode"]) == (429, "429-100")
        sandbox.tenant.stopping.set()
        slow.join(10)


def _to_midnight(sandbox: Sandbox) -> float:
    now: datetime = sandbox.clock.now()
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - now).total_seconds()
