from __future__ import annotations

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
    assert "1 export jobs and 0 import jobs of the last 2 days have not ended." in out
