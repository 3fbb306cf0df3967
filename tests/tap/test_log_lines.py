"""The log has the lines that a person needs; at the level DEBUG, also one for each HTTP call."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from demandbase_sandbox import Effect, Fault, Sandbox
from tests.command_process import run_command
from tests.tap.conftest import Wire, both_apis

NOISE = ("METRIC", "Parsing", "Skipping deselected", "as child stream")


def log(config: dict[str, Any], folder: Path, **environment: str) -> list[str]:
    """Run the command over campaigns; return its log."""
    path = folder / "config.json"
    path.write_text(json.dumps({"entities": ["campaigns"], **config}), encoding="utf-8")
    done = run_command("tap-demandbase", "--config", str(path), "--config", "ENV", **environment)
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


def test_what_no_person_needs_is_not_logged(config: dict[str, Any], tmp_path: Path) -> None:
    lines = log(config, tmp_path, TAP_DEMANDBASE_KEEP_DAYS="9")
    assert not [line for line in lines if any(noise in line for noise in NOISE)]
    assert not [line for line in lines if "demandbase_api.http" in line]
    job = next(line for line in lines if "of stream campaigns" in line)
    assert re.search(r"Export job \S+ of stream campaigns: 20 rows sent$", job)


@both_apis
def test_each_http_call_is_one_line_at_the_level_debug(
    sandbox: Sandbox, config: dict[str, Any], wire: Wire, tmp_path: Path
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=503))
    lines = log(config, tmp_path, TAP_DEMANDBASE_LOGLEVEL="debug")
    assert any("DEBUG" in line and "METRIC" in line for line in lines)
    assert not any("Selection metadata omitted" in line for line in lines)
    calls = [line for line in lines if "demandbase_api.http.call_log" in line]
    assert len(calls) == len(sandbox.requests())
    create = "/export/v1/jobs" if wire.is_v1 else "/data/export/v1/job"
    said = "\n".join(calls)
    assert re.search(rf"POST {create}: 503 in \d+ ms, \d+ bytes", said)
    assert re.search(rf"POST {create}: 20\d in \d+ ms, \d{{2,}} bytes", said)
    assert re.search(r"GET a link to 127\.0\.0\.1: 200 in \d+ ms, \d{4} bytes", said)
    text = "\n".join(lines)
    for secret in (sandbox.token, sandbox.client_secret, "?", "signature"):
        assert secret not in said
    assert sandbox.token not in text


@pytest.mark.thorough
def test_a_call_without_a_response_is_a_line(
    sandbox: Sandbox, config: dict[str, Any], tmp_path: Path
) -> None:
    sandbox.add_fault(Fault("listExportableEntities", Effect.DROP_AFTER))
    lines = log(config, tmp_path, TAP_DEMANDBASE_LOGLEVEL="debug")
    assert any(re.search(r"GET /\S+: no response after \d+ ms", line) for line in lines)
