from __future__ import annotations

from typing import Any

import pytest
import requests

from demandbase_sandbox import Sandbox, SandboxOptions
from tests.sandbox.uapi.conftest import Caller
from tests.sandbox.uapi.published import (
    ERROR,
    EXPORT,
    IMPORT,
    OPERATIONS,
    SOURCES,
    STRUCTURED_ERROR,
    TOKEN_SECONDS,
)


def test_credentials_give_a_token_that_works(sandbox: Sandbox, api: Caller) -> None:
    grant = api.issue().json()
    assert grant.keys() == {"accessToken", "tokenType", "expiresIn"}
    assert (grant["tokenType"], grant["expiresIn"]) == ("bearer", TOKEN_SECONDS)
    with_token = Caller(sandbox, grant["accessToken"])
    assert with_token("GET", f"{EXPORT}/jobs").status_code == 200
    assert with_token("GET", f"{IMPORT}/jobs").status_code == 200


@pytest.mark.parametrize(
    "members",
    [
        {"clientSecret": "wrong"},
        {"clientId": "wrong"},
        {"grantType": "password"},
        {"clientId": 7},
        {"scope": "all"},
    ],
)
def test_a_wrong_request_gives_no_token(api: Caller, members: dict[str, Any]) -> None:
    response = api.issue(**members)
    assert response.status_code == 400
    assert "accessToken" not in response.text


@pytest.mark.parametrize("missing", ["grantType", "clientId", "clientSecret"])
def test_all_members_of_a_token_request_are_required(api: Caller, missing: str) -> None:
    body = {"grantType": "client_credentials", "clientId": "x", "clientSecret": "x"}
    del body[missing]
    url = f"{api.sandbox.uapi_url}/auth/v1/token"
    assert requests.post(url, json=body, timeout=10).status_code == 400


def test_a_token_ends_after_eight_hours_and_a_legacy_one_never(
    sandbox: Sandbox, api: Caller
) -> None:
    issued = Caller(sandbox, api.issue().json()["accessToken"])
    sandbox.clock.advance(TOKEN_SECONDS - 5)
    assert issued("GET", f"{EXPORT}/jobs").status_code == 200
    sandbox.clock.advance(5)
    assert issued("GET", f"{EXPORT}/jobs").status_code == 401
    assert api("GET", f"{EXPORT}/jobs").status_code == 200


def test_a_revoked_token_is_rejected_and_a_new_one_is_not(sandbox: Sandbox, api: Caller) -> None:
    first = Caller(sandbox, api.issue().json()["accessToken"])
    sandbox.revoke_token()
    second = Caller(sandbox, api.issue().json()["accessToken"])
    codes = [caller("GET", f"{EXPORT}/jobs").status_code for caller in (first, second, api)]
    assert codes == [401, 200, 200]
    sandbox.revoke_token(legacy=True)
    assert api("GET", f"{EXPORT}/jobs").status_code == 401


def test_earlier_tokens_stay_valid_when_another_is_issued(sandbox: Sandbox, api: Caller) -> None:
    callers = [Caller(sandbox, api.issue().json()["accessToken"]) for _ in range(2)]
    assert sandbox.issued_tokens() == [caller.token for caller in callers]
    assert [c("GET", f"{EXPORT}/jobs").status_code for c in callers] == [200, 200]


@pytest.mark.parametrize(("method", "path"), sorted(OPERATIONS - {("POST", "/auth/v1/token")}))
def test_no_operation_is_open_without_a_token(sandbox: Sandbox, method: str, path: str) -> None:
    response = requests.request(method, sandbox.uapi_url + path, timeout=10)
    assert response.status_code == 401
    if path.startswith(EXPORT):
        assert response.json().keys() == ERROR
        assert response.json()["errorCode"] == "401-100"
    elif path.startswith(SOURCES):
        assert response.json()["error"].keys() == STRUCTURED_ERROR
        assert response.json()["error"]["code"] == "403-000"
    else:
        assert response.json().keys() == {"status"}


def test_wrong_credentials_can_have_another_status() -> None:
    with Sandbox(SandboxOptions(wrong_credentials_status=401)) as sandbox:
        assert Caller(sandbox).issue(clientSecret="wrong").status_code == 401


def test_the_token_of_one_api_host_is_no_way_around_the_other(sandbox: Sandbox) -> None:
    token = Caller(sandbox).issue().json()["accessToken"]
    headers = {"Authorization": f"Bearer {token}"}
    response = requests.get(f"{sandbox.url}/export/v1/jobs", headers=headers, timeout=10)
    assert response.status_code == 401
