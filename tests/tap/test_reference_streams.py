"""The streams of reference values, which need no job."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from demandbase_api.errors import (
    CallBudgetError,
    InvalidRequestError,
    PermissionDeniedError,
    UnexpectedResponseError,
)
from demandbase_api.http.retry import RetryPolicy
from demandbase_sandbox import Effect, Fault, Sandbox
from demandbase_sandbox.operations import CREATING
from tap_demandbase.errors import SelectionError, StreamsFailedError
from tap_demandbase.reference_streams import stream_name, value_ids
from tests.sandbox_time import SandboxTime
from tests.tap.conftest import QuickTap

pytestmark = pytest.mark.thorough

Sync = Callable[..., Any]

LIST, VALUES = "get-reference", "get-support-object"
NAMES = [
    "reference_persona", "reference_buyer_role", "reference_ideal_buying_group",
    "reference_ideal_buying_group_persona_role", "reference_keyword_set",
    "reference_keyword_set_member", "reference_job_function", "reference_job_level",
]  # fmt: skip


@pytest.fixture
def api() -> str:
    return "uapi"


def references(tap: QuickTap) -> list[str]:
    return [name for name in tap.streams if name.startswith("reference_")]


def test_each_object_that_demandbase_lists_is_a_stream_that_is_not_selected(
    sandbox: Sandbox, config: dict[str, Any]
) -> None:
    catalog = QuickTap(config=config).catalog_dict
    entries = {entry["tap_stream_id"]: entry for entry in catalog["streams"]}
    assert {name for name in entries if name.startswith("reference_")} == {*NAMES}
    for name in NAMES:
        root = next(it["metadata"] for it in entries[name]["metadata"] if not it["breadcrumb"])
        assert root["selected-by-default"] is False
    assert not sandbox.requests(VALUES)


def test_the_values_are_records_without_a_job(sandbox: Sandbox, sync: Sync) -> None:
    output = sync(*NAMES)
    assert output.records("reference_persona") == [
        {"id": "1", "name": "Economic buyer", "data": {"id": 1, "name": "Economic buyer"}},
        {"id": "2", "name": "Technical buyer", "data": {"id": 2, "name": "Technical buyer"}},
    ]
    assert {len({r["id"] for r in output.records(name)}) for name in NAMES} == {1, 2, 3}
    roles = output.records("reference_ideal_buying_group_persona_role")
    assert [record["data"]["buyerRoleId"] for record in roles] == [2, 1, 3]
    assert {record["name"] for record in roles} == {None}
    assert output.messages[-1]["type"] == "STATE"
    assert len(sandbox.requests(LIST)) == 2  # one of them for the catalog
    assert len(sandbox.requests(VALUES)) == len(NAMES)
    assert not [each for each in sandbox.requests() if each.operation in CREATING]


def test_a_catalog_that_selects_none_costs_no_call(
    sandbox: Sandbox, config: dict[str, Any]
) -> None:
    catalog = QuickTap(config=config).catalog_dict
    sandbox.clear_requests()
    assert references(QuickTap(config=config, catalog=catalog)) == []
    assert not sandbox.requests(LIST)


def test_v1_has_none(sandbox: Sandbox) -> None:
    config = {"api_url": sandbox.url, "access_token": sandbox.token}
    assert references(QuickTap(config=config)) == []


def test_a_denied_list_costs_discovery_a_warning(
    sandbox: Sandbox, config: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.add_fault(Fault(LIST, Effect.STATUS, code="403-105"))
    tap = QuickTap(config=config)
    assert references(tap) == []
    assert "accounts" in tap.streams
    [warning] = [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.WARNING and "reference" in record.getMessage()
    ]
    assert "reference values are left out: Demandbase does not permit this tenant" in warning


def run_with_catalog(
    sandbox: Sandbox, config: dict[str, Any], capsys: pytest.CaptureFixture[str], *faults: Fault
) -> tuple[set[str], StreamsFailedError]:
    """Select two objects and two other streams; return the streams with records and the error."""
    config = {**config, "entities": ["people"]}
    catalog = QuickTap(config=config).catalog_dict
    selected = {"reference_persona", "reference_job_level", "import_jobs", "people"}
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                item["metadata"]["selected"] = entry["tap_stream_id"] in selected
    for fault in faults:
        sandbox.add_fault(fault)
    capsys.readouterr()
    with pytest.raises(StreamsFailedError) as caught:
        QuickTap(config=config, catalog=catalog).sync_all()
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    return {line["stream"] for line in lines if line["type"] == "RECORD"}, caught.value


@pytest.mark.parametrize(
    ("fault", "failed", "kind", "words"),
    [
        (
            Fault(LIST, Effect.STATUS, code="403-105"),
            {"reference_persona", "reference_job_level"},
            PermissionDeniedError,
            "when asked to list the reference objects",
        ),
        (
            Fault(LIST, Effect.ALTER, members={"refObjectsAvailable": [{"name": "persona"}]}),
            {"reference_job_level"},
            SelectionError,
            "these reference values (any more). It has reference_persona. Deselect the stream.",
        ),
        (
            Fault(LIST, Effect.ALTER, members={"refObjectsAvailable": [{"name": 7}]}),
            {"reference_persona", "reference_job_level"},
            UnexpectedResponseError,
            "“name” that cannot be read",
        ),
        (
            Fault(VALUES, Effect.STATUS, code="403-101"),
            {"reference_job_level"},
            PermissionDeniedError,
            "when asked to list the values of a reference object",
        ),
        (
            Fault(VALUES, Effect.STATUS, code="400-154"),
            {"reference_job_level"},
            InvalidRequestError,
            "The tenant may no longer have this object: run discovery again, or deselect",
        ),
        (
            Fault(VALUES, Effect.ALTER, members={"data": ["a"]}),
            {"reference_job_level"},
            UnexpectedResponseError,
            "other than an object",
        ),
    ],
)
def test_a_stream_fails_alone(
    sandbox: Sandbox,
    config: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    fault: Fault,
    failed: set[str],
    kind: type[Exception],
    words: str,
) -> None:
    delivered, error = run_with_catalog(sandbox, config, capsys, fault)
    assert error.failures.keys() == failed
    assert {type(each) for each in error.failures.values()} == {kind}
    assert all(words in str(each) for each in error.failures.values())
    assert delivered >= {"people", "reference_persona", "reference_job_level"} - failed


def test_a_call_limit_ends_the_run_with_75(sandbox: Sandbox, config: dict[str, Any]) -> None:
    catalog = QuickTap(config=config).catalog_dict
    sandbox.add_fault(Fault(LIST, Effect.STATUS, status=429, times=None))
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                item["metadata"]["selected"] = entry["tap_stream_id"] == "reference_persona"
    with pytest.raises(CallBudgetError) as caught:
        QuickTap(config=config, catalog=catalog).sync_all()
    assert caught.value.exit_code == 75


@pytest.mark.parametrize(
    ("object_name", "stream"),
    [
        ("persona", "reference_persona"),
        ("idealBuyingGroupPersonaRole", "reference_ideal_buying_group_persona_role"),
        ("JobLevel", "reference_job_level"),
        ("Sub Industry/2", "reference_sub_industry_2"),
    ],
)
def test_the_name_of_the_stream_is_that_of_the_object(object_name: str, stream: str) -> None:
    assert stream_name(object_name) == stream


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        ([], []),
        ([{"id": 1}, {"id": "x"}], ["1", "x"]),
        ([{"id": 1}, {"id": "1"}], None),
        ([{"id": 1}, {"name": "a"}], None),
        ([{"id": True}, {"id": 2}], None),
        ([{"id": 1.5}, {"id": 2}], None),
        ([{"id": ""}, {"id": 2}], None),
        ([{"id": {"a": 1}}, {"id": 2}], None),
    ],
)
def test_ids_that_identify_no_value_are_replaced(
    values: list[dict[str, Any]], ids: list[str] | None
) -> None:
    found = value_ids(values)
    if ids is not None:
        assert found == ids
    else:
        assert len(set(found)) == len(values)
        assert all(len(each) == 16 for each in found)
        assert value_ids(values[::-1]) == found[::-1]


def test_a_list_that_fails_again_and_again_delays_other_streams_by_half_a_minute(
    sandbox: Sandbox, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SandboxTime(sandbox)
    monkeypatch.setattr(QuickTap, "retry", RetryPolicy())
    monkeypatch.setattr(QuickTap, "clock", clock)
    sandbox.add_fault(Fault(LIST, Effect.STATUS, times=None))
    begun = clock.now()
    tap = QuickTap(config=config)
    assert references(tap) == []
    assert "accounts" in tap.streams
    assert len(sandbox.requests(LIST)) > 1
    assert clock.now() - begun < 40
