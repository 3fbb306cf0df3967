from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import requests

from demandbase_sandbox import Sandbox

pytestmark = pytest.mark.thorough

SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))


@pytest.mark.slow
def test_every_operation_responds_as_its_document_says(sandbox: Sandbox, tmp_path: Path) -> None:
    headers = {"Authorization": f"Bearer {sandbox.token}"}
    document = requests.get(f"{sandbox.url}/openapi.json", timeout=10).json()
    assert sum(len(methods) for methods in document["paths"].values()) == 13
    done = subprocess.run(
        [
            SCHEMATHESIS, "run", f"{sandbox.url}/openapi.json",
            "--header", f"Authorization: {headers['Authorization']}",
            "--max-redirects", "0", "--mode", "positive", "--seed", "1",
            "--checks", "not_a_server_error,response_schema_conformance",
            "--phases", "coverage,fuzzing", "--max-examples", "10",
            "--suppress-health-check", "all", "--warnings", "off", "--no-color",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    seen = {request.operation for request in sandbox.requests()}
    assert {"createExportJob", "createImportJob", "getImportErrors"} <= seen
