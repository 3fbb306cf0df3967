"""Only published query parameters are accepted, and only in their published case."""

from __future__ import annotations

import pytest

from tests.sandbox.uapi.conftest import OCTETS, Caller
from tests.sandbox.uapi.published import EXPORT, IMPORT


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/jobs?limit=5"),
        ("GET", "/job/10001?listAction=noop"),
        ("PUT", "/job/10001/data?listaction=noop"),
        ("GET", "/activity_type?page=1"),
        ("GET", "/Account/sources?page=1"),
    ],
)
def test_imports_take_no_others(api: Caller, method: str, path: str) -> None:
    assert api.create_import() == 10001
    response = api(method, f"{IMPORT}{path}", OCTETS, data=b"rows" if method == "PUT" else None)
    assert response.status_code == 400
    assert response.json()["message"].startswith("unknown parameter")
    # A misspelt listAction would else have meant the default, which empties the list.
    [job] = api.sandbox.import_jobs()
    assert job["status"] == "new"


@pytest.mark.parametrize(
    "path",
    ["/fields?entityType=account&page=1", "/jobs?perpage=5", "/job/x?page=1", "/references?x=1"],
)
def test_exports_take_no_others(api: Caller, path: str) -> None:
    assert api("GET", f"{EXPORT}{path}").json()["errorCode"] == "400-147"


def test_a_job_is_created_without_any(api: Caller) -> None:
    body = {"entityType": "account", "jobName": "x"}
    response = api("POST", f"{EXPORT}/job?format=JSON", json=body)
    assert response.json()["errorCode"] == "400-147"
    assert not api.sandbox.export_jobs()
