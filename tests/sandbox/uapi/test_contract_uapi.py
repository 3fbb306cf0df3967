from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import requests

from demandbase_sandbox import Sandbox, SandboxOptions
from demandbase_sandbox.operations import DAILY_CALLS, UAPI_OPERATIONS
from demandbase_sandbox.uapi.errors import ERROR_CODES
from tests.sandbox.uapi import published
from tests.sandbox.uapi.published import OPERATIONS

pytestmark = pytest.mark.thorough

SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))


def test_the_operations_are_those_that_are_published(sandbox: Sandbox) -> None:
    document = requests.get(f"{sandbox.uapi_url}/openapi.json", timeout=10).json()
    described = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    assert described == OPERATIONS == set(UAPI_OPERATIONS.values())


def test_the_error_codes_are_those_that_are_published() -> None:
    assert ERROR_CODES.keys() == published.ERROR_CODES


@pytest.mark.slow
def test_every_operation_responds_as_its_document_says(tmp_path: Path) -> None:
    budgets = dict.fromkeys(DAILY_CALLS, 10**6)
    options = SandboxOptions(pending_seconds=0, processing_seconds=0, call_budgets=budgets)
    with Sandbox(options) as sandbox:
        done = subprocess.run(
            [
                SCHEMATHESIS, "run", f"{sandbox.uapi_url}/openapi.json",
                "--header", f"Authorization: Bearer {sandbox.token}",
                "--max-redirects", "0", "--mode", "all", "--seed", "1",
                "--checks",
                "not_a_server_error,status_code_conformance,response_schema_conformance",
                "--phases", "coverage,fuzzing", "--max-examples", "10",
                "--suppress-health-check", "all", "--warnings", "off", "--no-color",
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        answered = {(request.operation, request.status) for request in sandbox.requests()}
    assert {("createExportJob", 400), ("createImportJob", 200), ("createToken", 400)} <= answered
