from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from demandbase_sandbox import Sandbox
from tests.sandbox.uapi.published import EXPORT, IMPORT

OCTETS = {"Content-Type": "application/octet-stream"}


@dataclass
class Caller:
    """Calls a sandbox's ``uapi`` with a token."""

    sandbox: Sandbox
    token: str = field(default="")

    def __post_init__(self) -> None:
        self.token = self.token or self.sandbox.token

    def __call__(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        **options: Any,  # noqa: ANN401
    ) -> requests.Response:
        return requests.request(
            method,
            self.sandbox.uapi_url + path,
            headers={"Authorization": f"Bearer {self.token}", **(headers or {})},
            timeout=10,
            allow_redirects=False,
            **options,
        )

    def issue(self, **members: Any) -> requests.Response:  # noqa: ANN401
        body = {
            "grantType": "client_credentials",
            "clientId": self.sandbox.client_id,
            "clientSecret": self.sandbox.client_secret,
            **members,
        }
        url = f"{self.sandbox.uapi_url}/auth/v1/token"
        return requests.post(url, json=body, timeout=10)

    def code(self, body: object, path: str = f"{EXPORT}/job") -> str:
        """Return the error code of a rejected body."""
        response = self("POST", path, json=body)
        found = str(response.json()["errorCode"])
        assert found.startswith(str(response.status_code)), response.text
        return found

    def create(self, path: str = f"{EXPORT}/job", **members: Any) -> str:  # noqa: ANN401
        response = self("POST", path, json={"jobName": "a job", **members})
        assert response.status_code == 202, response.text
        return str(response.json()["jobId"])

    def status(self, job_id: str) -> dict[str, Any]:
        return dict(self("GET", f"{EXPORT}/job/{job_id}").json())

    def export(self, path: str = f"{EXPORT}/job", **members: Any) -> list[dict[str, str]]:  # noqa: ANN401
        """Return the rows of a job that is done at the first poll."""
        link = self.status(self.create(path, **members))["resultsUrl"]
        return rows_of(requests.get(link, timeout=10).content)

    def fields(self, entity_type: str, **parameters: str) -> list[dict[str, str]]:
        parameters = {"entityType": entity_type, **parameters}
        response = self("GET", f"{EXPORT}/fields", params=parameters)
        assert response.status_code == 200, response.text
        return list(response.json())

    def create_import(self, **members: Any) -> int:  # noqa: ANN401
        body = {"dataImportName": "an import", "entityType": "Account", **members}
        response = self("POST", f"{IMPORT}/job", json=body)
        assert response.status_code == 200, response.text
        return int(response.json()["id"])

    def upload(self, job_id: int, content: bytes, **parameters: str) -> requests.Response:
        path = f"{IMPORT}/job/{job_id}/data"
        return self("PUT", path, OCTETS, data=content, params=parameters)

    def load(self, content: str, action: str = "noop", **members: Any) -> dict[str, Any]:  # noqa: ANN401
        """Import a file and return the job's status and outcome."""
        job_id = self.create_import(**members)
        assert self.upload(job_id, content.encode(), listAction=action).status_code == 200
        found = {job["id"]: job for job in self.sandbox.import_jobs()}[str(job_id)]
        return {"status": found["status"], **found.get("outcome", {})}


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


@pytest.fixture
def api(sandbox: Sandbox) -> Caller:
    """Calls the sample tenant with its static token."""
    return Caller(sandbox)
