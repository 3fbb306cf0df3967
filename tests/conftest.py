from __future__ import annotations

from collections.abc import Iterator

import pytest

from demandbase_sandbox import Sandbox, SandboxOptions


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    """One server for all tests: its jobs are done at the first look."""
    with Sandbox(SandboxOptions(pending_seconds=0, processing_seconds=0)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    """The sample tenant, untouched."""
    running_sandbox.reset()
    return running_sandbox
