"""The setting activate_version, with which a target removes what Demandbase no longer has."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import ConfigurationError, DemandbaseError
from demandbase_sandbox import Effect, Fault, Sandbox
from tests.tap.conftest import Output, Sync, both_apis

BY_RECORD = {"campaigns": {"added": "1"}}
"""Stream maps, with which records are sent one by one."""

ways = pytest.mark.parametrize("more", [{}, {"stream_maps": BY_RECORD}], ids=["fast", "by record"])


def kinds(output: Output, stream: str = "campaigns") -> list[str]:
    """Return the types of a stream's messages and of STATE, repetitions left out."""
    types = [m["type"] for m in output.messages if m.get("stream", stream) == stream]
    return [each for each, before in zip(types, [None, *types], strict=False) if each != before]


def versions(output: Output, kind: str) -> set[int | None]:
    return {m.get("version") for m in output.messages if m["type"] == kind}


@both_apis
@ways
def test_a_version_is_activated_after_all_records(
    sandbox: Sandbox, sync: Sync, more: dict[str, Any]
) -> None:
    output = sync("campaigns", activate_version=True, **more)
    assert len(output.records("campaigns")) == 20
    [version] = versions(output, "RECORD")
    assert version is not None
    assert abs(version - sandbox.clock.now().timestamp()) < 3600
    assert versions(output, "ACTIVATE_VERSION") == {version}
    after_records = kinds(output)[kinds(output).index("RECORD") :]
    assert after_records == ["RECORD", "ACTIVATE_VERSION", "STATE"]


@both_apis
@ways
def test_nothing_is_activated_unless_it_is_asked_for(sync: Sync, more: dict[str, Any]) -> None:
    output = sync("campaigns", **more)
    assert "ACTIVATE_VERSION" not in kinds(output)
    assert versions(output, "RECORD") == {None}


@ways
@pytest.mark.parametrize(
    "fault",
    [
        Fault("createExportJob", Effect.MANGLE_CSV, how="drop_last_row"),
        Fault("signedFile", Effect.STATUS, status=500, times=None),
    ],
    ids=["a row is missing", "no file"],
)
def test_an_export_that_is_not_complete_activates_nothing(
    sandbox: Sandbox, sync: Sync, fault: Fault, more: dict[str, Any]
) -> None:
    sandbox.add_fault(fault)
    output = sync("campaigns", activate_version=True, failure=DemandbaseError, **more)
    assert "ACTIVATE_VERSION" not in kinds(output)


@both_apis
def test_only_a_count_proves_that_there_are_no_rows(
    sandbox: Sandbox, sync: Sync, api: str, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.add_entity("people", [("id", "string"), ("name", "string")], [])
    with caplog.at_level(logging.WARNING):
        output = sync("people", activate_version=True)
    is_counted = api == "v1"
    assert ("ACTIVATE_VERSION" in kinds(output, "people")) is is_counted
    assert ("No ACTIVATE_VERSION of stream people" in caplog.text) is not is_counted


@pytest.mark.parametrize("api", ["uapi"])
@pytest.mark.parametrize("empty", [0, 10_000])
def test_each_job_of_a_stream_must_prove_what_it_lacks(
    sandbox: Sandbox, sync: Sync, empty: int
) -> None:
    rows = [[f"a{number}"] for number in range(10_001)]
    sandbox.add_entity("accounts", [("account_id", "string")], rows)
    groups = [[f"g{number}", f"a{number}"] for number in (0, 10_000) if number != empty]
    fields = [("buying_group_id", "string"), ("account_id", "string")]
    sandbox.add_entity("buying_groups", fields, groups)
    output = sync("buying_groups", activate_version=True)
    assert len(output.records("buying_groups")) == 1
    assert "ACTIVATE_VERSION" not in kinds(output, "buying_groups")


def test_an_incremental_stream_has_no_version(sync: Sync) -> None:
    options = {"accounts": {"replication_key": "updated_at"}}
    output = sync("accounts", activate_version=True, stream_options=options)
    assert output.records("accounts")
    assert "ACTIVATE_VERSION" not in kinds(output, "accounts")
    assert versions(output, "RECORD") == {None}


@pytest.mark.parametrize("api", ["uapi"])
def test_days_are_not_all_records(sync: Sync, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        output = sync("campaigns", "activities", activate_version=True, start_date="2026-01-01")
    assert "ACTIVATE_VERSION" in kinds(output)
    assert "ACTIVATE_VERSION" not in kinds(output, "activities")


def test_batch_files_cannot_have_a_version(sandbox: Sandbox, sync: Sync, tmp_path: Path) -> None:
    storage = {"storage": {"root": str(tmp_path)}}
    with pytest.raises(ConfigurationError, match="activate_version and batch_config exclude"):
        sync("campaigns", activate_version=True, batch_config=storage)
    assert not sandbox.requests("createExportJob")
