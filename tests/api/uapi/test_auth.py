"""Tokens are issued once and renewed in time; failures are reported."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from demandbase_api.clock import SystemClock
from demandbase_api.config import Api
from demandbase_api.connect import connect
from demandbase_api.connection import ApiFiles, Connection
from demandbase_api.deadline import Deadline
from demandbase_api.errors import AuthenticationError, ConfigurationError, TransientError
from demandbase_api.jobs.submitter import may_have_succeeded
from demandbase_api.models import ImportOperation, ImportRequest
from demandbase_api.ports import ExportApi, ImportApi
from demandbase_sandbox import Effect, Fault, Sandbox
from tests.sandbox_time import SandboxTime

Connect = Callable[..., Connection]


def issued(sandbox: Sandbox) -> int:
    return len(sandbox.requests("createToken"))


def test_a_token_is_issued_for_the_first_call_and_reused(
    sandbox: Sandbox, exports: ExportApi
) -> None:
    assert issued(sandbox) == 0
    assert list(exports.jobs()) == list(exports.jobs()) == []
    assert issued(sandbox) == 1


@pytest.mark.parametrize(("minutes", "tokens"), [(464, 1), (466, 2)])
def test_a_token_is_renewed_15_minutes_before_it_expires(
    sandbox: Sandbox, exports: ExportApi, minutes: int, tokens: int
) -> None:
    list(exports.jobs())
    sandbox.clock.advance(minutes * 60)
    list(exports.jobs())
    assert issued(sandbox) == tokens
    assert not [request for request in sandbox.requests() if request.status == 401]


@pytest.mark.parametrize("lifetime", [None, "soon", -5, 10**300])
def test_a_token_without_a_usable_lifetime_is_used_for_8_hours(
    sandbox: Sandbox, exports: ExportApi, lifetime: object
) -> None:
    sandbox.add_fault(Fault("createToken", Effect.ALTER, members={"expiresIn": lifetime}))
    list(exports.jobs())
    sandbox.clock.advance(464 * 60)
    list(exports.jobs())
    assert issued(sandbox) == 1
    sandbox.clock.advance(2 * 60)
    list(exports.jobs())
    assert issued(sandbox) == 2


def test_a_revoked_token_is_renewed_once(sandbox: Sandbox, exports: ExportApi) -> None:
    list(exports.jobs())
    sandbox.revoke_token()
    assert list(exports.jobs()) == []
    assert issued(sandbox) == 2


def test_a_call_whose_new_token_is_rejected_fails(sandbox: Sandbox, exports: ExportApi) -> None:
    sandbox.add_fault(Fault("fetchExportJobsInfo", Effect.STATUS, status=401, times=None))
    with pytest.raises(AuthenticationError, match="did not accept a new access token either"):
        list(exports.jobs())
    assert len(sandbox.requests("fetchExportJobsInfo")) == 2


def test_concurrent_calls_share_one_token(sandbox: Sandbox, exports: ExportApi) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: list(exports.jobs()), range(16)))
        assert issued(sandbox) == 1
        sandbox.revoke_token()
        list(pool.map(lambda _: list(exports.jobs()), range(16)))
    assert issued(sandbox) == 2


def test_a_file_is_sent_again_from_its_start_after_a_401(
    sandbox: Sandbox, imports: ImportApi, tmp_path_factory: pytest.TempPathFactory
) -> None:
    request = ImportRequest("accounts", ImportOperation.UPSERT, None, ())
    job = imports.submit(request, "rows")
    sandbox.revoke_token()
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    path.write_bytes(b"Account Domain\r\n" + b"a.example\r\n" * 5000)
    with path.open("rb") as file:
        imports.upload(job.id, file, "rows")
    assert sandbox.uploaded(job.id) == path.read_bytes()


@pytest.mark.parametrize("member", ["client_id", "client_secret"])
def test_wrong_credentials_are_reported_and_not_shown(
    sandbox: Sandbox, connection: Connect, files: ApiFiles, member: str
) -> None:
    api = connect(connection(**{member: "n0such"}), Api.UAPI, files=files).exports
    with pytest.raises(AuthenticationError, match="client_id and client_secret") as caught:
        list(api.jobs())
    assert "n0such" not in str(caught.value)
    assert sandbox.client_secret not in str(caught.value)


def test_the_request_of_a_token_is_retried(sandbox: Sandbox, exports: ExportApi) -> None:
    sandbox.add_fault(Fault("createToken", Effect.STATUS, status=503, times=2))
    sandbox.add_fault(Fault("createToken", Effect.DROP_AFTER, after=2))
    assert list(exports.jobs()) == []


@pytest.mark.parametrize(
    "trouble",
    [
        Fault("createToken", Effect.STATUS, status=503, times=None),
        Fault("createToken", Effect.DROP_AFTER, times=None),
    ],
    ids=["error", "lost"],
)
def test_a_token_is_requested_once_for_each_try_of_a_call(
    sandbox: Sandbox, exports: ExportApi, trouble: Fault
) -> None:
    sandbox.add_fault(trouble)
    with pytest.raises(TransientError, match="issue an access token") as caught:
        list(exports.jobs())
    assert issued(sandbox) == 6  # the tries of the policy
    assert not may_have_succeeded(caught.value)


def test_a_token_is_not_waited_for_beyond_the_deadline(
    sandbox: Sandbox, exports: ExportApi
) -> None:
    sandbox.add_fault(Fault("createToken", Effect.DELAY, seconds=2, times=None))
    clock = SystemClock()
    started = clock.now()
    with ThreadPoolExecutor(2) as pool:
        calls = [
            pool.submit(lambda: list(exports.jobs(Deadline.after(clock, 0.2)))) for _ in range(2)
        ]
        for call in calls:
            with pytest.raises(TransientError, match="issue an access token"):
                call.result()
    assert clock.now() - started < 1


def test_a_token_alone_is_used_and_never_renewed(
    sandbox: Sandbox, connection: Connect, files: ApiFiles
) -> None:
    alone = connection(client_id=None, client_secret=None, access_token=sandbox.token)
    api = connect(alone, Api.UAPI, files=files).exports
    assert list(api.jobs()) == []
    sandbox.revoke_token(legacy=True)
    with pytest.raises(AuthenticationError, match="set client_id and client_secret instead"):
        list(api.jobs())
    assert issued(sandbox) == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"client_secret": None}, "client_secret is missing"),
        ({"client_id": None}, "client_id is missing"),
        ({"client_id": None, "client_secret": None}, "no credentials"),
    ],
)
def test_missing_credentials_are_reported_before_any_call(
    connection: Connect, settings: dict[str, None], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        connect(connection(**settings), Api.UAPI)


def test_client_credentials_for_v1_are_a_configuration_error(connection: Connect) -> None:
    with pytest.raises(ConfigurationError, match="Set api: uapi, or put a token into"):
        connect(connection(), Api.V1)


def test_nothing_secret_is_logged_or_shown(
    sandbox: Sandbox,
    connection: Connect,
    files: ApiFiles,
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = connection()
    api = connect(here, Api.UAPI, files=files, clock=SandboxTime(sandbox)).exports
    with caplog.at_level(logging.DEBUG):
        list(api.jobs())
        (token,) = sandbox.tenant.tokens._expiry  # noqa: SLF001 - it must be seen to be missed
        body = json.dumps({"errorMessage": f"{token} of {sandbox.client_secret} is odd"})
        headers = {"Content-Type": "application/json"}
        sandbox.add_fault(
            Fault("fetchExportJobsInfo", Effect.STATUS, status=400, body=body, headers=headers)
        )
        with pytest.raises(Exception, match="is odd") as caught:
            list(api.jobs())
    for text in (str(caught.value), caplog.text, repr(here), repr(replace(here))):
        assert token not in text
        assert sandbox.client_secret not in text
    for file in files.state.open().iterdir():
        assert token not in file.read_text()
