"""Discovery of fields is cached, and denied entities are left out."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from demandbase_api.config import Api
from demandbase_api.connect import connect
from demandbase_api.connection import ApiFiles, Connection
from demandbase_api.errors import (
    CallBudgetError,
    ConfigurationError,
    InvalidRequestError,
    PermissionDeniedError,
)
from demandbase_api.models import ExportRequest
from demandbase_api.ports import DiscoveryScope, ExportApi
from demandbase_api.state.folder import StateFolder
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tests.sandbox_time import SandboxTime

pytestmark = pytest.mark.thorough

ALL = DiscoveryScope(report_types={"campaigns": "summary", "creatives": "performance"})


def asked(sandbox: Sandbox) -> int:
    return len(sandbox.requests("fetchFields"))


def start_of_day(sandbox: Sandbox) -> None:
    """Move the time to the next midnight UTC."""
    now = sandbox.clock.now()
    midnight = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
    sandbox.clock.advance((midnight - now).total_seconds())


def test_all_runs_request_each_entity_once_in_24_hours(
    sandbox: Sandbox,
    exports: ExportApi,
    connection: Callable[..., Connection],
    files: ApiFiles,
) -> None:
    found = exports.entities(ALL)
    assert [entity.name for entity in found] == [
        "accounts",
        "people",
        "opportunities",
        "activities",
        "campaigns",
        "creatives",
        "buying_groups",
        "buying_group_members",
        "account_list_members",
        "person_list_members",
    ]
    assert asked(sandbox) == 8
    sandbox.clock.advance(23 * 3600)
    next_run = connect(connection(), Api.UAPI, files=files, clock=SandboxTime(sandbox)).exports
    assert next_run.entities(ALL) == found
    assert asked(sandbox) == 8
    sandbox.clock.advance(2 * 3600)
    assert next_run.entities(ALL) == found
    assert asked(sandbox) == 16


def test_without_a_cache_each_run_requests_the_fields(
    sandbox: Sandbox, connection: Callable[..., Connection], files: ApiFiles
) -> None:
    files = replace(files, cache_hours=0)
    api = connect(connection(), Api.UAPI, files=files, clock=SandboxTime(sandbox)).exports
    for _ in range(2):
        api.entities(DiscoveryScope(frozenset({"people"})))
    assert asked(sandbox) == 2


def test_reports_are_left_out_until_their_type_is_set(exports: ExportApi) -> None:
    assert not {"campaigns", "creatives"} & {entity.name for entity in exports.entities()}
    with pytest.raises(ConfigurationError, match=r"stream_options\.campaigns\.ad_report_type"):
        exports.entities(DiscoveryScope(frozenset({"campaigns"})))


def test_a_denied_entity_is_left_out_with_one_warning(
    sandbox: Sandbox, exports: ExportApi, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.add_fault(
        Fault(
            "fetchFields",
            Effect.STATUS,
            status=403,
            body='{"errorCode": "403-101"}',
            headers={"Content-Type": "application/json"},
            times=2,
        )
    )
    with caplog.at_level(logging.WARNING):
        names = {entity.name for entity in exports.entities()}
    assert {"accounts", "people"} & names == set()
    assert "opportunities" in names
    [warning] = [record.getMessage() for record in caplog.records]
    assert "may not export accounts, people" in warning
    assert warning.count("code 403-101") == 1
    caplog.clear()
    sandbox.clear_requests()
    exports.entities()
    assert asked(sandbox) == 0
    assert len(caplog.records) == 1


def test_a_reason_shared_by_several_entities_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = SandboxOptions(withheld_entities=frozenset({"account", "person"}))
    with Sandbox(options) as sandbox:
        connection = Connection(sandbox.uapi_url, access_token=sandbox.token)
        api = connect(connection, Api.UAPI, files=ApiFiles(StateFolder(tmp_path))).exports
        with caplog.at_level(logging.WARNING):
            api.entities()
    [warning] = [record.getMessage() for record in caplog.records]
    assert "may not export accounts, people" in warning
    assert warning.count("code 403-101, diagnostic code") == 1


def test_a_denied_entity_in_the_scope_is_an_error(sandbox: Sandbox, exports: ExportApi) -> None:
    sandbox.add_fault(Fault("fetchFields", Effect.STATUS, status=403))
    with pytest.raises(PermissionDeniedError, match="does not permit the export of people"):
        exports.entities(DiscoveryScope(frozenset({"people"})))


@pytest.mark.parametrize("named", [frozenset({"people"}), None])
def test_a_denial_that_ends_the_run_is_requested_again_by_the_next(
    sandbox: Sandbox, exports: ExportApi, named: frozenset[str] | None
) -> None:
    scope = DiscoveryScope(named)
    sandbox.add_fault(Fault("fetchFields", Effect.STATUS, code="403-103", times=None))
    with pytest.raises(PermissionDeniedError, match="no Export Collection enabled"):
        exports.entities(scope)
    sandbox.clear_faults()
    assert "people" in {entity.name for entity in exports.entities(scope)}


class TestOneCallADay:
    """The fields of an entity cost at most one call a day, and a second one after a rejection."""

    def test_a_denial_is_requested_twice_a_day_at_most(
        self, sandbox: Sandbox, exports: ExportApi
    ) -> None:
        people = DiscoveryScope(frozenset({"people"}))
        sandbox.add_fault(Fault("fetchFields", Effect.STATUS, code="403-101", times=None))
        start_of_day(sandbox)
        said = []
        for _ in range(24):
            with pytest.raises(PermissionDeniedError, match="code 403-101") as caught:
                exports.entities(people)
            said.append("asked at most twice a day" in str(caught.value))
            sandbox.clock.advance(3600)
        assert asked(sandbox) == 2
        assert said == [False] * 2 + [True] * 22
        with pytest.raises(PermissionDeniedError) as caught:
            exports.entities(people)
        assert asked(sandbox) == 3
        assert "twice" not in str(caught.value)

    def test_rejected_fields_are_requested_twice_a_day_at_most(
        self, sandbox: Sandbox, exports: ExportApi
    ) -> None:
        start_of_day(sandbox)
        for _ in range(24):
            assert exports.entities(DiscoveryScope(frozenset({"people"})))
            with pytest.raises(InvalidRequestError, match="400-115"):
                exports.submit(ExportRequest("people", ("{Person}.nosuch",)))
            sandbox.clock.advance(3600)
        assert asked(sandbox) == 2

    def test_runs_that_begin_at_once_share_the_calls(
        self,
        sandbox: Sandbox,
        connection: Callable[..., Connection],
        files: ApiFiles,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("demandbase_api.uapi.discovery._CLAIM_PAUSE", 0.01)
        sandbox.add_fault(Fault("fetchFields", Effect.DELAY, seconds=0.05, times=None))
        with ThreadPoolExecutor(4) as runs:
            apis = [connect(connection(), Api.UAPI, files=files).exports for _ in range(4)]
            first, *others = runs.map(lambda api: api.entities(ALL), apis)
        assert len(first) == 10
        assert others == [first] * 3
        assert asked(sandbox) == 8

    @pytest.mark.parametrize(("age", "seconds"), [(30, 90), (121, 0), (-30, 0)])
    def test_the_claim_of_a_run_that_was_killed_ends(
        self,
        sandbox: Sandbox,
        exports: ExportApi,
        connection: Callable[..., Connection],
        files: ApiFiles,
        caplog: pytest.LogCaptureFixture,
        age: float,
        seconds: float,
    ) -> None:
        now = sandbox.clock.now()
        since = (now - timedelta(seconds=age)).isoformat()
        document = {"form": 1, "answers": {}, "claims": {"person": since}}
        path = files.state.open() / files.name(connection(), "fields")
        path.write_text(json.dumps(document))
        assert exports.entities(DiscoveryScope(frozenset({"people"})))
        assert (sandbox.clock.now() - now).total_seconds() == pytest.approx(seconds, abs=9)
        words = "requests the fields of person: if it was killed, for up to 2 min"
        waits = [each for each in caplog.records if words in each.getMessage()]
        assert [each.levelname for each in waits] == ["WARNING"] * (seconds > 0)
        assert asked(sandbox) == 1
        assert json.loads(path.read_bytes())["claims"] == {}

    def test_a_failed_request_ends_its_claim(
        self,
        sandbox: Sandbox,
        exports: ExportApi,
        connection: Callable[..., Connection],
        files: ApiFiles,
    ) -> None:
        sandbox.add_fault(Fault("fetchFields", Effect.STATUS, status=400))
        with pytest.raises(InvalidRequestError):
            exports.entities(DiscoveryScope(frozenset({"people"})))
        path = files.state.open() / files.name(connection(), "fields")
        assert json.loads(path.read_bytes())["claims"] == {}


class TestFewCallsLeft:
    """Two of the 60 daily calls for fields are left, and most entities are not in the cache."""

    @pytest.fixture
    def api(
        self, sandbox: Sandbox, connection: Callable[..., Connection], files: ApiFiles
    ) -> ExportApi:
        files = replace(files, cache_hours=0)
        api = connect(connection(), Api.UAPI, files=files, clock=SandboxTime(sandbox)).exports
        reports = DiscoveryScope(frozenset({"campaigns"}), {"campaigns": "summary"})
        for _ in range(58):
            api.entities(reports)
        sandbox.clear_requests()
        return api

    def test_too_few_calls_for_all_entities_are_reported_before_the_first(
        self, sandbox: Sandbox, api: ExportApi
    ) -> None:
        with pytest.raises(
            CallBudgetError, match="2 are left, and at least 6 are needed"
        ) as caught:
            api.entities()
        assert caught.value.exit_code == 75
        assert asked(sandbox) == 0

    def test_the_last_calls_are_for_entities_without_an_expired_result(
        self, sandbox: Sandbox, api: ExportApi
    ) -> None:
        scope = DiscoveryScope(frozenset({"campaigns", "creatives"}), ALL.report_types)
        assert len(api.entities(scope)) == 2
        # These were the last two calls: later on, the expired results of both are used.
        assert asked(sandbox) == 2
        assert len(api.entities(scope)) == 2
        sandbox.clock.advance(24 * 3600)
        assert len(api.entities(scope)) == 2
        assert asked(sandbox) == 4


def test_expired_results_are_used_once_the_daily_calls_are_used_up(
    sandbox: Sandbox, exports: ExportApi, caplog: pytest.LogCaptureFixture
) -> None:
    people = DiscoveryScope(frozenset({"people"}))
    known = exports.entities(people)
    sandbox.clock.advance(48 * 3600)
    sandbox.add_fault(Fault("fetchFields", Effect.STATUS, status=429, times=None))
    assert exports.entities(people) == known
    assert "are used instead" in caplog.text
    with pytest.raises(CallBudgetError):
        exports.entities(DiscoveryScope(frozenset({"accounts"})))


@pytest.mark.parametrize("code", ["403-101", "403-104"])
def test_a_denied_permission_has_the_fields_requested_again(
    sandbox: Sandbox, exports: ExportApi, code: str
) -> None:
    people = DiscoveryScope(frozenset({"people"}))
    exports.entities(people)
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, code=code))
    with pytest.raises((PermissionDeniedError, InvalidRequestError), match=code):
        exports.submit(ExportRequest("people", ("{Person}.title",)))
    exports.entities(people)
    assert asked(sandbox) == 2


def test_a_rejected_request_has_the_fields_requested_again(
    sandbox: Sandbox, exports: ExportApi
) -> None:
    people = DiscoveryScope(frozenset({"people"}))
    exports.entities(people)
    with pytest.raises(InvalidRequestError, match="400-115"):
        exports.submit(ExportRequest("people", ("{Person}.nosuch",)))
    exports.entities(people)
    assert asked(sandbox) == 2


FIELD = {"name": "{Person}.id", "dataType": "String"}
NOW = "<now>"


def kept(at: str = NOW, field: Mapping[str, object] = FIELD, refusal: object = None) -> str:
    answer = {"at": at, "fields": [field], "refusal": refusal}
    return json.dumps({"form": 1, "answers": {"person": answer}})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"form": 1}',
        '{"form": 1, "answers": {"a": 1}}',
        kept(at="2026-05-31T12:00:00"),
        kept(field={**FIELD, "name": 5}),
        kept(field={**FIELD, "dataType": 5}),
        kept(field={"dataType": "String"}),
        kept(refusal=5),
    ],
)
def test_an_unreadable_cache_is_empty(
    sandbox: Sandbox,
    exports: ExportApi,
    connection: Callable[..., Connection],
    files: ApiFiles,
    text: str,
) -> None:
    path = files.state.open() / files.name(connection(), "fields")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.replace(NOW, sandbox.clock.now().isoformat()))
    assert exports.entities(DiscoveryScope(frozenset({"people"})))
    assert asked(sandbox) == 1


def test_an_unwritable_cache_costs_calls_and_one_warning(
    sandbox: Sandbox,
    exports: ExportApi,
    connection: Callable[..., Connection],
    files: ApiFiles,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = files.state.open() / files.name(connection(), "fields")
    path.mkdir(parents=True)
    for _ in range(2):
        assert exports.entities()
    assert asked(sandbox) == 12
    [warning] = [record.getMessage() for record in caplog.records]
    assert "Cannot write the discovered fields to state_dir" in warning
    assert not list(path.parent.glob("*.new"))


def test_a_report_type_is_for_reports_only(exports: ExportApi) -> None:
    with pytest.raises(ConfigurationError, match=r"accounts\.ad_report_type is for campaigns and"):
        exports.entities(DiscoveryScope(report_types={"accounts": "summary"}))


def test_the_details_of_an_entity_are_returned(exports: ExportApi) -> None:
    found = {entity.name: entity for entity in exports.entities(ALL)}
    assert found["activities"].date_field == "activity_at"
    assert found["activities"].max_days == 89
    assert found["accounts"].key == ("id",)
    assert found["campaigns"].key == ()
    pages = found["buying_groups"].parent_ids
    assert pages is not None
    assert (pages.entity, pages.field, pages.size) == ("accounts", "{Account}.id", 10_000)
    [name] = [f for f in found["activities"].fields if f.job_name == "{Account}.name"]
    assert (name.name, name.label) == ("account_name", "Account Name")
