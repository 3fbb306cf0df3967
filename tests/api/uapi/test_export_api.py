"""Exports from creation to file, with few calls."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from demandbase_api.config import Api
from demandbase_api.connect import connect
from demandbase_api.connection import ApiFiles, Connection
from demandbase_api.downloads import Downloader
from demandbase_api.errors import (
    DownloadError,
    JobGoneError,
    NotReadyError,
    UnexpectedResponseError,
)
from demandbase_api.models import ExportJob, ExportRequest, JobStatus
from demandbase_api.ports import ExportApi
from demandbase_api.state.folder import StateFolder
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tests.api.uapi.conftest import QUICK
from tests.sandbox_time import SandboxTime

pytestmark = pytest.mark.thorough

REQUEST = ExportRequest("accounts", ("{Account}.id", "{Account}.name"))
EARLIER_DIGEST = "6c552941c48ba100aeff"


def looked_up(api: ExportApi, job_id: str) -> ExportJob:
    return next(job for job in api.jobs() if job.id == job_id)


def download(api: ExportApi, job: ExportJob, part: int = 1) -> bytes:
    file = io.BytesIO()
    Downloader(api, QUICK).download(job, "accounts", part, file)
    return file.getvalue()


def test_an_export_from_creation_to_file(sandbox: Sandbox, exports: ExportApi) -> None:
    created = exports.submit(REQUEST)
    assert created.status is JobStatus.PENDING
    listed = looked_up(exports, created.id)
    assert (listed.status, listed.entity) == (JobStatus.COMPLETED, "accounts")
    assert exports.is_for(listed, REQUEST)
    job = exports.with_details(listed)
    assert job.file_parts == 1
    lines = download(exports, job).decode().splitlines()
    assert lines[0] == "{Account}.id,{Account}.name"
    assert len(lines) == 201
    assert len(sandbox.requests("checkExportJobStatus")) == 1
    assert not any(request.authorized for request in sandbox.requests("signedFile"))


def test_an_expired_link_is_requested_again(sandbox: Sandbox, exports: ExportApi) -> None:
    job = exports.submit(REQUEST)
    job = exports.with_details(looked_up(exports, job.id))
    sandbox.clock.advance(25 * 3600)
    assert download(exports, job).count(b"\n") == 201
    assert len(sandbox.requests("checkExportJobStatus")) == 2


def test_a_job_is_read_once_for_two_concurrent_callers(
    sandbox: Sandbox, exports: ExportApi
) -> None:
    job = looked_up(exports, exports.submit(REQUEST).id)
    sandbox.add_fault(Fault("checkExportJobStatus", Effect.DELAY, seconds=0.3, times=None))
    with ThreadPoolExecutor(2) as pool:
        file = pool.submit(download, exports, job)
        assert pool.submit(exports.with_details, job).result().file_parts == 1
        assert file.result().count(b"\n") == 201
    assert len(sandbox.requests("checkExportJobStatus")) == 1


def test_a_truncated_download_resumes_with_the_same_link(
    sandbox: Sandbox, exports: ExportApi
) -> None:
    job = exports.submit(REQUEST)
    job = exports.with_details(looked_up(exports, job.id))
    sandbox.add_fault(Fault("signedFile", Effect.CUT, bytes=700, how="length"))
    assert download(exports, job).count(b"\n") == 201
    assert len(sandbox.requests("checkExportJobStatus")) == 1


def test_an_empty_body_without_framing_is_an_error(sandbox: Sandbox, exports: ExportApi) -> None:
    # The server sends no count that would reveal the missing rows.
    job = exports.submit(REQUEST)
    job = exports.with_details(looked_up(exports, job.id))
    sandbox.add_fault(Fault("signedFile", Effect.CUT, bytes=0, how="close", times=3))
    assert download(exports, job).count(b"\n") == 201


def test_a_missing_job_differs_from_an_expired_link(exports: ExportApi) -> None:
    # The error also has the codes for support.
    reason = r"no longer knows it \(HTTP 404, code 404-302, diagnostic code [0-9a-f]{32}\)"
    with pytest.raises(JobGoneError, match=reason):
        download(exports, ExportJob("no-such-job", JobStatus.COMPLETED))


def test_a_link_that_is_rejected_each_time_has_advice(sandbox: Sandbox, exports: ExportApi) -> None:
    job = exports.submit(REQUEST)
    job = exports.with_details(looked_up(exports, job.id))
    sandbox.add_fault(Fault("checkExportJobStatus", Effect.EXPIRED_LINK, times=None))
    sandbox.add_fault(Fault("signedFile", Effect.STATUS, status=403, times=None))
    with pytest.raises(JobGoneError, match="ask Demandbase's support about the job") as caught:
        download(exports, job)
    assert "://" not in str(caught.value)


@pytest.fixture(scope="module")
def parted() -> Iterator[Sandbox]:
    options = SandboxOptions(
        pending_seconds=0, processing_seconds=0, results_urls=True, part_rows=60
    )
    with Sandbox(options) as sandbox:
        yield sandbox


def test_a_list_of_links_is_a_list_of_parts(parted: Sandbox, tmp_path: Path) -> None:
    connection = Connection(
        parted.uapi_url,
        client_id=parted.client_id,
        client_secret=parted.client_secret,
        retry=QUICK,
    )
    files = ApiFiles(StateFolder(tmp_path))
    api = connect(connection, Api.UAPI, files=files, clock=SandboxTime(parted)).exports
    job = api.submit(REQUEST)
    job = api.with_details(looked_up(api, job.id))
    assert job.file_parts == 4
    rows = [download(api, job, part).count(b"\n") - 1 for part in (1, 2, 3, 4)]
    assert rows == [60, 60, 60, 20]
    assert len(parted.requests("checkExportJobStatus")) == 1


def test_a_failed_job_says_why(sandbox: Sandbox, exports: ExportApi) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.JOB_FAILS, message="out of disk"))
    job = exports.submit(REQUEST)
    listed = looked_up(exports, job.id)
    assert (listed.status, listed.error_message) == (JobStatus.FAILED, None)
    assert exports.with_details(listed).error_message == "out of disk"


@pytest.mark.parametrize(
    ("member", "value", "said"),
    [
        ("jobId", None, "left out the member “jobId”"),
    ],
)
def test_a_malformed_response_is_reported(
    sandbox: Sandbox, exports: ExportApi, member: str, value: object, said: str
) -> None:
    job = exports.submit(REQUEST)
    sandbox.add_fault(Fault("checkExportJobStatus", Effect.ALTER, members={member: value}))
    with pytest.raises(UnexpectedResponseError, match=said):
        exports.get(job.id)


@pytest.mark.parametrize("value", [None, "", 7])
def test_the_link_of_a_finished_job_may_come_later(
    sandbox: Sandbox, exports: ExportApi, value: object
) -> None:
    job = exports.submit(REQUEST)
    fault = Fault("checkExportJobStatus", Effect.ALTER, members={"resultsUrl": value}, times=2)
    sandbox.add_fault(fault)
    assert exports.with_details(looked_up(exports, job.id)).file_parts == 1
    sandbox.add_fault(replace(fault, times=None))
    with pytest.raises(NotReadyError, match="gave a finished job without a link"):
        exports.get(job.id)


@pytest.mark.parametrize("link", ["http://127.0.0.1:99999/f", "http://[x/", "ftp://a.example/f"])
def test_a_link_that_is_no_web_address_is_reported_at_once(
    sandbox: Sandbox, exports: ExportApi, link: str
) -> None:
    job = exports.submit(REQUEST)
    sandbox.add_fault(Fault("checkExportJobStatus", Effect.ALTER, members={"resultsUrl": link}))
    with pytest.raises(DownloadError, match="gave a link that is not a web address"):
        download(exports, exports.with_details(looked_up(exports, job.id)))


def test_the_reason_of_a_failed_job_does_not_have_the_secret(
    sandbox: Sandbox, exports: ExportApi
) -> None:
    job = exports.submit(REQUEST)
    members = {"jobStatus": "failed", "message": f"for {sandbox.client_secret}"}
    sandbox.add_fault(Fault("checkExportJobStatus", Effect.ALTER, members=members))
    assert exports.get(job.id).error_message == "for ***"


def test_all_pages_of_the_list_are_read_newest_first_and_each_job_once(
    sandbox: Sandbox, exports: ExportApi
) -> None:
    created = []
    for _ in range(3):
        created += [exports.submit(REQUEST).id for _ in range(55)]
        sandbox.clock.advance(24 * 3600)
    assert [job.id for job in exports.jobs()] == created[::-1]
    assert len(sandbox.requests("fetchExportJobsInfo")) == 2


def test_cancelling_is_not_supported(exports: ExportApi) -> None:
    assert not exports.cancel("job-1")


def test_a_job_of_another_name_is_not_for_the_request(
    exports: ExportApi, connection: Callable[..., Connection], files: ApiFiles
) -> None:
    job = exports.submit(REQUEST)
    again = connect(connection(), Api.UAPI, files=files).exports
    assert again.is_for(looked_up(again, job.id), REQUEST)
    assert not again.is_for(job, ExportRequest("accounts", ("{Account}.id",)))


def test_the_name_of_a_job_tells_which_run_created_it(
    exports: ExportApi, connection: Callable[..., Connection], files: ApiFiles
) -> None:
    job = looked_up(exports, exports.submit(REQUEST).id)
    assert exports.is_own(job) is True
    again = connect(connection(), Api.UAPI, files=files).exports
    assert again.is_own(job) is False
    assert again.is_own(replace(job, name=None)) is False


def test_the_name_of_version_0_1_0_is_known(exports: ExportApi) -> None:
    name = f"singer accounts {EARLIER_DIGEST}"
    assert exports.is_for(ExportJob("x", JobStatus.PENDING, name=name), REQUEST)
    for other in (f"{name}0", f"{name} x", name.upper(), "singer accounts", ""):
        assert not exports.is_for(ExportJob("x", JobStatus.PENDING, name=other), REQUEST)


def test_a_download_reads_its_job_once_for_each_try(sandbox: Sandbox, exports: ExportApi) -> None:
    job = exports.submit(REQUEST)
    sandbox.add_fault(Fault("checkExportJobStatus", Effect.STATUS, status=503, times=None))
    with pytest.raises(DownloadError, match="describe an export job"):
        download(exports, job)
    assert len(sandbox.requests("checkExportJobStatus")) == 6  # the tries of the policy
