"""Interrupted downloads resume or start over; a part arrives completely or not at all."""

from __future__ import annotations

import gzip
import io
import time
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from demandbase_api.connection import Connection
from demandbase_api.downloads import Downloader
from demandbase_api.errors import (
    DownloadError,
    InterruptedDownloadError,
    JobGoneError,
    SpoolError,
)
from demandbase_api.http.client import HttpClient
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.models import ExportJob, ExportRequest, JobStatus
from demandbase_api.v1.exports import V1ExportApi
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tests.http_server import Reply, http_server

QUICK = RetryPolicy(tries=4, base_seconds=0.001, max_seconds=0.01)
FILE = "signedFile"
CUTS = ["content_length", "chunked", "close"]


@pytest.fixture
def api(sandbox: Sandbox) -> V1ExportApi:
    return V1ExportApi(HttpClient(Connection(sandbox.url, sandbox.token, 5, retry=QUICK)))


@pytest.fixture
def job(api: V1ExportApi) -> ExportJob:
    fields = ("campaign_id", "name", "status", "budget")
    return api.get(api.submit(ExportRequest("campaigns", fields)).id)


@pytest.fixture
def whole(sandbox: Sandbox, api: V1ExportApi, job: ExportJob) -> bytes:
    file = io.BytesIO()
    Downloader(api, QUICK).download(job, "campaigns", 1, file)
    sandbox.clear_requests()
    return file.getvalue()


def download(api: V1ExportApi, job: ExportJob) -> bytes:
    file = io.BytesIO()
    size = Downloader(api, QUICK).download(job, "campaigns", 1, file)
    assert size == len(file.getvalue())
    return file.getvalue()


def ranges(sandbox: Sandbox) -> list[str | None]:
    return [request.headers.get("Range") for request in sandbox.requests(FILE)]


@pytest.mark.parametrize("how", CUTS)
def test_a_truncated_body_resumes_by_range_from_a_new_link(
    sandbox: Sandbox, api: V1ExportApi, job: ExportJob, whole: bytes, how: str
) -> None:
    sandbox.add_fault(Fault(FILE, Effect.CUT, bytes=500, how=how))
    assert download(api, job) == whole
    assert ranges(sandbox) == [None, "bytes=500-"]
    assert all(request.headers.get("If-Range") for request in sandbox.requests(FILE)[1:])
    assert len(sandbox.requests("downloadExportFile")) == 2


@pytest.mark.parametrize("how", CUTS)
def test_a_body_may_be_truncated_repeatedly(
    sandbox: Sandbox, api: V1ExportApi, job: ExportJob, whole: bytes, how: str
) -> None:
    sandbox.add_fault(Fault(FILE, Effect.CUT, bytes=300, how=how, times=2))
    assert download(api, job) == whole


def test_a_stalled_read_resumes_by_range(sandbox: Sandbox, job: ExportJob, whole: bytes) -> None:
    patient = Connection(sandbox.url, sandbox.token, 0.2, retry=QUICK)
    sandbox.add_fault(Fault(FILE, Effect.STALL, bytes=700, seconds=30))
    assert download(V1ExportApi(HttpClient(patient)), job) == whole
    assert ranges(sandbox) == [None, "bytes=700-"]


def test_a_file_that_changed_meanwhile_starts_over(
    sandbox: Sandbox, api: V1ExportApi, job: ExportJob, whole: bytes
) -> None:
    sandbox.add_fault(Fault(FILE, Effect.CUT, bytes=500))
    sandbox.add_fault(Fault(FILE, Effect.CHANGED, after=1, times=None))
    changed = download(api, job)
    assert changed != whole
    assert sorted(changed.splitlines()) == sorted(whole.splitlines())


@pytest.mark.parametrize("how", CUTS)
def test_a_server_without_ranges_starts_over(
    sandbox: Sandbox, api: V1ExportApi, job: ExportJob, whole: bytes, how: str
) -> None:
    sandbox.add_fault(Fault(FILE, Effect.NO_RANGE, times=None))
    sandbox.add_fault(Fault(FILE, Effect.CUT, bytes=500, how=how))
    assert download(api, job) == whole


