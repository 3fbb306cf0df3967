"""Downloads from hosts that do not say which version a file has, or where its body ends."""

from __future__ import annotations

import io

import pytest

from demandbase_api.connection import Connection
from demandbase_api.downloads import SPACE_STEP_BYTES, Downloader
from demandbase_api.errors import DownloadError
from demandbase_api.http.client import HttpClient
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.models import ExportJob, ExportRequest
from demandbase_api.v1.exports import V1ExportApi
from demandbase_sandbox import Effect, Fault, Sandbox

QUICK = RetryPolicy(tries=4, base_seconds=0.001, max_seconds=0.01)
FILE = "signedFile"


@pytest.fixture
def api(sandbox: Sandbox) -> V1ExportApi:
    return V1ExportApi(HttpClient(Connection(sandbox.url, sandbox.token, 5, retry=QUICK)))


@pytest.fixture
def job(api: V1ExportApi) -> ExportJob:
    return api.get(api.submit(ExportRequest("campaigns", ("campaign_id", "name"))).id)


def download(api: V1ExportApi, job: ExportJob, spaces: list[int] | None = None) -> bytes:
    file = io.BytesIO()
    asked = [] if spaces is None else spaces
    assert Downloader(api, QUICK, asked.append).download(job, "campaigns", 1, file) == len(
        file.getvalue()
    )
    return file.getvalue()


def ranges(sandbox: Sandbox) -> list[str | None]:
    return [request.headers.get("Range") for request in sandbox.requests(FILE)]


@pytest.mark.parametrize("how", ["content_length", "chunked"])
@pytest.mark.parametrize("tag", ["", 'W/"1"'], ids=["none", "weak"])
def test_two_versions_are_never_spliced(
    sandbox: Sandbox, api: V1ExportApi, job: ExportJob, tag: str, how: str
) -> None:
    whole = download(api, job)
    sandbox.clear_requests()
    # Both versions have the same tag, so that the server would continue the one with the other.
    sandbox.add_fault(Fault(FILE, Effect.HEADERS, headers={"ETag": tag}, times=None))
    sandbox.add_fault(Fault(FILE, Effect.CUT, bytes=len(whole) // 2, how=how))
    sandbox.add_fault(Fault(FILE, Effect.CHANGED, how="content", after=1, times=None))
    changed = download(api, job)
    assert ranges(sandbox) == [None, None]
    assert changed != whole
    assert sorted(changed.splitlines()) == sorted(whole.splitlines())


def test_an_empty_body_without_a_length_proves_nothing(
    sandbox: Sandbox, api: V1ExportApi, job: ExportJob
) -> None:
    sandbox.add_fault(Fault(FILE, Effect.CUT, bytes=0, how="close", times=None))
    with pytest.raises(DownloadError, match="whose length changed each time or is unknown"):
        download(api, job)


def test_the_end_of_a_body_without_a_length_is_proven_by_the_next_request(
    sandbox: Sandbox, api: V1ExportApi, job: ExportJob
) -> None:
    whole, spaces = download(api, job), list[int]()
    sandbox.clear_requests()
    sandbox.add_fault(Fault(FILE, Effect.HEADERS, headers={"Content-Length": ""}))
    assert download(api, job, spaces) == whole
    assert ranges(sandbox) == [None, f"bytes={len(whole)}-"]
    assert spaces == [SPACE_STEP_BYTES, 0]


def test_without_a_length_and_a_validator_the_file_has_to_be_the_same_twice(
    sandbox: Sandbox, api: V1ExportApi, job: ExportJob
) -> None:
    whole = download(api, job)
    sandbox.clear_requests()
    headers = {"Content-Length": "", "ETag": ""}
    sandbox.add_fault(Fault(FILE, Effect.HEADERS, headers=headers, times=None))
    sandbox.add_fault(Fault(FILE, Effect.CUT, bytes=100, how="close"))
    assert download(api, job) == whole
    assert ranges(sandbox) == [None] * 3


def test_space_is_asked_for_what_is_left(
    sandbox: Sandbox, api: V1ExportApi, job: ExportJob
) -> None:
    size, spaces = len(download(api, job)), list[int]()
    sandbox.add_fault(Fault(FILE, Effect.CUT, bytes=100))
    download(api, job, spaces)
    assert spaces == [size, size - 100]
