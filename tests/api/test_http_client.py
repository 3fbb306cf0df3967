from __future__ import annotations

import gzip
import io
import logging
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from demandbase_api import errors
from demandbase_api.clock import SystemClock
from demandbase_api.connection import Connection
from demandbase_api.deadline import Deadline
from demandbase_api.http.body import CHUNK_BYTES, BodyReader
from demandbase_api.http.client import HttpClient
from demandbase_api.http.error_mapping import retry_after_seconds
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.models import (
    ColumnMapping,
    ExportRequest,
    ImportOperation,
    ImportRequest,
    JobStatus,
    RowError,
)
from demandbase_api.redaction import mask_values, redact
from demandbase_api.v1.exports import V1ExportApi
from demandbase_api.v1.imports import V1ImportApi
from demandbase_sandbox import Effect, Fault, Sandbox
from tests.http_server import Reply, http_server

pytestmark = pytest.mark.thorough

QUICK = RetryPolicy(tries=4, base_seconds=0.001, max_seconds=0.002)
REQUEST = ExportRequest("campaigns", ("campaign_id", "name"))
IMPORT = ImportRequest(
    "accounts", ImportOperation.UPSERT, "domain", (ColumnMapping("d", "domain"),)
)


def http(sandbox: Sandbox, **options: Any) -> HttpClient:  # noqa: ANN401
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "retry": QUICK, **options}
    return HttpClient(Connection(**settings))


@pytest.fixture
def exports(sandbox: Sandbox) -> V1ExportApi:
    return V1ExportApi(http(sandbox))


@pytest.fixture
def imports(sandbox: Sandbox) -> V1ImportApi:
    return V1ImportApi(http(sandbox))


def download(exports: V1ExportApi, job_id: str) -> bytes:
    with exports.open_part(job_id, 1) as body:
        return b"".join(body.chunks())


CALLS: dict[str, Callable[[V1ExportApi, V1ImportApi], object]] = {
    "listExportableEntities": lambda e, _: e.entities(),
    "createExportJob": lambda e, _: e.submit(REQUEST),
    "listExportJobs": lambda e, _: list(e.jobs()),
    "getExportJob": lambda e, _: e.get("x"),
    "cancelExportJob": lambda e, _: e.cancel("x"),
    "downloadExportFile": lambda e, _: download(e, "x"),
    "listFieldMappings": lambda _, i: i.mappings(),
    "createImportJob": lambda _, i: i.submit(IMPORT, "f.csv"),
    "listImportJobs": lambda _, i: list(i.jobs()),
    "getImportJob": lambda _, i: i.get("x"),
    "cancelImportJob": lambda _, i: i.cancel("x"),
    "uploadImportFile": lambda _, i: i.upload("x", io.BytesIO(b"d\r\n"), "f.csv"),
    "getImportErrors": lambda _, i: list(i.row_errors("x")),
}
CREATING = {"createExportJob", "createImportJob"}


def test_an_export_from_submission_to_file(sandbox: Sandbox, exports: V1ExportApi) -> None:
    assert exports.entities()[0].name == "accounts"
    job = exports.submit(REQUEST)
    assert job.status is JobStatus.PENDING
    done = exports.get(job.id)
    assert (done.status, done.record_count, done.file_parts) == (JobStatus.COMPLETED, 20, 1)
    content = download(exports, job.id)
    assert len(content) == done.file_size_bytes
    assert content.startswith(b"campaign_id,name\r\n")
    [seen] = sandbox.requests("signedFile")
    assert not seen.authorized
    assert seen.headers["User-Agent"].startswith("singer-demandbase/0")
    with pytest.raises(errors.ConflictError):
        exports.cancel(job.id)


def test_an_import_from_submission_to_row_errors(sandbox: Sandbox, imports: V1ImportApi) -> None:
    assert {"domain"} == {f.name for f in imports.mappings("accounts") if f.required}
    job = imports.submit(IMPORT, "f.csv")
    imports.upload(job.id, io.BytesIO(b'd\r\n""\r\nnew.example\r\n'), "rows.csv")
    done = imports.get(job.id)
    assert (done.total_rows, done.success_count, done.error_count) == (2, 1, 1)
    assert done.file_name == "rows.csv"
    [error] = imports.row_errors(job.id)
    assert (error.row_number, error.field) == (1, "domain")
    assert sandbox.uploaded(job.id) == b'd\r\n""\r\nnew.example\r\n'
    waiting = imports.submit(IMPORT, "f.csv")
    imports.cancel(waiting.id)
    assert imports.get(waiting.id).status is JobStatus.CANCELLED


def test_all_pages_are_read_and_each_job_is_yielded_once(
    sandbox: Sandbox, exports: V1ExportApi
) -> None:
    for _ in range(230):
        sandbox.tenant.exports.create({"entity_type": "campaigns"})
    jobs = exports.jobs()
    first = next(jobs)
    exports.submit(REQUEST)
    rest = [job.id for job in jobs]
    assert len({first.id, *rest}) == 230
    assert len(rest) == 229


