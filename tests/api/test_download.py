"""The download of a part: links, redirects, retries and memory, over real HTTP."""

from __future__ import annotations

import io
import logging
import tracemalloc
from importlib import metadata
from typing import Any

import pytest

from demandbase_api import errors
from demandbase_api.connection import Connection
from demandbase_api.downloads import Downloader
from demandbase_api.http.body import CHUNK_BYTES
from demandbase_api.http.client import HttpClient
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.models import ExportJob, ExportRequest, JobStatus
from demandbase_api.v1.exports import V1ExportApi
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions

QUICK = RetryPolicy(tries=3, base_seconds=0.001, max_seconds=0.01)
REQUEST = ExportRequest("campaigns", ("campaign_id", "name"))


def exports(sandbox: Sandbox, **options: Any) -> V1ExportApi:  # noqa: ANN401
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "retry": QUICK, **options}
    return V1ExportApi(HttpClient(Connection(**settings)))


def finished(api: V1ExportApi, request: ExportRequest = REQUEST) -> tuple[str, int]:
    """Return the id and the size of a completed job."""
    job = api.get(api.submit(request).id)
    assert job.file_size_bytes is not None
    return job.id, job.file_size_bytes


def fetch(api: V1ExportApi, job_id: str, file: io.BytesIO, sizes: list[int] | None = None) -> int:
    sizes = [] if sizes is None else sizes
    job = ExportJob(job_id, JobStatus.COMPLETED)
    return Downloader(api, QUICK).download(job, "campaigns", 1, file, sizes.append)


def test_a_link_to_another_port_is_followed_without_the_token(sandbox: Sandbox) -> None:
    api = exports(sandbox, user_agent="a-name")
    job_id, size = finished(api)
    sandbox.clear_requests()
    file = io.BytesIO()
    assert fetch(api, job_id, file) == size
    assert file.tell() == 0
    assert file.read().startswith(b"campaign_id,name\r\n")
    assert sandbox.files_url != sandbox.url
    [asked], [served] = sandbox.requests("downloadExportFile"), sandbox.requests("signedFile")
    assert (asked.status, asked.authorized) == (302, True)
    assert (served.status, served.authorized) == (200, False)
    agent = f"a-name/{metadata.version('singer-demandbase')}"
    assert [asked.headers["User-Agent"], served.headers["User-Agent"]] == [agent, agent]


def test_a_file_of_the_api_itself_is_requested_with_the_token() -> None:
    options = SandboxOptions(pending_seconds=0, processing_seconds=0, direct_download=True)
    with Sandbox(options) as sandbox:
        api = exports(sandbox)
        job_id, size = finished(api)
        assert fetch(api, job_id, io.BytesIO()) == size
        assert [seen.status for seen in sandbox.requests("downloadExportFile")] == [200]
        assert not sandbox.requests("signedFile")


@pytest.mark.parametrize(
    "fault",
    [
        Fault("downloadExportFile", Effect.EXPIRED_LINK, times=2),
        Fault("signedFile", Effect.STATUS, status=503, times=2),
        Fault("signedFile", Effect.STATUS, status=404, times=2),
        Fault("signedFile", Effect.DROP_BEFORE, times=2),
        Fault("signedFile", Effect.CUT, how="length", bytes=100, times=2),
        Fault("signedFile", Effect.CUT, how="length", bytes=0, times=2),
    ],
    ids=lambda fault: f"{fault.effect}-{fault.status}-{fault.bytes}",
)
def test_each_try_requests_a_new_link_and_starts_over(sandbox: Sandbox, fault: Fault) -> None:
    api = exports(sandbox)
    job_id, size = finished(api)
    whole = io.BytesIO()
    fetch(api, job_id, whole)
    sandbox.clear_requests()
    sandbox.add_fault(fault)
    file = io.BytesIO(b"left over from before")
    assert fetch(api, job_id, file) == size
    assert file.getvalue() == whole.getvalue()
    assert len(sandbox.requests("downloadExportFile")) == 3
    assert len(sandbox.requests("signedFile")) == 3


def test_an_expired_link_is_replaced(sandbox: Sandbox) -> None:
    api = exports(sandbox)
    job_id, _ = finished(api)
    # The job's own download_url would have expired; a part's link is always requested again.
    sandbox.clock.advance(sandbox.options.link_expires_seconds + 1)
    fetch(api, job_id, io.BytesIO())
    assert [seen.status for seen in sandbox.requests("signedFile")] == [200]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("signedFile", Effect.CUT, how="length", bytes=0, times=None),
        Fault("signedFile", Effect.DROP_BEFORE, times=None),
        Fault("downloadExportFile", Effect.STATUS, status=500, times=None),
    ],
    ids=lambda fault: f"{fault.operation}-{fault.effect}",
)
def test_a_part_that_cannot_be_downloaded_is_reported(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    api = exports(sandbox)
    job_id, _ = finished(api)
    sandbox.add_fault(fault)
    with caplog.at_level(logging.WARNING), pytest.raises(errors.DownloadError) as caught:
        fetch(api, job_id, io.BytesIO())
    assert str(caught.value).startswith(f"Part 1 of the export job {job_id} for campaigns could")
    assert (caught.value.part, caught.value.job_id) == (1, job_id)
    assert len(sandbox.requests("downloadExportFile")) == 3
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    retries = [record.getMessage().partition(":")[0] for record in warnings]
    assert [note.partition("(")[2] for note in retries] == [
        "1 of 3 tries made)",
        "2 of 3 tries made)",
    ]


def test_a_rejected_token_is_not_tried_again(sandbox: Sandbox) -> None:
    api = exports(sandbox)
    job_id, _ = finished(api)
    sandbox.add_fault(Fault("downloadExportFile", Effect.STATUS, status=401, times=None))
    with pytest.raises(errors.DownloadError, match="did not accept the access token"):
        fetch(api, job_id, io.BytesIO())
    assert len(sandbox.requests("downloadExportFile")) == 1


def test_a_full_disk_is_a_spool_error(sandbox: Sandbox) -> None:
    class FullDisk(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    api = exports(sandbox)
    job_id, _ = finished(api)
    with pytest.raises(errors.SpoolError, match=r"no space is left.*spool_dir"):
        fetch(api, job_id, FullDisk())
    assert len(sandbox.requests("signedFile")) == 1


def test_memory_is_independent_of_the_size_of_a_part(sandbox: Sandbox) -> None:
    rows: list[list[str | None]] = [[str(number), "x" * 50_000] for number in range(400)]
    sandbox.add_entity("campaigns", [("campaign_id", "string"), ("name", "string")], rows)
    api = exports(sandbox)
    job_id, size = finished(api)
    del rows
    assert size > 20_000_000
    received = 0
    with api.open_part(job_id, 1) as body:
        assert body.size == size
        tracemalloc.start()
        try:
            for chunk in body.chunks():
                assert len(chunk) <= CHUNK_BYTES
                received += len(chunk)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert received == size
    # The figure includes the sandbox's own threads.
    assert peak < 16 * CHUNK_BYTES
