"""The clock of the sandbox for the plugins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from typing_extensions import override

from demandbase_api.clock import Clock
from demandbase_sandbox import Sandbox


@dataclass
class SandboxTime(Clock):
    """A clock whose ``sleep`` moves the time of the sandbox, so that no test waits for a job."""

    sandbox: Sandbox

    @override
    def now(self) -> float:
        return self.utc().timestamp()

    @override
    def utc(self) -> datetime:
        return self.sandbox.clock.true_time()

    @override
    def sleep(self, seconds: float) -> None:
        self.sandbox.clock.advance(seconds)
