"""The streams about the tenant's own jobs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from demandbase_sandbox import Effect, Fault, Sandbox
from demandbase_sandbox.faults import JobFaults
from demandbase_sandbox.uapi.export_query import ExportQuery
from tap_demandbase.errors import StreamsFailedError
from tests.tap.conftest import Wire, both_apis

pytestmark = pytest.mark.thorough

Sync = Callable[..., Any]


def create(sandbox: Sandbox, **faults: Any) -> str:  # noqa: ANN401
    job = sandbox.tenant.exports.create({"entity_type": "campaigns"}, JobFaults(**faults))
    return job.id


def finished_export(sandbox: Sandbox, api: str) -> str:
    """Export something behind the API's back; return the job's id."""
    if api == "v1":
        return create(sandbox)
    query = ExportQuery("campaigns", ("id",), ("Id",), ("campaign_id",), "1", ())
    job = sandbox.tenant.uapi_exports.create("campaign", {"jobName": "other"}, query)
    sandbox.tenant.advance_jobs()  # one may run at a time
    return job.id


def ids(output: Any) -> list[str]:  # noqa: ANN401
    return [record["id"] for record in output.records("export_jobs")]


@both_apis
def test_job_history_comes_in_all_pages_and_goes_on_at_the_bookmark(
    sandbox: Sandbox, sync: Sync, api: str, wire: Wire
) -> None:
    for _ in range(130):
        finished_export(sandbox, api)
    output = sync("export_jobs")
    records = output.records("export_jobs")
    assert len({record["id"] for record in records}) == 130
    newest = max(record["created_at"] for record in records)
    assert output.state["export_jobs"]["replication_key_value"] == newest
    sandbox.clock.advance(60)
    job = finished_export(sandbox, api)
    sandbox.clear_requests()
    again = sync("export_jobs", state={"bookmarks": output.state})
    assert job in ids(again)
    assert len(ids(again)) < 130
    assert len(sandbox.requests(wire.list_jobs)) == 1


@both_apis
def test_jobs_that_are_created_while_pages_are_read_move_none_out(
    sandbox: Sandbox, sync: Sync, api: str, wire: Wire
) -> None:
    expected = {finished_export(sandbox, api) for _ in range(230)}
    sandbox.add_fault(Fault(wire.list_jobs, Effect.SHIFT_PAGE, rows=-5, after=1, times=None))
    seen = ids(sync("export_jobs"))
    assert set(seen) == expected
    assert len(seen) == len(expected)


def test_a_job_that_has_not_ended_is_sent_again_until_it_has(sandbox: Sandbox, sync: Sync) -> None:
    create(sandbox)
    sandbox.clock.advance(60)
    open_job = create(sandbox, never_ends=True)
    sandbox.clock.advance(60)
    create(sandbox)
    first = sync("export_jobs")
    state = {"bookmarks": first.state}
    for _ in range(2):
        again = sync("export_jobs", state=state)
        assert open_job in ids(again)
        state = {"bookmarks": again.state}
    sandbox.tenant.exports.cancel(open_job)
    last = sync("export_jobs", state=state)
    by_id = {record["id"]: record["status"] for record in last.records("export_jobs")}
    assert by_id[open_job] == "cancelled"
    assert open_job not in ids(sync("export_jobs", state={"bookmarks": last.state}))


def finished_import(sandbox: Sandbox, api: str) -> str:
    """Import a file behind the API's back; return the job's id."""
    path = sandbox.tenant.folder / "upload.csv"
    if api == "v1":
        fields = [{"csv_column": "domain", "demandbase_field": "domain"}]
        body = {"entity_type": "accounts", "operation": "upsert", "match_key": "domain",
                "field_mappings": fields}  # fmt: skip
        job = sandbox.tenant.imports.create(body)
        path.write_bytes(b"domain\r\na.example\r\n")
        with path.open("rb") as file:
            sandbox.tenant.imports.upload(job.id, "upload.csv", file)
    else:
        asked = {"dataImportName": "upload.csv", "entityType": "Account", "source": "CSV"}
        import_job = sandbox.tenant.uapi_imports.create(asked)
        path.write_bytes(b"Account Name,Account Domain\r\nA,a.example\r\n")
        sandbox.tenant.uapi_imports.upload(import_job.id, path, "noop")
        return import_job.id
    return job.id


@both_apis
def test_import_history_comes_in_all_pages_and_goes_on_at_the_bookmark(
    sandbox: Sandbox, sync: Sync, api: str
) -> None:
    expected = {finished_import(sandbox, api) for _ in range(130)}
    output = sync("import_jobs")
    records = output.records("import_jobs")
    assert {record["id"] for record in records} == expected
    assert {record["status"] for record in records} == {"completed"}
    newest = max(record["created_at"] for record in records)
    assert output.state["import_jobs"]["replication_key_value"] == newest
    sandbox.clock.advance(60)
    job = finished_import(sandbox, api)
    again = sync("import_jobs", state={"bookmarks": output.state})
    seen = {record["id"] for record in again.records("import_jobs")}
    assert job in seen
    assert len(seen) < 130


@both_apis
def test_import_jobs_that_are_created_while_pages_are_read_move_none_out(
    sandbox: Sandbox, sync: Sync, api: str
) -> None:
    expected = {finished_import(sandbox, api) for _ in range(130)}
    sandbox.add_fault(Fault("listImportJobs", Effect.SHIFT_PAGE, rows=-5, after=1, times=None))
    seen = [record["id"] for record in sync("import_jobs").records("import_jobs")]
    assert set(seen) == expected
    assert len(seen) == len(expected)


def test_row_errors_are_children_of_import_jobs(sandbox: Sandbox, sync: Sync) -> None:
    body = {
        "entity_type": "accounts",
        "operation": "upsert",
        "match_key": "domain",
        "field_mappings": [{"csv_column": "domain", "demandbase_field": "domain"}],
    }
    job = sandbox.tenant.imports.create(body)
    path = sandbox.tenant.folder / "upload.csv"
    path.write_bytes(b'domain\r\n""\r\na.example\r\n')
    with path.open("rb") as file:
        sandbox.tenant.imports.upload(job.id, "upload.csv", file)
    output = sync("import_jobs", "import_errors")
    assert [record["status"] for record in output.records("import_jobs")] == ["completed"]
    [error] = output.records("import_errors")
    assert (error["import_job_id"], error["row_number"], error["error_type"]) == (
        job.id,
        1,
        "missing_match_key",
    )


def test_row_errors_that_no_longer_exist_are_a_warning(
    sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    body = {"entity_type": "accounts", "operation": "upsert", "match_key": "domain",
            "field_mappings": [{"csv_column": "domain", "demandbase_field": "domain"}]}  # fmt: skip
    job = sandbox.tenant.imports.create(body)
    sandbox.add_fault(Fault("getImportErrors", Effect.STATUS, status=404))
    with caplog.at_level(logging.WARNING):
        assert sync("import_jobs", "import_errors").records("import_errors") == []
    assert f"no row errors of the import job {job.id}" in caplog.text


def test_row_errors_that_repeat_their_page_are_not_taken_for_all(
    sandbox: Sandbox, sync: Sync
) -> None:
    finished_import(sandbox, "v1")
    body = '{"errors": [{"row_number": 1, "field": "domain"}]}'
    sandbox.add_fault(Fault("getImportErrors", Effect.STATUS, status=200, body=body, times=None))
    output = sync("import_jobs", "import_errors", failure=StreamsFailedError)
    assert len(output.records("import_errors")) == 1
    assert len(sandbox.requests("getImportErrors")) == 3