@pytest.mark.parametrize("status", [403, 404, 410, 500, 503])
def test_an_error_of_a_link_leads_to_a_new_one(
    sandbox: Sandbox, api: V1ExportApi, job: ExportJob, whole: bytes, status: int
) -> None:
    sandbox.add_fault(Fault(FILE, Effect.STATUS, status=status, times=3))
    assert download(api, job) == whole
    assert len(sandbox.requests("downloadExportFile")) == 4


def test_the_number_of_tries_is_limited(sandbox: Sandbox, api: V1ExportApi, job: ExportJob) -> None:
    sandbox.add_fault(Fault(FILE, Effect.CUT, bytes=0, times=None))
    with pytest.raises(DownloadError, match=f"Part 1 of the export job {job.id} for campaigns"):
        download(api, job)
    assert len(sandbox.requests(FILE)) == 4


def test_an_expired_job_is_gone_and_not_retried(
    sandbox: Sandbox, api: V1ExportApi, job: ExportJob
) -> None:
    sandbox.clock.advance(sandbox.options.job_expires_seconds + 1)
    file = io.BytesIO()
    with pytest.raises(JobGoneError, match="is no longer there: it has expired"):
        Downloader(api, QUICK).download(job, "campaigns", 1, file)
    assert len(sandbox.requests("downloadExportFile")) == 1


def test_only_the_link_and_the_clock_of_the_server_say_that_a_job_has_expired(
    sandbox: Sandbox, api: V1ExportApi
) -> None:
    sandbox.clock.skew(-7 * 24 * 3600)
    job = api.get(api.submit(ExportRequest("campaigns", ("campaign_id",))).id)
    assert job.expires_at is not None
    assert job.expires_at < sandbox.clock.true_time()
    sandbox.add_fault(Fault("downloadExportFile", Effect.STATUS, status=404))
    assert download(api, job)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_file_is_gone_if_each_new_link_is_rejected(
    sandbox: Sandbox, api: V1ExportApi, job: ExportJob, status: int
) -> None:
    sandbox.add_fault(Fault(FILE, Effect.STATUS, status=status, times=None))
    with pytest.raises(JobGoneError, match=f"is no longer there: .*HTTP {status}"):
        download(api, job)
    assert len(sandbox.requests(FILE)) == QUICK.tries


def test_an_unknown_job_is_gone(api: V1ExportApi) -> None:
    gone = ExportJob("nosuch", JobStatus.COMPLETED)
    with pytest.raises(JobGoneError, match="Demandbase no longer knows it"):
        download(api, gone)


def test_space_is_reserved_before_the_body_is_read(
    api: V1ExportApi, job: ExportJob, whole: bytes
) -> None:
    asked: list[int] = []

    def room(size: int) -> None:
        asked.append(size)
        if size > 100:
            raise SpoolError("too little room")

    file = io.BytesIO()
    with pytest.raises(SpoolError):
        Downloader(api, QUICK, room).download(job, "campaigns", 1, file)
    assert asked == [len(whole)]
    assert file.getvalue() == b""


def test_compressed_parts_are_not_decoded() -> None:
    options = SandboxOptions(pending_seconds=0, processing_seconds=0, gzip=True)
    with Sandbox(options) as sandbox:
        connection = Connection(sandbox.url, sandbox.token, retry=QUICK)
        api = V1ExportApi(HttpClient(connection))
        job = api.get(api.submit(ExportRequest("campaigns", ("campaign_id",))).id)
        assert download(api, job)[:2] == b"\x1f\x8b"


def test_a_part_that_advances_with_each_try_arrives(
    sandbox: Sandbox, api: V1ExportApi, job: ExportJob, whole: bytes
) -> None:
    sandbox.add_fault(Fault(FILE, Effect.CUT, bytes=50, times=None))
    assert len(whole) > 50 * 4  # the tries of QUICK
    assert download(api, job) == whole


def test_a_link_that_the_file_host_rejects_is_requested_again(
    sandbox: Sandbox, api: V1ExportApi, job: ExportJob, whole: bytes
) -> None:
    sandbox.add_fault(Fault(FILE, Effect.STATUS, status=400))
    assert download(api, job) == whole


