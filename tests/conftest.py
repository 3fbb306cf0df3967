from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from multiprocessing.util import Finalize

import pytest
from hypothesis import settings

from demandbase_sandbox import Sandbox, SandboxOptions
from demandbase_sandbox.cli import past_proxies
from tests.examples import examples

# Not the user's own state, nor what an installed version has in the system's temporary folder.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
tempfile.tempdir = tempfile.mkdtemp(prefix="demandbase-tests-")
# After multiprocessing has removed its own folder in it, which it does with the priority -100.
Finalize(None, shutil.rmtree, (tempfile.tempdir,), {"ignore_errors": True}, exitpriority=-200)
os.environ.update(XDG_STATE_HOME=f"{tempfile.tempdir}/state", TMPDIR=tempfile.tempdir)
# No test cuts the power, and a disk takes long to confirm each file. That journals are flushed to
# the disk is tested where it is done.
os.fsync = lambda fd: None  # noqa: ARG005
# Loopback needs no proxy, in the tests and in the commands that they start.
os.environ.update(past_proxies(os.environ))
# A deadline would fail tests because of other load on the machine.
settings.register_profile("default", examples())
settings.load_profile("default")
# For `make quick`.
settings.register_profile("quick", max_examples=20)


def pytest_xdist_auto_num_workers() -> int:
    """Return more processes than cores: a third of the tests' time, they wait for commands."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from reading all tests again and again: they stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """Restore signal handlers: a plugin that runs in this process installs its own."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return (yield)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    """One server for all tests; its jobs are completed at the first poll."""
    with Sandbox(SandboxOptions(pending_seconds=0, processing_seconds=0)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    """The server with an unchanged sample tenant."""
    running_sandbox.reset()
    return running_sandbox


SLOW_TEST_SECONDS = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give slow tests time, and run long ones first, so that none of them is the last alone."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_TEST_SECONDS))
    marks = ("slow", "thorough")
    items.sort(key=lambda item: not any(map(item.get_closest_marker, marks)))
