"""Odd responses: which of them end a run, and with which message."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from demandbase_api.errors import UnexpectedResponseError
from demandbase_sandbox import Effect, Fault, Sandbox
from demandbase_sandbox.faults import JobFaults
from demandbase_sandbox.uapi.export_query import ExportQuery
from tap_demandbase.errors import StreamsFailedError
from tests.tap.conftest import ForeignJob, Output, Wire, both_apis

pytestmark = pytest.mark.thorough

Sync = Callable[..., Output]

NAMES = {
    "id": "jobId",
    "status": "jobStatus",
    "created_at": "createdAt",
    "completed_at": "updatedAt",
    "entity_type": "entityType",
    "error_message": "message",
    "jobs": "data",
    "total": "totalCount",
}
"""Members of v1, and of uapi where it has them."""

ODD_JOBS: list[dict[str, Any]] = [
    {"status": "expired"},
    {"status": "queued"},
    {"status": "null"},
    {"id": 12},
    {"id": "null"},
    {"created_at": ""},
    {"created_at": "0001-01-01T00:00:00Z", "completed_at": "0001-01-01T00:00:00+14:00"},
    {"created_at": 1_700_000_000, "completed_at": False},
    {"record_count": "12", "file_size_bytes": 1.5, "file_parts": {}},
    {"fields": "id,name", "filters": "all", "entity_type": 7},
    {"fields": [None], "filters": [], "error_message": ["no"]},
]


def in_api(api: str, members: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a fault that gives a job members; “null” stands for null."""
    named = {NAMES.get(name, name) if api == "uapi" else name: members[name] for name in members}
    return {
        "members": {name: value for name, value in named.items() if value != "null"},
        "nulls": tuple(name for name, value in named.items() if value == "null"),
    }


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("demandbase_api")
    ]


@both_apis
@pytest.mark.parametrize("members", ODD_JOBS)
def test_an_odd_job_of_another_client_changes_nothing(
    sandbox: Sandbox,
    sync: Sync,
    api: str,
    foreign_job: ForeignJob,
    caplog: pytest.LogCaptureFixture,
    members: dict[str, Any],
) -> None:
    foreign_job(seconds=60, **in_api(api, members))
    output = sync("campaigns", "export_jobs", job_reuse_hours=6)
    assert len(output.records("campaigns")) == 20
    own = {str(job["id"]) for job in sandbox.export_jobs()}
    own -= {str(job["id"]) for job in sandbox.foreign_jobs()}
    assert own <= {record["id"] for record in output.records("export_jobs")}
    assert not [seen for seen in sandbox.requests() if seen.method == "DELETE"]
    assert len(sandbox.requests("createExportJob")) == 1
    assert len(warnings(caplog)) <= 1


@both_apis
def test_the_warning_of_an_odd_job_comes_once(
    sync: Sync, api: str, foreign_job: ForeignJob, caplog: pytest.LogCaptureFixture
) -> None:
    for members in ({"status": "null"}, {"id": "null"}, {"status": 3}):
        foreign_job(**in_api(api, members))
    for _ in range(2):
        foreign_job(**in_api(api, {"status": "on hold"}))
    assert sync("campaigns", "export_jobs").records("campaigns")
    left_out, unknown = sorted(warnings(caplog))
    assert left_out.startswith("A job in the list is left out: Demandbase ")
    assert "has the unknown status “on hold”: it counts as not ended" in unknown


