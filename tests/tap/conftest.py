from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from demandbase_api.retry import RetryPolicy
from demandbase_sandbox import Sandbox
from tap_demandbase.tap import TapDemandbase


class QuickTap(TapDemandbase):
    """The tap, but for the patience between tries."""

    retry = RetryPolicy(base_seconds=0.001, max_seconds=0.01)


@dataclass(frozen=True)
class Output:
    messages: list[dict[str, Any]]

    def records(self, stream: str) -> list[dict[str, Any]]:
        return [
            message["record"]
            for message in self.messages
            if message["type"] == "RECORD" and message["stream"] == stream
        ]

    @property
    def state(self) -> dict[str, Any]:
        return [m["value"] for m in self.messages if m["type"] == "STATE"][-1]["bookmarks"]  # type: ignore[no-any-return]


Sync = Callable[..., Output]


@pytest.fixture
def config(sandbox: Sandbox) -> dict[str, Any]:
    return {"api_url": sandbox.url, "access_token": sandbox.token}


@pytest.fixture
def sync(config: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> Sync:
    """Runs the tap over some streams; all their fields, or the given ones."""

    def run(
        *streams: str,
        fields: list[str] | None = None,
        state: dict[str, Any] | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> Output:
        catalog = TapDemandbase(config={**config, **settings}).catalog_dict
        for entry in catalog["streams"]:
            for item in entry["metadata"]:
                if not item["breadcrumb"]:
                    item["metadata"]["selected"] = entry["tap_stream_id"] in streams
                elif fields is not None:
                    item["metadata"]["selected"] = item["breadcrumb"][1] in fields
        tap = QuickTap(config={**config, **settings}, catalog=catalog, state=state)
        capsys.readouterr()
        tap.sync_all()
        lines = capsys.readouterr().out.splitlines()
        return Output([json.loads(line) for line in lines])

    return run
