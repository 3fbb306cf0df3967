from __future__ import annotations

from typing import Any

import pytest

from demandbase_api.models import ExportRequest
from demandbase_api.ports import Apis
from demandbase_sandbox import Effect, Fault, Sandbox
from tests.cli.conftest import Demandbase

FIELDS = {"v1": "name", "uapi": "{Account}.name"}


def test_calls_are_counted_where_the_api_limits_them(
    demandbase: Demandbase, apis: Apis, api: str
) -> None:
    apis.exports.submit(ExportRequest("accounts", (FIELDS[api],)))
    calls = {line["call"]: line for line in demandbase("quota", "--json").json["calls"]}
    out = demandbase("quota").out
    if api == "v1":
        assert calls == {}
        assert "no known daily limit of calls" in out
        return
    assert calls["create an export job"] == {
        "call": "create an export job", "used": 1, "left": 59, "limit": 60,
    }  # fmt: skip
    assert calls["list the export jobs"]["used"] == 1
    assert "other clients are not seen" in out


def test_exports_are_counted_by_the_tap_and_imports_by_the_target(
    demandbase: Demandbase,
    config: dict[str, Any],
    api: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if api == "v1":
        return
    for prefix in ("TAP_DEMANDBASE_", "TARGET_DEMANDBASE_"):
        own = {**config, "state_dir": f"{config['state_dir']}-{prefix}"}
        for name in ("api", "api_url", "client_id", "client_secret", "state_dir"):
            monkeypatch.setenv(f"{prefix}{name.upper()}", own[name])
    calls = demandbase("quota", "--json", sources=()).json["calls"]
    used = {line["call"]: line["used"] for line in calls if line["used"]}
    assert used == {"list the export jobs": 1, "list the import jobs": 1}


def test_running_jobs_and_exported_bytes_are_read_from_the_lists(
    demandbase: Demandbase, apis: Apis, sandbox: Sandbox, api: str
) -> None:
    assert "No export job was created in the last 24 hours." in demandbase("quota").out
    job = apis.exports.submit(ExportRequest("accounts", (FIELDS[api],)))
    while not apis.exports.get(job.id).status.is_terminal:
        pass
    sandbox.add_fault(Fault("createExportJob", Effect.NEVER_ENDS))
    apis.exports.submit(ExportRequest("accounts", (FIELDS[api],)))
    found = demandbase("quota", "--json").json
    assert found["exports_24h"] == 2
    assert found["running_exports"] == 1
    assert found["running_imports"] == 0
    if api == "v1":
        assert found["exported_bytes_24h"] > 0
        assert found["exports_24h_without_size"] == 1
    out = demandbase("quota").out
    assert "1 export job and 0 import jobs of the last 2 days have not ended." in out