@pytest.mark.parametrize(
    "trouble",
    [
        Fault(FILE, Effect.HEADERS, headers={"ETag": ""}, times=None),
        Fault(FILE, Effect.NO_RANGE, times=None),
    ],
    ids=["without validator", "without ranges"],
)
def test_a_file_that_cannot_be_resumed_is_started_over_five_times(
    sandbox: Sandbox, api: V1ExportApi, job: ExportJob, trouble: Fault
) -> None:
    sandbox.add_fault(trouble)
    sandbox.add_fault(Fault(FILE, Effect.CUT, bytes=500, times=None))
    patient = RetryPolicy(tries=50, base_seconds=0.001, max_seconds=0.001)
    with pytest.raises(DownloadError, match="broke off the file 6 times without a way to resume"):
        Downloader(api, patient).download(job, "campaigns", 1, io.BytesIO())
    assert len(sandbox.requests(FILE)) == 7  # the last one shows that it starts over again


@pytest.mark.parametrize("is_encoded", [True, False])
def test_a_file_that_is_marked_as_gzip_is_kept_as_it_is(*, is_encoded: bool) -> None:
    options = SandboxOptions(pending_seconds=0, processing_seconds=0, gzip=is_encoded)
    with Sandbox(options) as sandbox:
        api = V1ExportApi(HttpClient(Connection(sandbox.url, sandbox.token, retry=QUICK)))
        job = api.get(api.submit(ExportRequest("campaigns", ("campaign_id",))).id)
        marked = {"Content-Encoding": "gzip"}
        sandbox.add_fault(Fault(FILE, Effect.HEADERS, headers=marked, times=None))
        sandbox.add_fault(Fault(FILE, Effect.CUT, bytes=20))
        content = download(api, job)
        assert ranges(sandbox) == [None, "bytes=20-"]
        assert len(content) == job.file_size_bytes
        plain = gzip.decompress(content) if is_encoded else content
        assert plain.startswith(b"campaign_id\r\n")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Content-Encoding": "br"}, "encoded the file as “br”, which was not requested"),
        ({"Content-Length": "9" * 5000}, "without a possible length"),
        ({"Content-Length": "²"}, "without a possible length"),
    ],
    ids=["encoding", "long", "odd"],
)
def test_a_file_with_odd_headers_fails_at_once(headers: dict[str, str], said: str) -> None:
    path = "/export/v1/jobs/x/download"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    raw = f"HTTP/1.1 200 OK\r\nConnection: close\r\n{lines}\r\nid\r\n1\r\n".encode("latin-1")
    with http_server({path: Reply(raw=raw)}) as server:
        api = V1ExportApi(HttpClient(Connection(server.url, "token", retry=QUICK)))
        with pytest.raises(DownloadError, match=said):
            download(api, ExportJob("x", JobStatus.COMPLETED))
        assert len(server.requests) == 1


@pytest.mark.parametrize("link", ["http://127.0.0.1:99999/f", "http://[x/", "ftp://a.example/f"])
def test_a_redirect_to_no_web_address_fails_at_once(link: str) -> None:
    replies = {"/export/v1/jobs/x/download": Reply(302, headers={"Location": link})}
    with http_server(replies) as server:
        api = V1ExportApi(HttpClient(Connection(server.url, "token", retry=QUICK)))
        with pytest.raises(DownloadError, match="gave a link that is not a web address"):
            download(api, ExportJob("x", JobStatus.COMPLETED))
        assert len(server.requests) == 1


def dripping(pieces: int, size: int, seconds: float) -> Iterator[bytes]:
    for _ in range(pieces):
        yield b"x" * size
        time.sleep(seconds)


@pytest.mark.parametrize(("size", "arrives"), [(5, False), (500, True)])
def test_only_a_file_that_arrives_too_slowly_times_out(size: int, *, arrives: bool) -> None:
    replies = {
        "/export/v1/jobs/x/download": [
            Reply(body=dripping(40, size, 0.01), headers={"Content-Length": str(40 * size)})
        ]
    }
    with http_server(replies) as server:
        connection = Connection(server.url, "token", 0.1, retry=RetryPolicy(tries=1))
        api = V1ExportApi(HttpClient(connection))
        with (
            api.open_part("x", 1) as body,
            nullcontext()
            if arrives
            else pytest.raises(InterruptedDownloadError, match=r"less than 1 KiB/s for 0\.1 s"),
        ):
            received = sum(map(len, body.chunks()))
        if arrives:
            assert received == 40 * size
