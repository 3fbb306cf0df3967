"""Waits between the tries of a call, and which calls are tried again."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator

import pytest

from demandbase_api import errors
from demandbase_api.connection import Connection
from demandbase_api.errors import ApiOperation
from demandbase_api.http.client import HttpClient
from demandbase_api.http.retry import FOR_A_PERSON, RetryPolicy
from demandbase_api.models import ColumnMapping, ExportRequest, ImportOperation, ImportRequest
from demandbase_api.v1.exports import V1ExportApi
from demandbase_api.v1.imports import V1ImportApi
from demandbase_sandbox import Effect, Fault, Sandbox
from tests.api.fake_exports import FakeClock
from tests.http_server import Reply, http_server

QUICK = RetryPolicy(tries=3, base_seconds=0.001, max_seconds=0.01)
MAPPINGS = (ColumnMapping("domain", "domain"),)


def failure(retry_after: float | None) -> errors.ServerError:
    return errors.ServerError(ApiOperation.GET_EXPORT, "had trouble", retry_after=retry_after)


def waits(policy: RetryPolicy, *retry_after: float | None) -> list[float]:
    return [
        policy.wait_after(tries, failure(seconds)) for tries, seconds in enumerate(retry_after, 1)
    ]


def test_the_servers_retry_after_is_waited_for_in_full() -> None:
    policy = RetryPolicy(base_seconds=0.001, max_seconds=60)
    assert waits(policy, 7, 59.5, 900) == [7, 59.5, 900]


def test_a_retry_after_above_the_limit_is_an_error(sandbox: Sandbox) -> None:
    api = V1ExportApi(HttpClient(Connection(sandbox.url, sandbox.token, retry=RetryPolicy())))
    headers = {"Retry-After": "901"}
    fault = Fault("listExportableEntities", Effect.STATUS, status=429, headers=headers)
    sandbox.add_fault(fault)
    with pytest.raises(errors.RateLimitedError, match="try again in 901 seconds"):
        api.entities()
    assert len(sandbox.requests("listExportableEntities")) == 1


def test_without_retry_after_the_wait_is_random_below_a_doubling_ceiling() -> None:
    policy = RetryPolicy(base_seconds=1, max_seconds=30)
    drawn = [waits(policy, *[None] * 10) for _ in range(200)]
    for number, ceiling in enumerate([1, 2, 4, 8, 16, 30, 30, 30, 30, 30]):
        column = [row[number] for row in drawn]
        assert min(column) >= 0
        assert ceiling / 2 < max(column) <= ceiling


def test_a_read_succeeds_once_the_failures_end(sandbox: Sandbox) -> None:
    api = V1ExportApi(HttpClient(Connection(sandbox.url, sandbox.token, retry=QUICK)))
    sandbox.add_fault(Fault("listExportableEntities", Effect.DROP_AFTER))
    headers = {"Retry-After": "0"}
    sandbox.add_fault(
        Fault("listExportableEntities", Effect.STATUS, status=429, headers=headers, after=1)
    )
    assert api.entities()
    seen = [request.status for request in sandbox.requests("listExportableEntities")]
    assert seen == [0, 429, 200]


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({}, errors.QuotaExceededError),
        ({"Retry-After": "901"}, errors.QuotaExceededError),
        ({"Retry-After": "900"}, errors.RateLimitedError),
    ],
    ids=["plain", "long", "short"],
)
@pytest.mark.parametrize("name", ["createExportJob", "createImportJob"])
def test_too_many_exports_are_a_used_up_quota_unless_the_wait_is_short(
    sandbox: Sandbox, name: str, headers: dict[str, str], kind: type[errors.ApiError]
) -> None:
    http = HttpClient(Connection(sandbox.url, sandbox.token, retry=QUICK))
    sandbox.add_fault(Fault(name, Effect.STATUS, status=429, headers=headers, times=None))
    exports, imports = V1ExportApi(http), V1ImportApi(http)
    request = ImportRequest("accounts", ImportOperation.UPSERT, "domain", MAPPINGS)
    calls: dict[str, Callable[[], object]] = {
        "createExportJob": lambda: exports.submit(ExportRequest("campaigns")),
        "createImportJob": lambda: imports.submit(request, "f.csv"),
    }
    with pytest.raises(kind if name == "createExportJob" else errors.RateLimitedError):
        calls[name]()
    assert len(sandbox.requests(name)) == 1


def test_a_lost_response_leaves_one_job(sandbox: Sandbox) -> None:
    api = V1ExportApi(HttpClient(Connection(sandbox.url, sandbox.token, retry=QUICK)))
    sandbox.add_fault(Fault("createExportJob", Effect.DROP_AFTER))
    with pytest.raises(errors.UnreachableError) as caught:
        api.submit(ExportRequest("campaigns"))
    assert not caught.value.nothing_sent
    assert "may have been created nevertheless" in str(caught.value)
    assert "list of jobs" in str(caught.value)
    assert "api_url" not in str(caught.value)
    assert len(sandbox.export_jobs()) == len(sandbox.requests("createExportJob")) == 1


@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.DROP_BEFORE, Effect.DROP_AFTER])
def test_an_upload_is_never_retried(sandbox: Sandbox, effect: Effect) -> None:
    api = V1ImportApi(HttpClient(Connection(sandbox.url, sandbox.token, retry=QUICK)))
    job = api.submit(ImportRequest("accounts", ImportOperation.UPSERT, "domain", MAPPINGS), "f.csv")
    sandbox.add_fault(Fault("uploadImportFile", effect, status=503, times=None))
    with pytest.raises(errors.TransientError):
        api.upload(job.id, io.BytesIO(b"domain\r\na.example\r\n"), "a.csv")
    assert len(sandbox.requests("uploadImportFile")) == 1


@pytest.mark.parametrize(
    ("seconds_of_a_try", "tries", "at_most"),
    [(0.0, 3, 5.0), (4.0, 2, 9.0), (10.0, 1, 10.0)],
    ids=["refused", "no response", "no name server"],
)
def test_for_a_person_a_call_ends_within_seconds(
    seconds_of_a_try: float, tries: int, at_most: float
) -> None:
    clock, made = FakeClock(), 0

    def fail() -> None:
        nonlocal made
        made += 1
        clock.sleep(seconds_of_a_try)
        raise failure(None)

    began = clock.now()
    with pytest.raises(errors.ServerError):
        FOR_A_PERSON.on(clock).call(fail)
    assert made == tries
    assert clock.now() - began <= at_most


def test_the_time_outs_of_a_policy_bound_those_of_the_settings() -> None:
    policy = RetryPolicy(tries=1, silence_seconds=0.1)
    with http_server({"/exports": Reply(body=_nothing())}) as server:
        client = HttpClient(Connection(server.url, "token", retry=policy))
        with pytest.raises(errors.UnreachableError, match="sent nothing more"):
            client.read(ApiOperation.LIST_EXPORTS, "/exports")


def _nothing() -> Iterator[bytes]:
    yield b"{"
    time.sleep(0.5)
    yield b"}"