@pytest.mark.parametrize("name", sorted(CALLS.keys() - CREATING - {"uploadImportFile"}))
@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.DROP_BEFORE])
def test_reads_and_cancels_are_retried(
    sandbox: Sandbox, exports: V1ExportApi, imports: V1ImportApi, name: str, effect: Effect
) -> None:
    sandbox.add_fault(Fault(name, effect, status=503, times=None))
    with pytest.raises(errors.TransientError):
        CALLS[name](exports, imports)
    # The caller repeats a download as a whole, with a new link.
    assert len(sandbox.requests(name)) == (1 if name == "downloadExportFile" else 4)


@pytest.mark.parametrize("name", sorted(CREATING))
@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.DROP_BEFORE, Effect.DROP_AFTER])
def test_a_creation_is_never_retried(
    sandbox: Sandbox, exports: V1ExportApi, imports: V1ImportApi, name: str, effect: Effect
) -> None:
    sandbox.add_fault(Fault(name, effect, status=503, times=None))
    with pytest.raises(errors.TransientError):
        CALLS[name](exports, imports)
    assert len(sandbox.requests(name)) == 1


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 418, 429, 500])
def test_no_error_shows_token_link_or_value(
    sandbox: Sandbox,
    exports: V1ExportApi,
    imports: V1ImportApi,
    caplog: pytest.LogCaptureFixture,
    name: str,
    status: int,
) -> None:
    secret = "https://files.example/a.csv?signature=s1gned"
    text = f'{{"error": "token {sandbox.token} for \\"me@private.example\\" at {secret}"}}'
    sandbox.add_fault(Fault(name, Effect.STATUS, status=status, body=text, times=None))
    with caplog.at_level(logging.DEBUG), pytest.raises(errors.ApiError) as caught:
        CALLS[name](exports, imports)
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(caught.value)
    assert sandbox.token not in shown
    assert "s1gned" not in shown
    if name in {"uploadImportFile", "getImportJob", "getImportErrors"}:
        assert "me@private.example" not in shown
    assert str(status) in str(caught.value)


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (401, "getExportJob", errors.AuthenticationError),
        (403, "getExportJob", errors.PermissionDeniedError),
        (400, "createExportJob", errors.InvalidRequestError),
        (404, "listExportableEntities", errors.NotFoundError),
        (409, "cancelImportJob", errors.ConflictError),
        (413, "uploadImportFile", errors.FileTooLargeError),
        (429, "createExportJob", errors.QuotaExceededError),
        (429, "createImportJob", errors.RateLimitedError),
        (429, "listExportJobs", errors.RateLimitedError),
        (418, "getImportJob", errors.UnexpectedResponseError),
    ],
)
def test_each_status_maps_to_one_error(
    sandbox: Sandbox,
    exports: V1ExportApi,
    imports: V1ImportApi,
    status: int,
    name: str,
    kind: type[Exception],
) -> None:
    sandbox.add_fault(Fault(name, Effect.STATUS, status=status, times=None))
    with pytest.raises(kind):
        CALLS[name](exports, imports)


def test_a_response_that_is_not_json_is_an_error(sandbox: Sandbox, exports: V1ExportApi) -> None:
    sandbox.add_fault(Fault("listExportableEntities", Effect.STATUS, status=200, body="<html>"))
    with pytest.raises(errors.UnexpectedResponseError, match="did not respond with a JSON object"):
        exports.entities()


TROUBLE = {
    "401": Fault("listExportJobs", Effect.STATUS, status=401, times=2),
    "html": Fault("listExportJobs", Effect.STATUS, status=200, body="<html>", times=2),
    "half": Fault("listExportJobs", Effect.INVALID_JSON, times=2),
}


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("has_responded", [True, False])
def test_what_seems_to_be_a_wrong_setting_may_pass_once_the_api_has_responded(
    sandbox: Sandbox, exports: V1ExportApi, trouble: str, *, has_responded: bool
) -> None:
    sandbox.add_fault(TROUBLE[trouble])
    if has_responded:
        exports.entities()
        assert list(exports.jobs()) == []
    else:
        with pytest.raises((errors.AuthenticationError, errors.UnexpectedResponseError)):
            list(exports.jobs())
    assert len(sandbox.requests("listExportJobs")) == (3 if has_responded else 1)


def test_an_unreachable_host_is_reported_with_its_setting(sandbox: Sandbox) -> None:
    api = V1ExportApi(http(sandbox, api_url="http://127.0.0.1:9"))
    with pytest.raises(errors.UnreachableError, match="api_url") as caught:
        api.entities()
    assert caught.value.nothing_sent


