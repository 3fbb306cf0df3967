from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from demandbase_sandbox import Sandbox, SandboxOptions
from demandbase_sandbox.cli import past_proxies

# For the tests themselves and for the commands that they start.
os.environ.update(past_proxies(os.environ))


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


LONG = ("test_demo", "soak", "test_meltano", "test_bench", "day_of_runs", "test_batches_end")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long tests: at the end, one would keep the other processes waiting."""
    ranks = {name: rank for rank, name in enumerate(LONG)}
    items.sort(
        key=lambda item: min(
            (ranks[name] for name in LONG if name in item.nodeid), default=len(LONG)
        )
    )
