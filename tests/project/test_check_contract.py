"""The script that compares all exchanges with published documents, over documents of this test."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import check_contract
import contract_runs
import pytest
import requests
from check_contract import Known
from contract_documents import HOSTS, Documents, Exchange

from demandbase_sandbox import Sandbox

JSON = {"Content-Type": "application/json"}
OWN = {**JSON, "Authorization": "Bearer secret-token"}
JOB = {
    "type": "object",
    "required": ["jobId"],
    "properties": {
        "jobId": {"type": "string"},
        "jobStatus": {"type": "string", "enum": ["accepted", "finished"]},
        "createdAt": {"type": "string", "format": "date-time"},
        "filters": {"type": "object"},
    },
}
DOCUMENT = {
    "openapi": "3.0.1",
    "info": {"title": "Jobs", "version": "1"},
    "servers": [{"url": f"{HOSTS['uapi']}/data/export"}],
    "security": [{"token": []}],
    "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    "paths": {
        "/v1/job": {
            "post": {
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["jobName"],
                                "properties": {"jobName": {"type": "string"}},
                            }
                        }
                    },
                },
                "responses": {
                    "202": {
                        "description": "",
                        "content": {"application/json": {"schema": JOB}},
                    }
                },
            }
        },
        "/v1/jobs": {
            "get": {
                "parameters": [{"name": "page", "in": "query", "schema": {"type": "integer"}}],
                "responses": {"200": {"description": ""}, "400": {"description": ""}},
            }
        },
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "export.json").write_text(json.dumps(DOCUMENT))
    (tmp_path / "codes.yml").write_text("error_codes:\n  - {code: '400-102'}\n")
    (tmp_path / "notes.md").write_text("No document.")
    return tmp_path


def exchange(method: str = "POST", target: str = "/data/export/v1/job", **members: Any) -> Exchange:  # noqa: ANN401
    parts = {
        "headers": OWN,
        "body": b'{"jobName": "a"}' if method == "POST" else b"",
        "status": 202 if method == "POST" else 200,
        "response_headers": JSON,
        "response_body": b'{"jobId": "7"}',
        **members,
    }
    return Exchange("uapi", "a run", method, target, **parts)


def job(**members: Any) -> bytes:  # noqa: ANN401
    return json.dumps({"jobId": "7", **members}).encode()


@pytest.mark.parametrize(
    ("it", "says"),
    [
        (exchange(), None),
        (exchange(response_body=job(filters={"any": "member"})), None),
        (exchange("GET", "/data/export/v1/jobs?page=2"), None),
        (exchange(body=b"{}"), "request: the body: members jobName missing"),
        (
            exchange(body=b'{"jobName": "a", "accountIds": [4711]}'),
            "request: the body: members accountIds not published",
        ),
        (exchange(body=b'{"jobName": 4711}'), "request: .jobName: not of the type string"),
        (exchange(headers=JSON), "request: SecurityValidationError"),
        (
            exchange("GET", "/data/export/v1/jobs?page=1&size=4711"),
            "request: the parameter size is not published",
        ),
        (exchange("GET", "/data/export/v1/job/4711"), "request: the operation is not published"),
        (exchange("DELETE"), "request: the operation is not published"),
        (exchange(status=201), "response 201: Unknown response http status: 201"),
        (exchange(response_body=b"{}"), "response 202: the body: members jobId missing"),
        (
            exchange(response_body=job(jobStatus="4711")),
            "response 202: .jobStatus: not of the enum ['accepted', 'finished']",
        ),
        (
            exchange(response_body=job(createdAt="4711")),
            "response 202: .createdAt: not of the format date-time",
        ),
        (
            exchange(response_body=job(resultsUrls=["4711"])),
            "response 202: the body: members resultsUrls not published",
        ),
        (
            exchange(response_headers={"Content-Type": "text/html"}, response_body=b"4711"),
            "response 202: ",
        ),
        (
            exchange(
                "GET",
                "/data/export/v1/jobs",
                status=400,
                response_body=b'{"errorCode": "400-999"}',
            ),
            "response 400: the errorCode 400-999 is not published",
        ),
        (exchange("GET", "/elsewhere", own=False), None),
        (exchange(body=b"{}", own=False), None),
    ],
)
def test_every_difference_is_named_without_a_value(
    folder: Path, it: Exchange, says: str | None
) -> None:
    _, found = Documents.read(folder).differences(it)
    if says is None:
        assert not found
    else:
        assert says in str(found[0])
        # Paths are published, unless the operation is not.
        assert "4711" not in found[0].problem
        assert "secret-token" not in str(found)


Runs = Callable[[Documents, Callable[[Exchange], None]], None]


def runs(*exchanges: Exchange) -> Runs:
    def record_all(_: Documents, record: Callable[[Exchange], None]) -> None:
        for each in exchanges:
            record(each)

    return record_all


def test_known_differences_pass_and_those_that_are_gone_do_not(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = exchange(body=b'{"jobName": "a", "accountIds": [1]}')
    known = Known("uapi: POST */job: request: *accountIds not published", "The codes require it.")
    assert check_contract.main([str(folder)], [known], runs(extra, extra)) == 0
    printed = capsys.readouterr().out
    assert "uapi: 2 exchanges with 1 of 2 published operations" in printed
    assert "POST /data/export/v1/job: 2 with 202" in printed
    assert "GET /data/export/v1/jobs: never" in printed
    assert "The codes require it." in printed
    assert "No document describes v1" in printed
    assert check_contract.main([str(folder)], [], runs(extra)) == 1
    assert "accountIds not published (1 times, first in “a run”)" in capsys.readouterr().out
    assert check_contract.main([str(folder)], [known], runs(exchange())) == 1
    assert "Known differences that no longer exist" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, "[1]", "{", '{"openapi": "3.0.1", "servers": []}'])
def test_a_folder_without_documents_is_an_error(
    tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    with pytest.raises(SystemExit) as end:
        check_contract.main([str(tmp_path)], [], runs())
    assert end.value.code == 2
    assert str(tmp_path) in capsys.readouterr().err


def written(sandbox: Sandbox, folder: Path) -> dict[str, Any]:
    """Write the sandbox's own document of ``uapi`` as if it were the published one."""
    document: dict[str, Any] = requests.get(f"{sandbox.uapi_url}/openapi.json", timeout=10).json()
    document["servers"] = [{"url": HOSTS["uapi"]}]
    (folder / "uapi.json").write_text(json.dumps(document))
    return document


