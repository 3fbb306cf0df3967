"""Credentials never reach another host by a link, in either API."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demandbase_api.clock import SystemClock
from demandbase_api.config import Api
from demandbase_api.connect import connect
from demandbase_api.connection import ApiFiles, Connection
from demandbase_api.downloads import Downloader
from demandbase_api.errors import ApiOperation, DownloadError, UnexpectedResponseError
from demandbase_api.http.client import HttpClient
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.models import ExportJob, ExportRequest, JobStatus
from demandbase_api.state.folder import StateFolder
from demandbase_sandbox import Effect, Fault, Sandbox
from tests.http_server import Reply, ScriptedServer, http_server
from tests.sandbox_time import SandboxTime

QUICK = RetryPolicy(tries=2, base_seconds=0.001, max_seconds=0.01)


@pytest.fixture
def stranger() -> Iterator[ScriptedServer]:
    """Another host, which would serve any file."""
    with http_server({"/f": Reply(body=b"id\r\n1\r\n")}) as server:
        yield server


Follow = Callable[[Sandbox, Callable[[str], str], Path], None]


def by_redirect(_: Sandbox, link: Callable[[str], str], folder: Path) -> None:
    path = "/export/v1/jobs/x/download"
    with http_server({}) as server:
        server.replies[path] = Reply(302, headers={"Location": link(server.url)})
        connection = Connection(server.url, "token", retry=QUICK)
        api = connect(
            connection, Api.V1, files=ApiFiles(StateFolder(folder)), clock=SystemClock()
        ).exports
        job = ExportJob("x", JobStatus.COMPLETED)
        Downloader(api, QUICK).download(job, "campaigns", 1, io.BytesIO())


def by_results_url(sandbox: Sandbox, link: Callable[[str], str], folder: Path) -> None:
    connection = Connection(
        sandbox.uapi_url,
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
        retry=QUICK,
    )
    clock, files = SandboxTime(sandbox), ApiFiles(StateFolder(folder))
    api = connect(connection, Api.UAPI, files=files, clock=clock).exports
    job = api.submit(ExportRequest("accounts", ("{Account}.id", "{Account}.name")))
    members = {"resultsUrl": link(sandbox.uapi_url)}
    sandbox.add_fault(Fault("checkExportJobStatus", Effect.ALTER, members=members))
    (listed,) = [each for each in api.jobs() if each.id == job.id]
    Downloader(api, QUICK).download(api.with_details(listed), "accounts", 1, io.BytesIO())


@pytest.mark.parametrize("follow", [by_redirect, by_results_url])
@pytest.mark.parametrize(
    "link",
    [
        r"http://{stranger}\@{own}/f",
        r"http://{stranger}/f\g",
        "http://{own}@{stranger}/f",
        "http://user:s3cret@{own}/f",
        "http://{stranger}/\tf",
        "http://{stranger}/\x7ff",
    ],
)
def test_a_link_that_hides_its_host_is_refused(
    sandbox: Sandbox,
    stranger: ScriptedServer,
    tmp_path: Path,
    follow: Follow,
    link: str,
) -> None:
    def at(own: str) -> str:
        return link.format(own=own.partition("//")[2], stranger=stranger.url.partition("//")[2])

    with pytest.raises(DownloadError, match="gave a link that is not a web address") as caught:
        follow(sandbox, at, tmp_path)
    assert "s3cret" not in str(caught.value)
    assert stranger.requests == []


@pytest.mark.parametrize("follow", [by_redirect, by_results_url])
def test_another_host_gets_no_token(
    sandbox: Sandbox,
    stranger: ScriptedServer,
    tmp_path: Path,
    follow: Follow,
) -> None:
    follow(sandbox, lambda _: stranger.url + "/f", tmp_path)
    assert ["Authorization" in request.headers for request in stranger.requests] == [False]


def test_a_link_from_https_to_http_is_refused(stranger: ScriptedServer) -> None:
    http = HttpClient(Connection("https://api.example", "token"))
    with pytest.raises(UnexpectedResponseError, match="gave a link that leads from https to http"):
        http.open_url(ApiOperation.FETCH_LINK, stranger.url + "/f", {})
    assert stranger.requests == []
