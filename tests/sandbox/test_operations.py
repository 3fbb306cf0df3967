from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions

pytestmark = pytest.mark.thorough

ALL_OPERATIONS = [
    ("GET", "/export/v1/entities"),
    ("GET", "/export/v1/jobs"),
    ("POST", "/export/v1/jobs"),
    ("GET", "/export/v1/jobs/x"),
    ("DELETE", "/export/v1/jobs/x"),
    ("GET", "/export/v1/jobs/x/download"),
    ("GET", "/import/v1/jobs"),
    ("POST", "/import/v1/jobs"),
    ("GET", "/import/v1/jobs/x"),
    ("DELETE", "/import/v1/jobs/x"),
    ("POST", "/import/v1/jobs/x/upload"),
    ("GET", "/import/v1/jobs/x/errors"),
    ("GET", "/import/v1/mappings"),
]


def call(sandbox: Sandbox, method: str, path: str, **options: Any) -> requests.Response:  # noqa: ANN401
    headers = {"Authorization": f"Bearer {sandbox.token}"}
    return requests.request(
        method, sandbox.url + path, headers=headers, timeout=10, allow_redirects=False, **options
    )


def create_import(sandbox: Sandbox, *columns: str, **members: Any) -> str:  # noqa: ANN401
    body = {
        "entity_type": "accounts",
        "operation": "upsert",
        "match_key": "domain",
        "field_mappings": [{"csv_column": name, "demandbase_field": name} for name in columns],
        **members,
    }
    response = call(sandbox, "POST", "/import/v1/jobs", json=body)
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


def upload(sandbox: Sandbox, job_id: str, content: bytes) -> requests.Response:
    return call(
        sandbox, "POST", f"/import/v1/jobs/{job_id}/upload", files={"file": ("a.csv", content)}
    )


@pytest.mark.parametrize(("method", "path"), ALL_OPERATIONS)
def test_no_operation_is_open_without_the_token(sandbox: Sandbox, method: str, path: str) -> None:
    assert requests.request(method, sandbox.url + path, timeout=10).status_code == 401


def test_the_same_seed_gives_the_same_tenant() -> None:
    first, second, other = (
        Sandbox(SandboxOptions(seed=seed, rows={"activities": 50})) for seed in (7, 7, 8)
    )
    try:
        rows = [sandbox.rows("activities") for sandbox in (first, second, other)]
        assert rows[0] == rows[1] != rows[2]
        assert len(rows[0]) == 50
    finally:
        for sandbox in (first, second, other):
            sandbox.start().stop()


def test_an_export_lives_by_the_clock_and_comes_in_parts_behind_links() -> None:
    options = SandboxOptions(pending_seconds=60, processing_seconds=60, part_rows=150)
    with Sandbox(options) as sandbox:
        body = {"entity_type": "accounts", "fields": ["account_id", "name"]}
        job = call(sandbox, "POST", "/export/v1/jobs", json=body).json()
        path = f"/export/v1/jobs/{job['id']}"
        assert job["status"] == "pending"
        assert call(sandbox, "GET", f"{path}/download").status_code == 404
        sandbox.clock.advance(70)
        assert call(sandbox, "GET", path).json()["status"] == "processing"
        sandbox.clock.advance(60)
        done = call(sandbox, "GET", path).json()
        assert (done["status"], done["record_count"], done["file_parts"]) == ("completed", 200, 2)
        link = call(sandbox, "GET", f"{path}/download?part=2").headers["Location"]
        assert link.startswith(sandbox.files_url)
        text = requests.get(link, timeout=10).content.decode()
        assert text.splitlines()[0] == "account_id,name"
        assert call(sandbox, "GET", f"{path}/download?part=3").status_code == 404
        assert call(sandbox, "DELETE", path).status_code == 409
        token = {"Authorization": f"Bearer {sandbox.token}"}
        assert requests.get(link, headers=token, timeout=10).status_code == 400
        part = requests.get(link, headers={"Range": "bytes=5-9"}, timeout=10)
        assert (part.status_code, part.text) == (206, text[5:10])
        sandbox.clock.advance(301)
        assert requests.get(link, timeout=10).status_code == 403


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"entity_type": "planets"}, "planets"),
        ({"entity_type": "accounts", "fields": ["nope"]}, "nope"),
        ({"entity_type": "accounts", "filters": {"date_range": {"field": "name"}}}, "name"),
        ({"entity_type": "accounts", "filters": {"account_list_id": "x"}}, "x"),
        ({"entity_type": "accounts", "surprise": 1}, "surprise"),
        ({"entity_type": 5}, "entity_type"),
    ],
)
def test_a_wrong_export_request_is_rejected_by_name(
    sandbox: Sandbox, body: dict[str, Any], named: str
) -> None:
    response = call(sandbox, "POST", "/export/v1/jobs", json=body)
    assert response.status_code == 400
    assert named in response.json()["error"]


