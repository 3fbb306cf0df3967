"""What faults make of import jobs, over both APIs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from demandbase_sandbox import Effect, Fault, Sandbox

pytestmark = pytest.mark.thorough

BODIES: dict[str, dict[str, Any]] = {
    "v1": {
        "entity_type": "accounts",
        "operation": "upsert",
        "match_key": "domain",
        "field_mappings": [
            {"csv_column": "d", "demandbase_field": "domain"},
            {"csv_column": "s", "demandbase_field": "engagement_score"},
            {"csv_column": "n", "demandbase_field": "notes"},
        ],
    },
    "uapi": {"entityType": "Person", "dataImportName": "a.csv0"},
}
FILES = {
    "v1": b'd,s,n\r\na.example,1,"x\r\ny"\r\nb.example,Viel,z\r\n',
    "uapi": b"First Name,Last Name,Email,External Person Id\r\nA,B,a@b.example,p1\r\n",
}
PATHS = {"v1": ("jobs", "jobs", "jobs/{}/upload"), "uapi": ("job", "jobs", "job/{}/data")}
STATUS = {"v1": "status", "uapi": "state"}
LISTED = {"v1": "jobs", "uapi": "data"}


class Client:
    """Calls the import operations of an API."""

    def __init__(self, sandbox: Sandbox, api: str) -> None:
        self._base = f"{sandbox.url if api == 'v1' else sandbox.uapi_url}/import/v1/"
        self._headers = {"Authorization": f"Bearer {sandbox.token}"}
        self._api = api
        self._create, self._list, self._upload = PATHS[api]

    def call(self, method: str, path: str, **options: Any) -> requests.Response:  # noqa: ANN401
        headers = {**self._headers, **options.pop("headers", {})}
        return requests.request(method, self._base + path, headers=headers, timeout=10, **options)

    def create(self) -> Any:  # noqa: ANN401
        return self.call("POST", self._create, json=BODIES[self._api]).json()

    def upload(self, job_id: str) -> requests.Response:
        path, file = self._upload.format(job_id), FILES[self._api]
        if self._api == "v1":
            return self.call("POST", path, files={"file": ("own.csv", file, "text/csv")})
        octets = {"Content-Type": "application/octet-stream"}
        return self.call("PUT", path, data=file, headers=octets)

    def get(self, job_id: str) -> requests.Response:
        return self.call("GET", f"{self._create}/{job_id}")

    def listed(self) -> list[dict[str, Any]]:
        return list(self.call("GET", self._list).json()[LISTED[self._api]])


@pytest.fixture(params=["v1", "uapi"])
def api(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(sandbox: Sandbox, api: str) -> Client:
    return Client(sandbox, api)


@pytest.fixture
def ended(client: Client) -> Callable[[], str]:
    """Runs an import to its end; returns the id of its job."""

    def run() -> str:
        job_id = client.create()["id"]
        assert client.upload(job_id).ok
        return str(job_id)

    return run


def test_a_file_can_be_stored_although_the_response_says_otherwise(
    sandbox: Sandbox, client: Client, api: str
) -> None:
    sandbox.add_fault(Fault("uploadImportFile", Effect.STATUS_AFTER, status=504))
    job_id = client.create()["id"]
    assert client.upload(job_id).status_code == 504
    assert client.get(job_id).json()[STATUS[api]] == "completed"


def test_a_job_can_be_unknown_at_first(sandbox: Sandbox, client: Client) -> None:
    sandbox.add_fault(Fault("createImportJob", Effect.JOB_LATE, seconds=60))
    job_id = client.create()["id"]
    assert client.get(job_id).status_code == 404
    assert client.upload(job_id).status_code == 404
    assert client.listed() == []
    sandbox.clock.advance(60)
    assert client.upload(job_id).ok
    assert len(client.listed()) == 1


def test_a_file_can_be_unseen_for_some_time(sandbox: Sandbox, client: Client, api: str) -> None:
    sandbox.add_fault(Fault("createImportJob", Effect.FILE_UNSEEN, seconds=60))
    created = client.create()
    assert client.upload(created["id"]).json() == created
    assert client.get(created["id"]).json() == created
    assert client.listed() == [created]
    sandbox.clock.advance(60)
    assert client.get(created["id"]).json()[STATUS[api]] == "completed"


def test_a_new_job_can_have_odd_members(sandbox: Sandbox, client: Client, api: str) -> None:
    members = {STATUS[api]: "validating", "file_name": ""}
    sandbox.add_fault(Fault("createImportJob", Effect.FILE_UNSEEN, members=members))
    created = client.create()
    assert created.items() >= members.items()
    client.upload(created["id"])
    assert client.get(created["id"]).json()[STATUS[api]] == "completed"


def test_figures_can_lag_behind_the_status(
    sandbox: Sandbox, client: Client, ended: Callable[[], str]
) -> None:
    members = {"success_count": 0, "error_count": 9}
    sandbox.add_fault(Fault("createImportJob", Effect.END_LAG, seconds=60, members=members))
    job_id = ended()
    assert client.get(job_id).json().items() >= members.items()
    sandbox.clock.advance(60)
    assert client.get(job_id).json().get("error_count") != 9


@pytest.mark.parametrize("how", ["", "running"])
def test_another_client_can_create_an_import_job(
    sandbox: Sandbox, client: Client, api: str, how: str
) -> None:
    fault = Fault(
        "listImportJobs", Effect.FOREIGN_JOB, seconds=60, how=how, members={"odd": 1}, times=1
    )
    own = client.create()["id"]
    sandbox.add_fault(fault)
    first, second = client.listed()
    assert first["id"] == own
    assert second["odd"] == 1
    waiting = {"v1": "pending", "uapi": "new"}[api]
    sandbox.clock.advance(60)
    assert client.get(second["id"]).json()[STATUS[api]] == ("processing" if how else waiting)
    assert [str(second["id"])] == [job["id"] for job in sandbox.foreign_jobs()]


@pytest.mark.parametrize("api", ["v1"])
@pytest.mark.parametrize(
    ("how", "number", "value"),
    [
        ("lines", 4, "Viel"), ("from_3", 4, "Viel"), ("shuffled", 1, "Viel"),
        ("no_values", 2, ""), ("lower_case", 2, "viel"), ("truncated", 2, "Vie"),
    ],
)  # fmt: skip
def test_row_errors_can_be_odd(
    sandbox: Sandbox,
    client: Client,
    ended: Callable[[], str],
    how: str,
    number: int,
    value: str,
) -> None:
    sandbox.add_fault(Fault("getImportErrors", Effect.ODD_ERRORS, how=how))
    (error,) = client.call("GET", f"jobs/{ended()}/errors").json()["errors"]
    assert (error["row_number"], error["value"]) == (number, value)
