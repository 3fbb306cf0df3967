from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.config import Api
from demandbase_api.connect import connect
from demandbase_api.connection import ApiFiles, Connection
from demandbase_api.http.retry import RetryPolicy
from demandbase_api.ports import ExportApi, ImportApi
from demandbase_api.state.folder import StateFolder
from demandbase_sandbox import Sandbox
from tests.sandbox_time import SandboxTime

QUICK = RetryPolicy(tries=6, base_seconds=0.001, max_seconds=0.01)


@pytest.fixture
def connection(sandbox: Sandbox) -> Callable[..., Connection]:
    def connect(**settings: Any) -> Connection:  # noqa: ANN401
        return Connection(
            **{
                "api_url": sandbox.uapi_url,
                "client_id": sandbox.client_id,
                "client_secret": sandbox.client_secret,
                "retry": QUICK,
                **settings,
            }
        )

    return connect


@pytest.fixture
def files(tmp_path: Path) -> ApiFiles:
    return ApiFiles(StateFolder(tmp_path / "spool"))


@pytest.fixture
def exports(sandbox: Sandbox, connection: Callable[..., Connection], files: ApiFiles) -> ExportApi:
    return connect(connection(), Api.UAPI, files=files, clock=SandboxTime(sandbox)).exports


@pytest.fixture
def imports(sandbox: Sandbox, connection: Callable[..., Connection], files: ApiFiles) -> ImportApi:
    return connect(connection(), Api.UAPI, files=files, clock=SandboxTime(sandbox)).imports
