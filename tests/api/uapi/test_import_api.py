"""Imports from creation to end."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from demandbase_api.connection import ApiFiles, Connection
from demandbase_api.errors import (
    CallBudgetError,
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    UnexpectedResponseError,
)
from demandbase_api.models import (
    FieldMapping,
    ImportOperation,
    ImportRequest,
    JobStatus,
    ListAction,
)
from demandbase_api.ports import DiscoveryScope, ExportApi, ImportApi
from demandbase_api.uapi.imports import HEADERS
from demandbase_sandbox import Effect, Fault, Sandbox

REQUEST = ImportRequest("accounts", ImportOperation.UPSERT, None, ())
CSV = b"Account Domain,Account Name\r\nacme.example,Acme\r\n"


def test_an_import_from_creation_to_its_end(sandbox: Sandbox, imports: ImportApi) -> None:
    created = imports.submit(REQUEST, "accounts-3f2a.csv")
    assert created.id.isdigit()
    assert (created.status, created.file_name) == (JobStatus.PENDING, "accounts-3f2a.csv")
    assert imports.waits_for_file(created)
    sent = imports.upload(created.id, io.BytesIO(CSV), "accounts-3f2a.csv")
    assert not imports.waits_for_file(sent)
    [listed] = imports.jobs()
    assert (listed.id, listed.status) == (created.id, JobStatus.COMPLETED)
    assert (listed.entity, listed.file_name) == ("accounts", "accounts-3f2a.csv")
    assert imports.get(created.id).status is JobStatus.COMPLETED
    # This API does not report row outcomes.
    assert listed.success_count is listed.error_count is None
    assert sandbox.uploaded(created.id) == CSV
    assert sandbox.requests("createImportJob")[0].body == {
        "dataImportName": "accounts-3f2a.csv",
        "entityType": "Account",
        "source": "CSV",
    }


@pytest.mark.parametrize("action", ListAction)
def test_the_list_action_is_always_sent(
    sandbox: Sandbox, imports: ImportApi, action: ListAction
) -> None:
    job = imports.submit(REQUEST, "rows.csv")
    imports.upload(job.id, io.BytesIO(CSV), "rows.csv", action)
    [request] = sandbox.requests("uploadImportFile")
    assert request.query == {"listAction": action.value}
    assert request.headers["Content-Type"] == "application/octet-stream"


def test_only_imports_of_accounts_change_account_lists(imports: ImportApi) -> None:
    able = {name for name in HEADERS if imports.entity(name).takes_list_action}
    assert able == {"accounts"}


def test_account_lists_are_unchanged_by_default(sandbox: Sandbox, imports: ImportApi) -> None:
    job = imports.submit(REQUEST, "rows.csv")
    imports.upload(job.id, io.BytesIO(CSV), "rows.csv")
    assert sandbox.requests("uploadImportFile")[0].query == {"listAction": "noop"}


def test_imports_of_activities_name_their_type(sandbox: Sandbox, imports: ImportApi) -> None:
    first, *_ = imports.activity_types()
    request = replace(
        REQUEST,
        entity="activities",
        operation=ImportOperation.INSERT,  # whatever is there, they are added
        activity_type=first.id,
    )
    assert imports.submit(request, "rows.csv").entity == "activities"
    assert sandbox.requests("createImportJob")[0].body["activityTypeId"] == first.id
    with pytest.raises(InvalidRequestError):
        imports.submit(replace(request, activity_type=None), "rows.csv")


def test_an_activity_type_has_its_own_fields(imports: ImportApi) -> None:
    first, *_ = imports.activity_types()
    fields = imports.entity("activities", first.id).fields
    assert {field.name for field in fields if field.required} == {
        "External Person Id", "Activity Date",
    }  # fmt: skip
    with pytest.raises(NotFoundError):
        imports.entity("activities", 999)


def test_an_activity_type_may_say_nothing_of_fields_or_what_they_need(
    sandbox: Sandbox, imports: ImportApi
) -> None:
    named = '"activityType": {"name": "visit"}'
    bodies = {
        f"{{{named}}}": (),
        f'{{{named}, "fields": null}}': (),
        f'{{{named}, "fields": [{{"fieldName": "a"}}]}}': (
            FieldMapping("activities", "a", "string", required=False),
        ),
    }
    for number, (body, fields) in enumerate(bodies.items()):
        sandbox.add_fault(Fault("getActivityType", Effect.STATUS, status=200, body=body, times=1))
        entity = imports.entity("activities", number)
        assert (entity.kind, entity.fields) == ("visit", fields)


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"fields": []}',
        '{"activityType": {"name": "a"}, "fields": "none"}',
        '{"activityType": {"name": "a"}, "fields": [{"fieldName": "", "defaultField": true}]}',
        """{"activityType": {"name": "a"},
            "fields": [{"fieldName": "a", "isRequiredForCsvImport": "yes"}]}""",
        '{"activityType": {"name": "a"}, "fields": [{"fieldDataType": "String"}]}',
    ],
)
def test_the_fields_of_an_activity_type_are_never_guessed(
    sandbox: Sandbox, imports: ImportApi, body: str
) -> None:
    sandbox.add_fault(Fault("getActivityType", Effect.STATUS, status=200, body=body))
    with pytest.raises(UnexpectedResponseError):
        imports.entity("activities", 1)


@pytest.mark.parametrize("body", ['[{"id": 1}]', '[{"id": "1", "name": "a"}]', "[1]"])
def test_activity_types_are_never_guessed(sandbox: Sandbox, imports: ImportApi, body: str) -> None:
    sandbox.add_fault(Fault("listActivityTypes", Effect.STATUS, status=200, body=body))
    with pytest.raises(UnexpectedResponseError):
        imports.activity_types()


def test_the_documented_headers_replace_mappings(imports: ImportApi) -> None:
    assert not imports.capabilities.mappings
    required = {(m.entity, m.name) for m in imports.mappings() if m.required}
    assert required == {
        ("accounts", "Account Name"),
        ("accounts", "Account Domain"),
        *(("people", name) for name in ("First Name", "Last Name", "Email", "External Person Id")),
        ("opportunities", "External Opportunity ID"),
        ("opportunities", "Opportunity Name"),
        ("opportunities", "Account Name"),
        ("opportunities", "Account Domain"),
    }
    assert {m.entity for m in imports.mappings("people")} == {"people"}


@pytest.mark.parametrize(
    "request_",
    [replace(REQUEST, operation=ImportOperation.INSERT), replace(REQUEST, match_key="domain")],
)
def test_an_unsupported_request_is_rejected(imports: ImportApi, request_: ImportRequest) -> None:
    with pytest.raises(ConfigurationError, match="settings operation and match_keys"):
        imports.submit(request_, "rows.csv")


def test_neither_cancelling_nor_row_errors_are_silently_ignored(imports: ImportApi) -> None:
    job = imports.submit(REQUEST, "rows.csv")
    assert not imports.cancel(job.id)
    with pytest.raises(ConfigurationError, match="see the import audit"):
        imports.row_errors(job.id)


def test_an_unknown_job_is_reported(imports: ImportApi) -> None:
    with pytest.raises(NotFoundError):
        imports.get("999999")
    with pytest.raises(ConfigurationError, match="of another API"):
        imports.get("a5b0c2f6-v1")


def test_calls_are_counted_with_those_of_exports(
    connection: Callable[..., Connection], files: ApiFiles, imports: ImportApi
) -> None:
    list(imports.jobs())
    calls = files.state.store().get(files.name(connection(), "calls"))
    assert b'"LIST_IMPORTS": 1' in (calls or b"")
    assert imports.poll_pause() == 0


def test_the_fields_of_the_tenant_are_those_of_discovery(
    sandbox: Sandbox, imports: ImportApi, exports: ExportApi
) -> None:
    exports.entities(DiscoveryScope(frozenset({"people"})))
    labels = {field.name: field.label for field in imports.tenant_fields("people")}
    assert (labels["lead_score"], labels["account_id"]) == ("Lead Score", "External Account Id")
    assert "account_name" not in labels  # of the person's account
    assert len(sandbox.requests("fetchFields")) == 1


def test_a_comparison_takes_no_calls_that_discovery_may_need(
    sandbox: Sandbox,
    imports: ImportApi,
    connection: Callable[..., Connection],
    files: ApiFiles,
) -> None:
    sandbox.add_fault(Fault("fetchFields", Effect.STATUS, code="403-101", times=None))
    for _ in range(3):
        with pytest.raises(PermissionDeniedError, match="does not permit the export of people"):
            imports.tenant_fields("people")
    assert len(sandbox.requests("fetchFields")) == 1
    day = sandbox.clock.now().date().isoformat()
    counted = json.dumps({"day": day, "calls": {"LIST_FIELDS": 30}}).encode()
    files.state.store().update(files.name(connection(), "calls"), lambda _: counted)
    with pytest.raises(CallBudgetError, match="has 30 calls left today, which are kept for"):
        imports.tenant_fields("accounts")
    assert len(sandbox.requests("fetchFields")) == 1