def test_a_response_that_stalls_times_out(sandbox: Sandbox) -> None:
    sandbox.add_fault(Fault("listExportableEntities", Effect.DELAY, seconds=0.3))
    retry = RetryPolicy(tries=1)
    api = V1ExportApi(http(sandbox, request_timeout_seconds=0.05, retry=retry))
    with pytest.raises(errors.UnreachableError, match="sent nothing"):
        api.entities()


def test_a_servers_retry_after_is_honoured(sandbox: Sandbox, exports: V1ExportApi) -> None:
    headers = {"Retry-After": "3600"}
    sandbox.add_fault(Fault("getExportJob", Effect.STATUS, status=503, headers=headers, times=None))
    with pytest.raises(errors.ServerError) as caught:
        exports.get("x")
    assert caught.value.retry_after == 3600
    assert retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0


@pytest.mark.parametrize(
    "value", ["soon", "9" * 500, "²", "-1", "Wed, 21 Oct 99999 07:28:00 GMT", "1.5"]
)
def test_a_retry_after_that_cannot_be_read_asks_for_nothing(
    sandbox: Sandbox, exports: V1ExportApi, value: str
) -> None:
    assert retry_after_seconds(value) is None
    if value.isascii():
        headers = {"Retry-After": value}
        sandbox.add_fault(Fault("getExportJob", Effect.STATUS, status=503, headers=headers))
        with pytest.raises(errors.NotFoundError):
            exports.get("x")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520])
def test_a_status_that_may_pass_is_retried(
    sandbox: Sandbox, exports: V1ExportApi, status: int
) -> None:
    sandbox.add_fault(Fault("listExportJobs", Effect.STATUS, status=status, times=2))
    assert list(exports.jobs()) == []


def test_json_that_is_too_large_is_an_error() -> None:
    blanks = (b" " * 2**20 for _ in range(65))
    with http_server({"/export/v1/jobs": Reply(body=blanks)}) as server:
        api = V1ExportApi(HttpClient(Connection(server.url, "token", retry=QUICK)))
        with pytest.raises(errors.UnexpectedResponseError, match="sent more than 64 MiB"):
            list(api.jobs())


@pytest.mark.parametrize("kind", ["application/json", "text/html"])
@pytest.mark.parametrize("pause", [0, 0.01], ids=["fast", "slow"])
def test_an_error_page_that_never_ends_is_that_error(kind: str, pause: float) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            time.sleep(pause)
            yield b" " * 65_536

    reply = Reply(403, endless(), {"Content-Type": kind})
    with http_server({"/export/v1/jobs": reply}) as server:
        client = HttpClient(Connection(server.url, "token", request_timeout_seconds=0.2))
        with pytest.raises(errors.PermissionDeniedError, match="HTTP 403"):
            list(V1ExportApi(client).jobs())


def test_a_small_body_that_is_a_large_one_is_read_in_small_pieces() -> None:
    packed = gzip.compress(bytes(CHUNK_BYTES * 20))
    reply = Reply(body=packed, headers={"Content-Encoding": "gzip"})
    with http_server({"/": reply}) as server:
        response = requests.get(server.url, stream=True, timeout=10)
        sizes = [len(chunk) for chunk in BodyReader(SystemClock(), 10).chunks(response)]
    assert max(sizes) <= CHUNK_BYTES
    assert sum(sizes) == CHUNK_BYTES * 20


def test_json_that_drips_ends_with_the_deadline(sandbox: Sandbox, exports: V1ExportApi) -> None:
    sandbox.add_fault(Fault("listExportJobs", Effect.DRIP, bytes=1, seconds=0.05, times=None))
    clock = SystemClock()
    started = clock.now()
    with pytest.raises(errors.UnreachableError, match="did not respond in time"):
        list(exports.jobs(Deadline.after(clock, 0.2)))
    assert clock.now() - started < 1


def test_json_that_drips_is_given_up(sandbox: Sandbox) -> None:
    sandbox.add_fault(Fault("listExportJobs", Effect.DRIP, bytes=1, seconds=0.05, times=None))
    api = V1ExportApi(http(sandbox, request_timeout_seconds=0.15, retry=RetryPolicy(tries=1)))
    with pytest.raises(errors.UnreachableError, match="less than 1 KiB/s"):
        list(api.jobs())


def test_no_value_is_in_the_repr_of_a_model() -> None:
    error = RowError(1, "email", "invalid", "me@private.example", "bad me@private.example")
    assert "private" not in repr(error)


@given(st.text(min_size=8), st.text(), st.text())
def test_a_secret_never_survives_redaction(secret: str, before: str, after: str) -> None:
    assert secret not in redact(before + secret + after, secret) or secret in "***"


@pytest.mark.parametrize(
    "text",
    ['the value "Ada L" is bad', "bad: ada@x.example", "no such day: 2026-13-45", "got 4111111111"],
)
def test_what_looks_like_a_cell_is_masked(text: str) -> None:
    masked = mask_values(text)
    assert "***" in masked
    for value in ("Ada", "ada@", "2026-13", "4111111111"):
        assert value not in masked