def test_an_import_really_upserts_and_blanks(sandbox: Sandbox) -> None:
    job_id = create_import(sandbox, "domain", "name")
    content = b'domain,name\r\ncompany1.example,"New, name"\r\nnew.example,\r\n'
    assert upload(sandbox, job_id, content).json()["status"] == "validating"
    job = call(sandbox, "GET", f"/import/v1/jobs/{job_id}").json()
    assert (job["status"], job["success_count"], job["error_count"]) == ("completed", 2, 0)
    rows = {row["domain"]: row for row in sandbox.rows("accounts")}
    assert rows["company1.example"]["name"] == "New, name"
    assert rows["new.example"]["name"] is None
    assert rows["new.example"]["account_id"]
    assert len(rows) == 201


def test_row_errors_name_row_field_and_type(sandbox: Sandbox) -> None:
    job_id = create_import(sandbox, "domain", "employee_count")
    upload(sandbox, job_id, b"domain,employee_count\r\n,1\r\na.example,many\r\nb.example,3\r\n")
    errors = call(sandbox, "GET", f"/import/v1/jobs/{job_id}/errors").json()
    assert errors["total"] == 2
    assert [(e["row_number"], e["field"], e["error_type"]) for e in errors["errors"]] == [
        (1, "domain", "missing_match_key"),
        (2, "employee_count", "invalid_type"),
    ]


@pytest.mark.parametrize(
    "content", [b"", b"domain\r\nx\r\n", b"domain,name\r\nonly one\r\n", b'domain,name\r\n"cut']
)
def test_a_file_that_does_not_match_the_mappings_is_rejected(
    sandbox: Sandbox, content: bytes
) -> None:
    job_id = create_import(sandbox, "domain", "name")
    assert upload(sandbox, job_id, content).status_code == 400


def test_lists_are_capped_whatever_the_limit(sandbox: Sandbox) -> None:
    for _ in range(120):
        call(sandbox, "POST", "/export/v1/jobs", json={"entity_type": "campaigns"})
    page = call(sandbox, "GET", "/export/v1/jobs?limit=1000").json()
    assert (len(page["jobs"]), page["total"]) == (100, 120)


def test_a_fault_applies_as_often_as_it_says(sandbox: Sandbox) -> None:
    sandbox.add_fault(Fault("listExportableEntities", Effect.STATUS, status=503, after=1, times=2))
    codes = [call(sandbox, "GET", "/export/v1/entities").status_code for _ in range(4)]
    assert codes == [200, 503, 503, 200]


def test_the_admin_routes_script_trouble_from_another_process(sandbox: Sandbox) -> None:
    rules = [{"operation": "listExportableEntities", "effect": "status", "status": 502}]
    assert call(sandbox, "POST", "/_sandbox/faults", json=rules).json() == {"added": 1}
    assert call(sandbox, "GET", "/export/v1/entities").status_code == 502
    seen = call(sandbox, "GET", "/_sandbox/requests").json()["requests"]
    assert [item["status"] for item in seen] == [502]
    wrong = call(sandbox, "POST", "/_sandbox/faults", json=[{"operation": "x", "effect": "cut"}])
    assert (wrong.status_code, "unknown operation" in wrong.text) == (400, True)
    assert requests.get(f"{sandbox.url}/_sandbox/requests", timeout=10).status_code == 401


def test_a_request_that_is_delayed_beyond_a_reset_is_none_of_the_new_tenants(
    sandbox: Sandbox,
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.DELAY, seconds=60))
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(call, sandbox, "POST", "/export/v1/jobs", json={"entity_type": "people"})
        time.sleep(0.5)  # until it has arrived, which nothing shows before its end
        sandbox.reset()
        with pytest.raises(requests.ConnectionError):
            lost.result(10)
    assert not sandbox.export_jobs()
    assert not sandbox.requests()
