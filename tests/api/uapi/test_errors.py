"""Errors of the published codes."""

from __future__ import annotations

import json

import pytest

from demandbase_api import errors
from demandbase_api.models import ExportRequest, ImportOperation, ImportRequest
from demandbase_api.ports import ExportApi, ImportApi
from demandbase_sandbox import Effect, Fault, Sandbox

REQUEST = ExportRequest("accounts", ("{Account}.id",))
DIAGNOSTIC = "ce0fc1770e0d425b88892df4f663bf07"


def reject(sandbox: Sandbox, operation: str, code: str, times: int | None = None) -> None:
    body = {"errorCode": code, "errorMessage": "Its words.", "diagnosticCode": DIAGNOSTIC}
    fault = Fault(
        operation,
        Effect.STATUS,
        status=int(code[:3]),
        body=json.dumps(body),
        headers={"Content-Type": "application/json"},
        times=times,
    )
    sandbox.add_fault(fault)


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("400-115", errors.InvalidRequestError, "run discovery again"),
        ("400-155", errors.InvalidRequestError, "have them added to the Export Collection"),
        ("400-147", errors.InvalidRequestError, "did not accept the request"),
        ("403-100", errors.PermissionDeniedError, "the export permission"),
        ("403-101", errors.PermissionDeniedError, "leave the stream out"),
        ("403-102", errors.PermissionDeniedError, "to allow it for the API Key Set"),
        ("403-103", errors.PermissionDeniedError, "no Export Collection enabled"),
        ("403-104", errors.InvalidRequestError, "have them added to the Export Collection"),
        ("403-105", errors.PermissionDeniedError, "does not permit this tenant to use this call"),
        ("404-301", errors.NotFoundError, "check the settings api_url and api"),
        ("429-100", errors.RateLimitedError, "asked for fewer calls"),
        ("429-101", errors.QuotaExceededError, "in the last 24 hours"),
        ("429-102", errors.BusyError, "has as many jobs running as may run"),
        ("429-999", errors.CallBudgetError, "restarts at midnight UTC"),
        ("500-100", errors.ServerError, "had an internal error"),
    ],
)
def test_each_code_maps_to_an_error_with_its_codes_for_support(
    sandbox: Sandbox, exports: ExportApi, code: str, kind: type[errors.ApiError], said: str
) -> None:
    reject(sandbox, "createExportJob", code)
    with pytest.raises(kind) as caught:
        exports.submit(REQUEST)
    assert type(caught.value) is kind
    sentence = str(caught.value)
    assert said in sentence
    assert f"(HTTP {code[:3]}, code {code}, diagnostic code {DIAGNOSTIC}): Its words." in sentence


@pytest.mark.parametrize("code", ["429-100", "429-101", "429-102", "429-999"])
def test_errors_that_may_pass_have_exit_code_75(
    sandbox: Sandbox, exports: ExportApi, code: str
) -> None:
    reject(sandbox, "createExportJob", code)
    with pytest.raises(errors.DemandbaseError) as caught:
        exports.submit(REQUEST)
    assert caught.value.exit_code == 75


def test_concurrent_queries_back_off(sandbox: Sandbox, exports: ExportApi) -> None:
    reject(sandbox, "fetchExportJobsInfo", "429-100", times=3)
    assert list(exports.jobs()) == []
    assert len(sandbox.requests("fetchExportJobsInfo")) == 4


def test_a_used_up_budget_is_not_retried(sandbox: Sandbox, exports: ExportApi) -> None:
    reject(sandbox, "fetchExportJobsInfo", "429-999")
    with pytest.raises(errors.CallBudgetError):
        list(exports.jobs())
    assert len(sandbox.requests("fetchExportJobsInfo")) == 1


def test_a_missing_import_permission_is_reported(sandbox: Sandbox, imports: ImportApi) -> None:
    headers = {"Content-Type": "application/json"}
    sandbox.add_fault(
        Fault("createImportJob", Effect.STATUS, status=403, body='{"status": "x"}', headers=headers)
    )
    request = ImportRequest("accounts", ImportOperation.UPSERT, None, ())
    with pytest.raises(errors.PermissionDeniedError, match="the permission “Import Data”"):
        imports.submit(request, "rows")


@pytest.mark.parametrize("diagnostic", ["QWxs.aXMgb3BhcXVl_1", "req:7Zk/2f+=", "7"])
def test_a_diagnostic_code_may_be_any_word(
    sandbox: Sandbox, exports: ExportApi, diagnostic: str
) -> None:
    body = {"errorCode": "500-100", "diagnosticCode": diagnostic}
    alter = Fault(
        "fetchExportJobsInfo",
        Effect.STATUS,
        status=400,
        body=json.dumps(body),
        headers={"Content-Type": "application/json"},
    )
    sandbox.add_fault(alter)
    with pytest.raises(errors.InvalidRequestError) as caught:
        list(exports.jobs())
    assert f"diagnostic code {diagnostic})" in str(caught.value)


@pytest.mark.parametrize(
    "secret", ["a@b.example", "https://x.example/f?sig=1", "token", "client_secret"]
)
def test_an_invalid_diagnostic_code_is_not_shown(
    sandbox: Sandbox, exports: ExportApi, secret: str
) -> None:
    list(exports.jobs())  # there is a token now
    [token] = sandbox.issued_tokens()
    known = {"token": token, "client_secret": sandbox.client_secret}
    secret = known.get(secret, secret)
    body = json.dumps({"errorCode": f"oops {secret}", "diagnosticCode": secret})
    headers = {"Content-Type": "application/json"}
    sandbox.add_fault(
        Fault("fetchExportJobsInfo", Effect.STATUS, status=400, body=body, headers=headers)
    )
    with pytest.raises(errors.InvalidRequestError) as caught:
        list(exports.jobs())
    assert secret not in str(caught.value)