@both_apis
def test_a_job_of_this_run_with_an_unknown_status_has_not_ended(
    sandbox: Sandbox, sync: Sync, api: str, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    odd = in_api(api, {"status": "Queued", "created_at": "", "record_count": "20"})
    sandbox.add_fault(Fault("createExportJob", Effect.ALTER, **odd))
    sandbox.add_fault(Fault(wire.list_jobs, Effect.ALTER, items={}, times=3, **odd))
    sandbox.add_fault(Fault(wire.get, Effect.ALTER, times=1, **odd))
    assert len(sync("campaigns").records("campaigns")) == 20
    assert len(sandbox.requests("createExportJob")) == 1
    [said] = warnings(caplog)
    assert said.endswith("has the unknown status “Queued”: it counts as not ended")


@both_apis
def test_a_job_that_the_list_spoils_is_read_alone(
    sandbox: Sandbox, sync: Sync, api: str, wire: Wire
) -> None:
    odd = in_api(api, {"status": "null"})
    sandbox.add_fault(Fault(wire.list_jobs, Effect.ALTER, items={}, times=None, **odd))
    assert len(sync("campaigns").records("campaigns")) == 20
    assert sandbox.requests(wire.get)


@both_apis
@pytest.mark.parametrize("member", ["id", "status"])
def test_a_job_of_this_run_needs_an_id_and_a_status(
    sandbox: Sandbox, sync: Sync, api: str, member: str
) -> None:
    name = NAMES[member] if api == "uapi" else member
    sandbox.add_fault(Fault("createExportJob", Effect.ALTER, nulls=(name,), times=None))
    output = sync("campaigns", failure=UnexpectedResponseError)
    said = f"Demandbase left out the member “{name}” when asked to create an export job"
    assert str(output.error).startswith(said)


def test_the_number_of_files_is_never_guessed(sandbox: Sandbox, sync: Sync) -> None:
    members = {"file_parts": "2"}
    sandbox.add_fault(Fault("getExportJob", Effect.ALTER, members=members, times=None))
    sandbox.add_fault(Fault("listExportJobs", Effect.ALTER, members=members, items={}, times=None))
    output = sync("campaigns", failure=UnexpectedResponseError)
    assert "gave a member “file_parts” that cannot be read" in str(output.error)


@both_apis
def test_an_unknown_status_is_passed_on(
    sandbox: Sandbox, sync: Sync, api: str, foreign_job: ForeignJob
) -> None:
    words = ["expired", "on hold"]
    for word in words:
        foreign_job(seconds=60, **in_api(api, {"status": word}))
    output = sync("export_jobs")
    assert {record["status"] for record in output.records("export_jobs")} == set(words)
    sandbox.clear_faults()
    # It may have ended: it does not keep the bookmark back for ever.
    sandbox.clock.advance(3 * 24 * 3600)
    foreign_job()
    output = sync("export_jobs", state={"bookmarks": output.state})
    assert len(output.records("export_jobs")) == 3
    output = sync("export_jobs", state={"bookmarks": output.state})
    assert len(output.records("export_jobs")) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{}", "left out the member “entities”"),
        ('{"error": "try later"}', "left out the member “entities”"),
        ('{"entities": null}', "left out the member “entities”"),
        ('{"entities": "none"}', "gave a member “entities” that cannot be read"),
        ('{"entities": [{"name": ""}]}', "gave a member “name” that cannot be read"),
        ('{"entities": [{"name": "a", "fields": [{}]}]}', "left out the member “name”"),
        ('{"entities": [1]}', "gave something other than an object"),
        ("[]", "did not respond with a JSON object"),
        ("[" * 200_000 + "]" * 200_000, "did not respond with a JSON object"),
        ('{"a":' * 200_000 + "1" + "}" * 200_000, "did not respond with a JSON object"),
    ],
)
def test_a_discovery_that_says_nothing_ends_the_run(
    sandbox: Sandbox, sync: Sync, body: str, said: str
) -> None:
    sandbox.add_fault(
        Fault("listExportableEntities", Effect.STATUS, status=200, body=body, times=None)
    )
    with pytest.raises(UnexpectedResponseError) as caught:
        sync("campaigns")  # discovers
    assert said in str(caught.value)
    assert "asked to list the exportable entities" in str(caught.value)


@pytest.mark.parametrize("api", ["uapi"])
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{}", "did not respond with a JSON list"),
        ("null", "did not respond with a JSON list"),
        ('[{"dataType": "Long"}]', "left out the member “name”"),
        ("[" * 200_000, "did not respond with a JSON list"),
    ],
)
def test_fields_that_are_none_end_the_run(
    sandbox: Sandbox, sync: Sync, api: str, wire: Wire, body: str, said: str
) -> None:
    assert api == "uapi"
    sandbox.add_fault(Fault(wire.discover, Effect.STATUS, status=200, body=body, times=None))
    with pytest.raises(StreamsFailedError) as caught:
        sync("campaigns")
    assert said in str(caught.value)
    assert "asked to list the fields of an entity" in str(caught.value)


@both_apis
@pytest.mark.parametrize("body", ["{}", '{"error": "later"}', '{"jobs": null, "data": null}'])
def test_a_list_without_its_items_is_not_an_empty_list(
    sandbox: Sandbox, sync: Sync, api: str, wire: Wire, body: str
) -> None:
    sandbox.add_fault(Fault(wire.list_jobs, Effect.STATUS, status=200, body=body, times=None))
    output = sync("campaigns", "export_jobs", failure=UnexpectedResponseError)
    assert len(output.records("campaigns")) == 20  # its job is read alone
    name = "data" if api == "uapi" else "jobs"
    assert f"left out the member “{name}” when asked to list the export jobs" in str(output.error)


@both_apis
def test_a_list_that_repeats_its_first_page_ends(
    sandbox: Sandbox, sync: Sync, api: str, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(130):
        create(sandbox, api)
    sandbox.add_fault(Fault(wire.list_jobs, Effect.SAME_PAGE, times=None))
    total = in_api(api, {"total": None})
    sandbox.add_fault(Fault(wire.list_jobs, Effect.ALTER, times=None, **total))
    assert len(sync("campaigns", job_reuse_hours=6).records("campaigns")) == 20
    assert len(sandbox.requests(wire.list_jobs)) < 15
    [said] = [text for text in warnings(caplog) if "same items" in text]
    assert said.startswith("Demandbase gave the same items on further pages when asked to list")
    # Nothing may be missing from the stream of the jobs.
    sandbox.clear_requests()
    output = sync("export_jobs", failure=UnexpectedResponseError)
    assert len(sandbox.requests(wire.list_jobs)) == 3
    assert len(output.records("export_jobs")) == 100


def create(sandbox: Sandbox, api: str) -> None:
    if api == "v1":
        sandbox.tenant.exports.create({"entity_type": "accounts"}, JobFaults())
    else:
        query = ExportQuery("campaigns", ("id",), ("Id",), ("campaign_id",), "1", ())
        sandbox.tenant.uapi_exports.create("campaign", {"jobName": "other"}, query)
        sandbox.tenant.advance_jobs()  # one may run at a time
