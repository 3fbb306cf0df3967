"""No error of any operation shows a token, a signed link or a record value."""

from __future__ import annotations

import io
import json
import logging
import string
import traceback
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from demandbase_api import errors
from demandbase_api.connection import Connection
from demandbase_api.downloads import Downloader
from demandbase_api.http.client import HttpClient
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.models import (
    ColumnMapping,
    ExportJob,
    ExportRequest,
    ImportOperation,
    ImportRequest,
    JobStatus,
)
from demandbase_api.redaction import MAX_LENGTH, redact
from demandbase_api.v1.exports import V1ExportApi
from demandbase_api.v1.imports import V1ImportApi
from demandbase_sandbox import Effect, Fault, Sandbox

pytestmark = pytest.mark.thorough

QUICK = RetryPolicy(tries=2, base_seconds=0.001, max_seconds=0.01)
CELL = "me@private.example"
LINK = "https://files.example/a.csv?signature=s1gned"


@pytest.fixture(scope="module")
def fresh_sandbox(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def sandbox(fresh_sandbox: Sandbox) -> Sandbox:
    """Shared by all cases, which only add jobs: a new tenant for each would take minutes."""
    fresh_sandbox.clear_faults()
    return fresh_sandbox


class Calls:
    """Every operation once, on existing jobs."""

    def __init__(self, sandbox: Sandbox) -> None:
        retry = QUICK
        http = HttpClient(Connection(sandbox.url, sandbox.token, retry=retry))
        self.exports, self.imports = V1ExportApi(http), V1ImportApi(http)
        self.http = http
        self.export_request = ExportRequest("campaigns", ("campaign_id", "name"))
        self.import_request = ImportRequest(
            "accounts", ImportOperation.UPSERT, "domain", (ColumnMapping("domain", "domain"),)
        )
        self.export_id = self.exports.submit(self.export_request).id
        self.import_id = self.imports.submit(self.import_request, "f.csv").id

    def download(self) -> None:
        job = ExportJob(self.export_id, JobStatus.COMPLETED)
        Downloader(self.exports, QUICK).download(job, "campaigns", 1, io.BytesIO())

    def upload(self) -> None:
        self.imports.upload(self.import_id, io.BytesIO(f"domain\r\n{CELL}\r\n".encode()), "a.csv")

    def by_operation(self) -> dict[str, Callable[[], object]]:
        return {
            "listExportableEntities": self.exports.entities,
            "createExportJob": lambda: self.exports.submit(self.export_request),
            "listExportJobs": lambda: list(self.exports.jobs()),
            "getExportJob": lambda: self.exports.get(self.export_id),
            "cancelExportJob": lambda: self.exports.cancel(self.export_id),
            "downloadExportFile": self.download,
            "signedFile": self.download,
            "listFieldMappings": self.imports.mappings,
            "createImportJob": lambda: self.imports.submit(self.import_request, "f.csv"),
            "listImportJobs": lambda: list(self.imports.jobs()),
            "getImportJob": lambda: self.imports.get(self.import_id),
            "cancelImportJob": lambda: self.imports.cancel(self.import_id),
            "uploadImportFile": self.upload,
            "getImportErrors": lambda: list(self.imports.row_errors(self.import_id)),
        }


OPERATIONS = (
    "listExportableEntities", "createExportJob", "listExportJobs", "getExportJob",
    "cancelExportJob", "downloadExportFile", "signedFile", "listFieldMappings",
    "createImportJob", "listImportJobs", "getImportJob", "cancelImportJob", "uploadImportFile",
    "getImportErrors",
)  # fmt: skip
QUOTING = {"uploadImportFile", "getImportJob", "getImportErrors", "signedFile"}


def shown(error: BaseException, caplog: pytest.LogCaptureFixture) -> str:
    chain = [error, error.__cause__, error.__context__]
    return "\n".join(
        [caplog.text, *traceback.format_exception(error), *map(str, chain), *map(repr, chain)]
    )


def body(sandbox: Sandbox, member: str) -> str:
    words = f'token {sandbox.token}, Bearer {sandbox.token}, cell "{CELL}", link {LINK}'
    return json.dumps({member: words})


def strike(fault: Fault, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, name: str) -> str:
    """Return all that an operation shows of its error."""
    call = Calls(sandbox).by_operation()[name]
    sandbox.add_fault(fault)
    with caplog.at_level(logging.DEBUG), pytest.raises(errors.DemandbaseError) as caught:
        call()
    return shown(caught.value, caplog)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(
    ("status", "member"),
    [(400, "error"), (403, "message"), (404, "errorMessage"), (429, "detail"), (503, "error")],
)
def test_an_error_response_shows_no_secret(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, name: str, member: str, status: int
) -> None:
    fault = Fault(name, Effect.STATUS, status=status, body=body(sandbox, member), times=None)
    text = strike(fault, sandbox, caplog, name)
    assert sandbox.token not in text
    assert "s1gned" not in text
    assert "signature=" not in text
    assert f"(HTTP {status})" in text
    assert (CELL in text) == (name not in QUOTING)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("effect", [Effect.DROP_BEFORE, Effect.DROP_AFTER])
def test_a_broken_connection_shows_no_secret(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, name: str, effect: Effect
) -> None:
    if (name, effect) == ("signedFile", Effect.DROP_AFTER):
        effect = Effect.CUT
    fault = Fault(name, effect, how="length", bytes=0, times=None)
    text = strike(fault, sandbox, caplog, name)
    assert sandbox.token not in text
    assert "signature" not in text.lower()
    assert CELL not in text
    assert "broke" in text


@pytest.mark.parametrize("name", [n for n in OPERATIONS if n.startswith(("get", "create"))])
def test_a_response_of_another_shape_shows_no_secret(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    members = dict.fromkeys(("id", "created_at", "record_count", "errors"), 5)
    members |= {"id": [sandbox.token, LINK, CELL], "errors": {CELL: LINK}}  # type: ignore[dict-item]
    fault = Fault(name, Effect.ALTER, members=members, times=None)
    text = strike(fault, sandbox, caplog, name)
    assert "gave a member" in text
    for secret in (sandbox.token, "s1gned", CELL):
        assert secret not in text


@pytest.mark.parametrize(
    "content", ["<html>{}</html>", '["{}"]', '"{}"', '{{"error": "{}"', ""], ids=repr
)
def test_a_body_that_is_not_an_object_is_not_shown(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    fault = Fault("getImportJob", Effect.STATUS, status=200, body=content.format(CELL), times=None)
    text = strike(fault, sandbox, caplog, "getImportJob")
    assert CELL not in text
    assert "did not respond with a JSON object" in text


def test_the_reason_of_a_failed_job_has_neither_the_token_nor_control_characters(
    sandbox: Sandbox,
) -> None:
    exports = Calls(sandbox).exports
    job_id = exports.submit(ExportRequest("campaigns", ("name",))).id
    words = f"for {sandbox.token}: no \x1b[31mspace\u202e"
    members = {"status": "failed", "error_message": words}
    sandbox.add_fault(Fault("getExportJob", Effect.ALTER, members=members))
    job = exports.get(job_id)
    assert job.error_message == words.replace(sandbox.token, "***")
    error = errors.job_failed("export", "campaigns", job, may_quote_rows=False)
    assert str(error).endswith("failed: for ***: no \\x1b[31mspace\\u202e.")


def test_an_expired_link_is_not_shown(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    fault = Fault("downloadExportFile", Effect.EXPIRED_LINK, times=None)
    text = strike(fault, sandbox, caplog, "downloadExportFile")
    assert "rejected a signed link" in text
    assert sandbox.files_url not in text
    assert sandbox.token not in text


@pytest.mark.parametrize("where", ["ftp://files.example/a?sig=s1gned", "http://[s1gned"])
def test_a_malformed_link_is_an_error_that_does_not_show_it(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    fault = Fault(
        "downloadExportFile", Effect.STATUS, status=302, headers={"Location": where}, times=None
    )
    text = strike(fault, sandbox, caplog, "downloadExportFile")
    assert "gave a link that is not a web address" in text
    assert "s1gned" not in text


def test_circular_redirects_end(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    job = "/export/v1/jobs/x/download?signature=s1gned"
    headers = {"Location": sandbox.url + job}
    fault = Fault("downloadExportFile", Effect.STATUS, status=302, headers=headers, times=None)
    text = strike(fault, sandbox, caplog, "downloadExportFile")
    assert "redirected more than 5 times" in text
    assert "s1gned" not in text


def test_no_repr_shows_the_token(sandbox: Sandbox) -> None:
    calls = Calls(sandbox)
    connection = Connection(sandbox.url, sandbox.token)
    for thing in (connection, calls.http, calls.exports, calls.imports):
        assert sandbox.token not in f"{thing!r} {thing}"
    done = calls.exports.get(calls.export_id)
    assert done.download_url is not None
    assert "signature" not in repr(done)
    assert sandbox.files_url not in repr(done)


WORD = st.text(string.ascii_letters + string.digits + "-_", min_size=12, max_size=60)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(WORD, TEXT, TEXT, st.sampled_from(["Bearer", "bearer", "BASIC", "Basic"]))
def test_an_authorization_header_never_survives(
    secret: str, before: str, after: str, scheme: str
) -> None:
    secret = f"S{secret}S"
    assume(secret not in before + after)
    assert secret not in redact(f"{before} {scheme} {secret} {after}")


@given(WORD, WORD, TEXT, TEXT)
def test_a_jwt_never_survives(payload: str, signature: str, before: str, after: str) -> None:
    payload = f"S{payload}S"
    assume(payload not in before + after)
    assert payload not in redact(f"{before} eyJ{payload}.{payload}.{signature} {after}")


@given(WORD, st.sampled_from(["https", "http", "HTTPS", "Http"]), TEXT)
def test_the_query_of_a_link_never_survives(secret: str, scheme: str, after: str) -> None:
    assume(f"={secret}=" not in after)
    assert f"={secret}=" not in redact(f"see {scheme}://files.example/a.csv?x={secret}= {after}")


@given(WORD, st.sampled_from(["files.example/a.csv", "/jobs/1/a.csv", "a.csv"]), TEXT)
def test_the_query_of_a_link_without_scheme_never_survives(
    secret: str, link: str, after: str
) -> None:
    assume(f"={secret}=" not in after)
    assert f"={secret}=" not in redact(f"see {link}?x={secret}= {after}")


@given(WORD, TEXT)
def test_the_credentials_in_a_link_never_survive(secret: str, after: str) -> None:
    secret = f"S{secret}S"
    assume(secret not in after)
    assert secret not in redact(f"proxy http://user:{secret}@proxy.example:8080 {after}")


@given(st.text(), st.lists(st.text(min_size=1), max_size=3))
def test_a_redacted_text_is_one_short_line(text: str, secrets: list[str]) -> None:
    line = redact(text, *secrets)
    assert len(line) <= MAX_LENGTH
    assert len(line.splitlines()) <= 1
