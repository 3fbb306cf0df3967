from __future__ import annotations

import json

import pytest

from demandbase_api.models import ExportRequest
from demandbase_api.ports import Apis
from demandbase_cli import jobs
from demandbase_sandbox import Effect, Fault, Sandbox
from tests.cli.conftest import Demandbase, Load
from tests.target.conftest import people, person

FIELDS = {"v1": "name", "uapi": "{Account}.name"}
LISTS = {
    "v1": ("listExportJobs", "error_message"),
    "uapi": ("fetchExportJobsInfo", "entityType"),
}


@pytest.fixture
def request_(api: str) -> ExportRequest:
    return ExportRequest("accounts", (FIELDS[api],))


def test_the_jobs_of_both_kinds_are_listed_the_newest_first(
    demandbase: Demandbase, apis: Apis, load: Load, request_: ExportRequest
) -> None:
    job = apis.exports.submit(request_)
    load(people(), person(1))
    lines = demandbase("jobs", "--json").json
    assert {line["kind"] for line in lines} == {"export", "import"}
    assert [line["created_at"] for line in lines] == sorted(
        (line["created_at"] for line in lines), reverse=True
    )
    [line] = demandbase("jobs", "--json", "--exports").json
    assert line["id"] == job.id
    assert "download_url" not in line
    words = demandbase("jobs").words
    assert "Kind Id Entity Status Created Ended Rows Bytes Error" in words
    assert f"export {job.id}" in words


def test_jobs_are_chosen_by_status_and_age(
    demandbase: Demandbase, apis: Apis, sandbox: Sandbox, request_: ExportRequest
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.NEVER_ENDS))
    apis.exports.submit(request_)
    assert len(demandbase("jobs", "--json", "--status", "running").json) == 1
    assert demandbase("jobs", "--json", "--status", "failed").json == []
    assert "No such job was created since" in demandbase("jobs", "--since", "2999-01-01").out
    done = demandbase("jobs", "--since", "yesterday", code=2)
    assert "Invalid value for '--since'" in done.err


def test_no_text_of_the_server_controls_the_terminal(
    demandbase: Demandbase, apis: Apis, sandbox: Sandbox, request_: ExportRequest, api: str
) -> None:
    apis.exports.submit(request_)
    operation, member = LISTS[api]
    odd = "\x1b[2J\x9b31m\u202e[bold]bad[/bold]"
    fault = Fault(operation, Effect.ALTER, members={member: odd}, items={}, times=None)
    sandbox.add_fault(fault)
    assert "[bold]" in demandbase("jobs").out
    assert len(demandbase("jobs", "--json").json) == 1


def test_a_job_is_found_by_its_id(
    demandbase: Demandbase, apis: Apis, load: Load, request_: ExportRequest
) -> None:
    job = apis.exports.submit(request_)
    load(people(), person(1))
    [imported] = demandbase("jobs", "--imports", "--json").json
    assert demandbase("job", job.id, "--json").json["kind"] == "export"
    assert demandbase("job", imported["id"], "--json").json["kind"] == "import"
    assert f"The export job {job.id}" in demandbase("job", job.id).out
    done = demandbase("job", "99999999", code=1)
    assert "knows no export or import job with the id 99999999" in done.err


def test_a_job_is_cancelled_where_the_api_can(
    demandbase: Demandbase, apis: Apis, sandbox: Sandbox, request_: ExportRequest, api: str
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.NEVER_ENDS))
    job = apis.exports.submit(request_)
    if api == "v1":
        done = demandbase("job", job.id, "--cancel", "--json")
        assert done.json["status"] == "cancelled"
        assert "it is cancelled" in demandbase("job", job.id, "--cancel", code=1).err
    else:
        said = demandbase("job", job.id, "--cancel", code=1).err
        assert f"cannot cancel jobs: the export job {job.id} is " in said
        assert f"demandbase journal forget {job.id}" in said


def test_a_job_that_has_ended_is_not_cancelled(
    demandbase: Demandbase, load: Load, sandbox: Sandbox
) -> None:
    load(people(), person(1))
    [line] = demandbase("jobs", "--imports", "--json").json
    said = demandbase("job", line["id"], "--cancel", code=1).err
    assert said.startswith(f"The import job {line['id']} has ended: it is completed")
    assert all(request.method == "GET" for request in sandbox.requests()[-1:])


def test_rejected_rows_are_listed_without_their_values(
    demandbase: Demandbase, load: Load, api: str
) -> None:
    load(people(), person(1, email="Secret Value"), on_reject="continue")
    [line] = demandbase("jobs", "--imports", "--json").json
    if api == "uapi":
        done = demandbase("job", line["id"], "--errors", code=1)
        assert "does not report which rows it rejected: see the import audit" in done.err
        return
    found = demandbase("job", line["id"], "--errors", "--json")
    [error] = found.json["row_errors"]
    assert error["field"] == "email"
    assert "Secret" not in found.out
    shown = demandbase("job", line["id"], "--errors")
    assert "Rejected rows" in shown.out
    assert "Secret" not in shown.out


def test_errors_are_of_imports(demandbase: Demandbase, apis: Apis, request_: ExportRequest) -> None:
    job = apis.exports.submit(request_)
    assert "only imports reject rows" in demandbase("job", job.id, "--errors", code=1).err


def test_json_of_a_job_has_no_link(
    demandbase: Demandbase, apis: Apis, request_: ExportRequest
) -> None:
    job = apis.exports.submit(request_)
    found = demandbase("job", job.id, "--json").json
    assert "http" not in json.dumps(found)


def test_a_long_list_is_cut_for_a_person_only(
    demandbase: Demandbase,
    apis: Apis,
    request_: ExportRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "_MAX_JOBS", 1)
    for _ in range(3):
        apis.exports.submit(request_)
    assert "And 2 more jobs, which --json lists." in demandbase("jobs").out
    assert len(demandbase("jobs", "--json").json) == 3


def test_what_may_be_listed_is_listed(
    demandbase: Demandbase, apis: Apis, sandbox: Sandbox, request_: ExportRequest
) -> None:
    apis.exports.submit(request_)
    sandbox.add_fault(Fault("listImportJobs", Effect.STATUS, status=403, times=None))
    done = demandbase("jobs", "--json", code=1)
    assert len(done.json) == 1
    assert "when asked to list the import jobs" in done.err
    assert "list the import jobs" in demandbase("jobs", "--imports", code=1).err
    found = demandbase("quota", "--json", code=1)
    assert (found.json["exports_24h"], found.json["running_imports"]) == (1, None)
    assert " import jobs of" not in demandbase("quota", code=1).out
