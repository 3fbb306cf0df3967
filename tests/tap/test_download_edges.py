"""Responses that are no file, files that are empty, and responses that a later try replaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from demandbase_api.errors import DownloadError
from demandbase_api.http.retry import RetryPolicy
from demandbase_sandbox import Effect, Fault, Sandbox
from tests.tap.conftest import QuickTap, Wire, both_apis

Sync = Callable[..., Any]

FIELDS = [("id", "string"), ("seen_at", "datetime")]
INCREMENTAL = {
    "stream_options": {"opportunities": {"replication_key": "seen_at"}},
    "start_date": "2026-01-01",
    "end_date": "2026-01-31",
}


@pytest.fixture(autouse=True)
def two_rows(sandbox: Sandbox) -> None:
    rows: list[list[str | None]] = [["1", "2026-01-05T00:00:00Z"], ["2", "2026-01-06T00:00:00Z"]]
    sandbox.add_entity("opportunities", FIELDS, rows)


def only_job(sandbox: Sandbox) -> str:
    [job] = sandbox.export_jobs()
    return str(job.get("id") or job["jobId"])


@both_apis
@pytest.mark.parametrize("status", [202, 204, 206, 300, 302, 304, 416])
def test_a_response_without_a_file_fails_the_stream_and_keeps_its_bookmark(
    sandbox: Sandbox, sync: Sync, status: int
) -> None:
    sandbox.add_fault(Fault("signedFile", Effect.STATUS, status=status, times=None))
    with pytest.raises(DownloadError, match=rf"\(HTTP {status}\)") as caught:
        sync("opportunities", **INCREMENTAL)
    assert f"the export job {only_job(sandbox)} for opportunities" in str(caught.value)


@pytest.mark.parametrize("status", [204, 302])
def test_a_download_without_a_link_fails(sandbox: Sandbox, sync: Sync, status: int) -> None:
    sandbox.add_fault(Fault("downloadExportFile", Effect.STATUS, status=status, times=None))
    with pytest.raises(DownloadError, match=rf"responded without the file.*\(HTTP {status}\)"):
        sync("opportunities", **INCREMENTAL)


@both_apis
def test_a_file_that_is_not_written_yet_is_requested_again(sandbox: Sandbox, sync: Sync) -> None:
    headers = {"Retry-After": "30"}
    sandbox.add_fault(Fault("signedFile", Effect.STATUS, status=202, headers=headers))
    started = sandbox.clock.now()
    assert len(sync("opportunities", **INCREMENTAL).records("opportunities")) == 2
    assert (sandbox.clock.now() - started).total_seconds() >= 30


@both_apis
def test_an_empty_file_is_requested_once_more_by_a_new_link(
    sandbox: Sandbox, sync: Sync, wire: Wire
) -> None:
    uncounted(sandbox, wire)
    sandbox.add_fault(Fault("signedFile", Effect.STATUS, status=200))
    started = sandbox.clock.now()
    assert len(sync("opportunities", **INCREMENTAL).records("opportunities")) == 2
    assert (sandbox.clock.now() - started).total_seconds() >= 5
    assert len(sandbox.requests("signedFile")) == 2
    assert len(sandbox.requests(wire.download)) == 2


@both_apis
def test_a_file_that_stays_empty_is_an_export_without_rows(
    sandbox: Sandbox, sync: Sync, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    uncounted(sandbox, wire)
    sandbox.add_fault(Fault("signedFile", Effect.STATUS, status=200, times=None))
    output = sync("opportunities", **INCREMENTAL)
    assert output.records("opportunities") == []
    assert len(sandbox.requests("signedFile")) == 2
    assert f"Part 1 of the export job {only_job(sandbox)} for opportunities is empty" in caplog.text
    assert "asks to try again" not in caplog.text  # the pause is the tap's own


@both_apis
def test_a_file_that_is_marked_as_gzip_is_downloaded_once(sandbox: Sandbox, sync: Sync) -> None:
    headers = {"Content-Encoding": "gzip"}
    sandbox.add_fault(Fault("signedFile", Effect.HEADERS, headers=headers, times=None))
    assert len(sync("opportunities", **INCREMENTAL).records("opportunities")) == 2
    assert len(sandbox.requests("signedFile")) == 1


@both_apis
@pytest.mark.parametrize("status", [408, 425])
def test_a_poll_that_comes_too_early_or_too_late_is_repeated(
    sandbox: Sandbox, sync: Sync, wire: Wire, status: int
) -> None:
    for operation in (wire.list_jobs, wire.get, wire.download, "signedFile"):
        sandbox.add_fault(Fault(operation, Effect.STATUS, status=status))
    assert len(sync("opportunities", **INCREMENTAL).records("opportunities")) == 2
    assert len(sandbox.export_jobs()) == 1


@both_apis
@pytest.mark.parametrize("place", ["list_jobs", "get", "download", "signedFile"])
def test_a_server_that_restarts_ends_no_run(
    sandbox: Sandbox, sync: Sync, wire: Wire, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    # Eight failures in a row take up to 91 seconds of the clock of the sandbox.
    monkeypatch.setattr(QuickTap, "retry", RetryPolicy())
    operation = getattr(wire, place, place)
    sandbox.add_fault(Fault(operation, Effect.STATUS, status=503, times=8))
    assert len(sync("opportunities", **INCREMENTAL).records("opportunities")) == 2
    assert len(sandbox.export_jobs()) == 1


def uncounted(sandbox: Sandbox, wire: Wire) -> None:
    """Leave out the members by which v1 counts the rows and the bytes of a job."""
    if wire.is_v1:
        members = {"record_count": None, "file_size_bytes": None}
        for name in (wire.create, wire.get):
            sandbox.add_fault(Fault(name, Effect.ALTER, members=members, times=None))
        sandbox.add_fault(
            Fault(wire.list_jobs, Effect.ALTER, members=members, items={}, times=None)
        )


def test_an_empty_file_of_a_job_that_counted_no_rows_is_not_requested_again(
    sandbox: Sandbox, sync: Sync
) -> None:
    sandbox.add_entity("opportunities", FIELDS, [])
    counts = {"record_count": 0, "file_size_bytes": None}
    for name in ("createExportJob", "getExportJob"):
        sandbox.add_fault(Fault(name, Effect.ALTER, members=counts, times=None))
    sandbox.add_fault(Fault("listExportJobs", Effect.ALTER, members=counts, items={}, times=None))
    sandbox.add_fault(Fault("signedFile", Effect.STATUS, status=200, times=None))
    assert sync("opportunities", **INCREMENTAL).records("opportunities") == []
    assert len(sandbox.requests("signedFile")) == 1
