"""The settings of a tap on a sandbox's uapi."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from demandbase_sandbox import Sandbox
from tests.tap.conftest import UAPI_OPTIONS


def sandboxed(sandbox: Sandbox, folder: Path, **settings: object) -> dict[str, Any]:
    return {
        "api": "uapi",
        "api_url": sandbox.uapi_url,
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
        "spool_dir": str(folder),
        "stream_options": UAPI_OPTIONS,
        **settings,
    }