@pytest.mark.slow
def test_what_the_pair_sends_is_recorded_and_compared(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def some(_: Documents, record: Callable[[Exchange], None]) -> None:
        contract_runs.run_without_permissions(record)

    document = written(sandbox, tmp_path)
    assert check_contract.main([str(tmp_path)], [], some) == 0
    printed = capsys.readouterr().out
    assert re.search(r"GET /data/export/v1/fields: \d+ with 200, \d+ with 403", printed)
    assert re.search(r"POST /import/v1/job: \d+ with 403", printed)
    del document["paths"]["/import/v1/job"]["post"]["responses"]["403"]
    schemas = document["components"]["schemas"]
    del schemas["FieldDocument"]["properties"]["label"]
    schemas["FieldDocument"]["required"].remove("label")
    (tmp_path / "uapi.json").write_text(json.dumps(document))
    assert check_contract.main([str(tmp_path)], [], some) == 1
    printed = capsys.readouterr().out
    assert "POST /import/v1/job: response 403: Unknown response http status: 403" in printed
    assert "fields: response 200: []: members label not published" in printed


@pytest.mark.slow
def test_all_runs_pass_the_document_of_the_sandbox_itself(sandbox: Sandbox, tmp_path: Path) -> None:
    written(sandbox, tmp_path)
    done = subprocess.run(
        [sys.executable, str(Path(check_contract.__file__)), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    # Its own document has what the published ones lack.
    assert "Differences that nothing explains" not in done.stdout, done.stdout
    assert "Known differences that no longer exist" in done.stdout, done.stderr
    assert "never" not in done.stdout
