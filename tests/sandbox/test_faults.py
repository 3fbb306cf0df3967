"""What faults make of responses, over both APIs and on the host of the files."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from demandbase_sandbox import Effect, Fault, Sandbox
from demandbase_sandbox.faults import WAYS

pytestmark = pytest.mark.thorough

Client = Callable[..., requests.Response]

PATHS = {
    "v1": {"create": "/export/v1/jobs", "list": "/export/v1/jobs", "job": "/export/v1/jobs/{}"},
    "uapi": {
        "create": "/data/export/v1/job",
        "list": "/data/export/v1/jobs",
        "job": "/data/export/v1/job/{}",
    },
}
LISTS = {"v1": "listExportJobs", "uapi": "fetchExportJobsInfo"}
JOBS = {"v1": "jobs", "uapi": "data"}
IDS = {"v1": "id", "uapi": "jobId"}
TIMES = {"v1": "created_at", "uapi": "createdAt"}

both_apis = pytest.mark.parametrize("api", ["v1", "uapi"])


@pytest.fixture
def client(sandbox: Sandbox, api: str) -> Client:
    """Calls an operation of the API by its role."""

    def call(role: str, job_id: str = "", **options: Any) -> requests.Response:  # noqa: ANN401
        url = sandbox.url if api == "v1" else sandbox.uapi_url
        return requests.request(
            "POST" if role == "create" else "GET",
            url + PATHS[api][role].format(job_id),
            headers={"Authorization": f"Bearer {sandbox.token}"},
            timeout=10,
            **options,
        )

    return call


@pytest.fixture
def create(client: Client, api: str) -> Callable[[], requests.Response]:
    body = {"entity_type": "campaigns"} if api == "v1" else {"entityType": "person", "jobName": "a"}
    return lambda: client("create", json=body)


@pytest.fixture
def listed(client: Client, api: str) -> Callable[..., list[dict[str, Any]]]:
    def read(**parameters: int) -> list[dict[str, Any]]:
        return list(client("list", params=parameters).json()[JOBS[api]])

    return read


def file_link(sandbox: Sandbox, way: str = "") -> str:
    """Return the link to a file of 20 campaigns."""
    if way:
        sandbox.add_fault(Fault("createExportJob", Effect.MANGLE_CSV, how=way))
    url, headers = f"{sandbox.url}/export/v1/jobs", {"Authorization": f"Bearer {sandbox.token}"}
    body = {"entity_type": "campaigns", "fields": ["campaign_id", "name"]}
    job = requests.post(url, json=body, headers=headers, timeout=10).json()
    done = requests.get(f"{url}/{job['id']}", headers=headers, timeout=10).json()
    return str(done["download_url"])


class TestHeaders:
    @both_apis
    def test_the_date_is_that_of_the_servers_clock(
        self, sandbox: Sandbox, create: Callable[[], requests.Response], api: str
    ) -> None:
        sandbox.clock.skew(-7200)
        response = create()
        dated = parsedate_to_datetime(response.headers["Date"])
        assert abs(dated - datetime.now(UTC) + timedelta(hours=2)) < timedelta(seconds=10)
        created = datetime.fromisoformat(response.json()[TIMES[api]])
        assert abs(created - dated) < timedelta(seconds=2)
        sandbox.reset()
        dated = parsedate_to_datetime(create().headers["Date"])
        assert abs(dated - datetime.now(UTC)) < timedelta(seconds=10)

    def test_links_live_by_the_servers_clock(self, sandbox: Sandbox) -> None:
        sandbox.clock.skew(7200)
        response = requests.get(file_link(sandbox), timeout=10)
        assert response.status_code == 200
        dated = parsedate_to_datetime(response.headers["Date"])
        assert dated - datetime.now(UTC) > timedelta(hours=1.9)

    @both_apis
    def test_any_response_can_lack_a_header(
        self, sandbox: Sandbox, create: Callable[[], requests.Response], client: Client
    ) -> None:
        headers = {"date": "", "X-Odd": "1"}
        sandbox.add_fault(Fault("*", Effect.HEADERS, headers=headers, times=None))
        for response in (create(), client("list"), requests.get(file_link(sandbox), timeout=10)):
            assert "Date" not in response.headers
            assert response.headers["X-Odd"] == "1"

    def test_a_file_can_lack_a_validator_and_its_body_a_length(self, sandbox: Sandbox) -> None:
        link = file_link(sandbox)
        whole = requests.get(link, timeout=10)
        assert "ETag" in whole.headers
        headers = {"ETag": "", "Content-Length": ""}
        sandbox.add_fault(Fault("signedFile", Effect.HEADERS, headers=headers))
        bare = requests.get(link, timeout=10)
        assert not {"etag", "last-modified", "content-length", "transfer-encoding"} & {
            name.lower() for name in bare.headers
        }
        assert (bare.status_code, bare.content) == (200, whole.content)


class TestFiles:
    @pytest.mark.parametrize("status", [200, 202, 204, 300, 302, 304])
    def test_a_file_can_be_any_status_with_nothing(self, sandbox: Sandbox, status: int) -> None:
        link = file_link(sandbox)
        sandbox.add_fault(Fault("signedFile", Effect.STATUS, status=status))
        response = requests.get(link, timeout=10)
        assert (response.status_code, response.content) == (status, b"")

    def test_a_body_can_drip(self, sandbox: Sandbox) -> None:
        link = file_link(sandbox)
        whole = requests.get(link, timeout=10).content
        sandbox.add_fault(Fault("signedFile", Effect.DRIP, bytes=100, seconds=0.05))
        started = time.monotonic()
        assert requests.get(link, timeout=10).content == whole
        assert time.monotonic() - started > 0.2

    @pytest.mark.parametrize("way", WAYS)
    def test_a_file_is_spoiled_in_one_way(self, sandbox: Sandbox, way: str) -> None:
        good = requests.get(file_link(sandbox), timeout=10).content
        bad = requests.get(file_link(sandbox, way), timeout=10).content
        assert bad != good
        if way == "empty":
            assert bad == b""
        if way == "no_header":
            assert len(list(csv.reader(bad.decode().splitlines()))) == 20
        if way == "blank_lines":
            assert bad == good + b"\r\n\r\n"


@both_apis
class TestForeignJobs:
    def test_another_client_creates_the_same_job_before_a_creation_that_is_lost(
        self,
        sandbox: Sandbox,
        create: Callable[[], requests.Response],
        listed: Callable[..., list[dict[str, Any]]],
        api: str,
    ) -> None:
        fault = Fault("createExportJob", Effect.FOREIGN_JOB, seconds=7200, how="running")
        sandbox.add_fault(fault)
        sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=503))
        assert create().status_code == 503
        (job,) = listed()
        age = datetime.now(UTC) - datetime.fromisoformat(job[TIMES[api]])
        assert abs(age - timedelta(hours=2)) < timedelta(seconds=10)
        status = job["status" if api == "v1" else "jobStatus"]
        assert status == "processing"
        assert [found["id"] for found in sandbox.foreign_jobs()] == [job[IDS[api]]]
        # It takes the only slot of uapi.
        assert create().status_code == (202 if api == "v1" else 429)

    def test_another_client_creates_a_job_that_ends_at_a_moment_of_choice(
        self,
        sandbox: Sandbox,
        create: Callable[[], requests.Response],
        client: Client,
        listed: Callable[..., list[dict[str, Any]]],
        api: str,
    ) -> None:
        sandbox.add_fault(
            Fault(
                LISTS[api], Effect.FOREIGN_JOB, seconds=60, after=2,
                members={"odd": 1, IDS[api]: None}, nulls=("fields",),
            )
        )  # fmt: skip
        assert listed() == []
        own = create().json()[IDS[api]]
        assert len(listed()) == 1
        first, second = listed()
        assert first[IDS[api]] == own
        assert (second["odd"], second["fields"], IDS[api] in second) == (1, None, False)
        (foreign,) = sandbox.foreign_jobs()
        shown = client("job", foreign["id"]).json()
        assert shown["odd"] == 1
        status = shown["status" if api == "v1" else "jobStatus"]
        assert status in {"completed", "finished"}

    def test_without_any_creation_there_is_nothing_to_imitate(
        self, sandbox: Sandbox, listed: Callable[..., list[dict[str, Any]]], api: str
    ) -> None:
        sandbox.add_fault(Fault(LISTS[api], Effect.FOREIGN_JOB))
        assert listed() == []


@both_apis
class TestDocuments:
    def test_a_body_can_drip(self, sandbox: Sandbox, client: Client, api: str) -> None:
        whole = client("list").content
        sandbox.add_fault(Fault(LISTS[api], Effect.DRIP, bytes=10, seconds=0.05))
        started = time.monotonic()
        assert client("list").content == whole
        assert time.monotonic() - started > 0.1

    def test_times_can_be_local(
        self, sandbox: Sandbox, create: Callable[[], requests.Response], api: str
    ) -> None:
        sandbox.add_fault(Fault("createExportJob", Effect.LOCAL_TIMES, seconds=-7200))
        created = datetime.fromisoformat(create().json()[TIMES[api]])
        assert created.tzinfo is None
        assert abs(created.replace(tzinfo=UTC) - datetime.now(UTC) + timedelta(hours=2)) < (
            timedelta(seconds=10)
        )

    def test_members_of_listed_items_can_be_altered(
        self,
        sandbox: Sandbox,
        create: Callable[[], requests.Response],
        listed: Callable[..., list[dict[str, Any]]],
        api: str,
    ) -> None:
        first, second = (create().json()[IDS[api]] for _ in range(2) if listed() is not None)
        sandbox.add_fault(
            Fault(
                LISTS[api], Effect.ALTER, members={IDS[api]: 7, TIMES[api]: None},
                nulls=("name",), items={IDS[api]: first},
            )
        )  # fmt: skip
        newest, oldest = listed()
        assert (newest[IDS[api]], TIMES[api] in newest, "name" in newest) == (second, True, False)
        assert (oldest[IDS[api]], TIMES[api] in oldest, oldest["name"]) == (7, False, None)
        sandbox.add_fault(Fault(LISTS[api], Effect.ALTER, members={"odd": 1}, items={}))
        assert [job["odd"] for job in listed()] == [1, 1]

    def test_a_list_can_lag_and_be_sorted_oddly_and_repeat_its_first_page(
        self,
        sandbox: Sandbox,
        create: Callable[[], requests.Response],
        listed: Callable[..., list[dict[str, Any]]],
        api: str,
    ) -> None:
        jobs = []
        for _ in range(3):
            jobs.append(create().json()[IDS[api]])
            sandbox.clock.advance(60)
            listed()
        sandbox.add_fault(Fault(LISTS[api], Effect.LAG, seconds=100))
        assert [job[IDS[api]] for job in listed()] == [jobs[1], jobs[0]]
        sandbox.add_fault(Fault(LISTS[api], Effect.OLDEST_FIRST))
        assert [job[IDS[api]] for job in listed()] == jobs
        sandbox.add_fault(Fault(LISTS[api], Effect.SAME_PAGE))
        second = {"limit": 1, "offset": 1} if api == "v1" else {"perPage": 1, "page": 2}
        assert [job[IDS[api]] for job in listed(**second)] == [jobs[2]]
        assert [job[IDS[api]] for job in listed(**second)] == [jobs[1]]
