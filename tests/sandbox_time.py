"""The sandbox's time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from typing_extensions import override

from demandbase_api.clock import Clock
from demandbase_sandbox import Sandbox


@dataclass
class SandboxTime(Clock):
    """Time in which who sleeps skips it, so that nobody waits for a job."""

    sandbox: Sandbox

    @override
    def now(self) -> float:
        return self.utc().timestamp()

    @override
    def utc(self) -> datetime:
        return self.sandbox.clock.now()

    @override
    def sleep(self, seconds: float) -> None:
        self.sandbox.clock.advance(seconds)
