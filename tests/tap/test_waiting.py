"""What a run waits for, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from demandbase_api.clock import SystemClock
from demandbase_api.http.retry import RetryPolicy
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tap_demandbase import exporter
from tap_demandbase.errors import StreamsFailedError
from tests.sandbox_time import SandboxTime
from tests.tap.conftest import QuickTap, Wire, both_apis

pytestmark = pytest.mark.thorough

Sync = Callable[..., Any]

CREATE = "createExportJob"
LATER = {"Retry-After": "800"}


@pytest.fixture(scope="module")
def busy_sandbox() -> Iterator[Sandbox]:
    """A tenant whose jobs take a minute, of a time that only sleepers skip."""
    with Sandbox(SandboxOptions(pending_seconds=30, processing_seconds=30)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(busy_sandbox: Sandbox) -> Sandbox:
    busy_sandbox.reset()
    return busy_sandbox


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries as by default; they are on the clock of the sandbox."""
    monkeypatch.setattr(QuickTap, "retry", RetryPolicy())


class TestList:
    """The job list fails, lags or is silent."""

    @both_apis
    @pytest.mark.parametrize("status", [503, 403, 404])
    def test_jobs_are_read_one_by_one_without_the_list(
        self,
        sandbox: Sandbox,
        sync: Sync,
        wire: Wire,
        status: int,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        sandbox.add_fault(Fault(wire.list_jobs, Effect.STATUS, status=status, times=None))
        output = sync("accounts", "campaigns", job_reuse_hours=6, job_timeout_seconds=150)
        assert len(output.records("accounts")) == 200
        assert len(output.records("campaigns")) == 20
        assert len(sandbox.requests(CREATE)) == 2
        assert caplog.text.count("No job of an earlier run can be reused") == 1
        assert caplog.text.count("each is read alone") == 1

    @both_apis
    @pytest.mark.usefixtures("patient")
    def test_a_new_job_may_be_unknown_at_first(
        self, sandbox: Sandbox, sync: Sync, wire: Wire
    ) -> None:
        sandbox.add_fault(Fault(wire.list_jobs, Effect.LAG, seconds=20, times=None))
        sandbox.add_fault(Fault(wire.get, Effect.STATUS, status=404, times=2))
        assert len(sync("accounts").records("accounts")) == 200
        assert len(sandbox.requests(CREATE)) == 1

    @both_apis
    @pytest.mark.usefixtures("patient")
    def test_a_lost_job_may_be_listed_late(self, sandbox: Sandbox, sync: Sync, wire: Wire) -> None:
        sandbox.add_fault(Fault(CREATE, Effect.DROP_AFTER))
        sandbox.add_fault(Fault(wire.list_jobs, Effect.LAG, seconds=5, times=None))
        assert len(sync("accounts").records("accounts")) == 200
        assert len(sandbox.export_jobs()) == 1

    @pytest.mark.usefixtures("patient")
    def test_a_lost_job_that_is_listed_too_late_is_named_at_the_end(
        self, sandbox: Sandbox, sync: Sync, wire: Wire, caplog: pytest.LogCaptureFixture
    ) -> None:
        sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS))
        sandbox.add_fault(Fault(CREATE, Effect.DROP_AFTER))
        # The look-ups end after 10 seconds, the second job takes longer than the rest.
        sandbox.add_fault(Fault(wire.list_jobs, Effect.LAG, seconds=13, times=None))
        assert len(sync("accounts").records("accounts")) == 200
        double, _ = sorted(sandbox.export_jobs(), key=lambda job: str(job["created_at"]))
        assert f"The export job {double['id']} for accounts was created in addition" in caplog.text
        assert f"The export job {double['id']} for accounts may still run" in caplog.text
        assert double["status"] == "processing"


class TestAhead:
    """Work that is not due does not delay what is ready."""

    @pytest.mark.usefixtures("patient")
    @pytest.mark.parametrize("headers", [{}, LATER])
    def test_creations_that_fail_are_tried_once_ahead(
        self, sandbox: Sandbox, sync: Sync, headers: dict[str, str]
    ) -> None:
        days = [f"2026-01-{day:02}" for day in range(1, 18)]
        rows: list[list[str | None]] = [[day, f"{day}T12:00:00Z"] for day in days]
        sandbox.add_entity("people", [("id", "string"), ("seen_at", "datetime")], rows)
        sandbox.add_fault(
            Fault(CREATE, Effect.STATUS, status=503, headers=headers, after=3, times=None)
        )
        began = sandbox.clock.now()
        output = sync(
            "people",
            stream_options={"people": {"replication_key": "seen_at"}},
            start_date=days[0],
            end_date=days[-1],
            window_days=1,
            failure=StreamsFailedError,
        )
        assert {record["id"] for record in output.records("people")} >= set(days[:2])
        tries = len(sandbox.requests(CREATE)) - 3
        seconds = (sandbox.clock.now() - began).total_seconds()
        if headers:
            assert tries == 3  # one ahead, two in its turn
            assert seconds < 1200
        else:
            assert tries < 20
            assert seconds < 400

    @both_apis
    @pytest.mark.parametrize("slow", ["create", "list"])
    @pytest.mark.parametrize(
        "fault",
        [
            {"effect": Effect.DELAY, "seconds": 2},
            {"effect": Effect.STATUS, "status": 503, "headers": LATER},
        ],
        ids=["silence", "later"],
    )
    def test_rows_do_not_wait(
        self,
        sandbox: Sandbox,
        config: dict[str, Any],
        wire: Wire,
        slow: str,
        fault: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(exporter, "POLL_ROWS", 10)
        settings = {"entities": ["accounts", "people"], "max_concurrent_jobs": 1}
        tap = QuickTap(config={**config, **settings})
        tap.clock = SandboxTime(sandbox)
        accounts, people = tap.streams["accounts"], tap.streams["people"]
        people.selected = accounts.selected = True
        for stream in (accounts, people):
            stream.plan()  # type: ignore[attr-defined]
        if slow == "create":
            sandbox.add_fault(Fault(CREATE, after=1, times=None, **fault))
        began, moment = time.monotonic(), sandbox.clock.now()
        for number, _ in enumerate(accounts.get_records(None)):
            if number == 0 and slow == "list":
                sandbox.add_fault(Fault(wire.list_jobs, times=None, **fault))
            if number % 50 == 0:
                sandbox.clock.advance(10)  # a poll is due
        assert number == 199
        assert time.monotonic() - began < 1.5
        assert (sandbox.clock.now() - moment).total_seconds() < 200
        tap.exporter.close()


@pytest.mark.slow
class TestTimeOut:
    """``job_timeout_seconds`` bounds everything up to the job's completion."""

    @both_apis
    @pytest.mark.usefixtures("patient")
    @pytest.mark.parametrize("operations", ["list get", "create"])
    @pytest.mark.parametrize(
        "fault",
        [
            {"effect": Effect.DELAY, "seconds": 6},
            {"effect": Effect.STATUS, "status": 503, "headers": LATER},
            {"effect": Effect.DRIP, "seconds": 0.5, "bytes": 1},
        ],
        ids=["silence", "later", "drip"],
    )
    def test_a_run_ends_in_time(
        self,
        sandbox: Sandbox,
        config: dict[str, Any],
        wire: Wire,
        operations: str,
        fault: dict[str, Any],
    ) -> None:
        names = {"list": wire.list_jobs, "get": wire.get, "create": CREATE}
        sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS, times=None))
        tap = QuickTap(config={**config, "entities": ["accounts"], "job_timeout_seconds": 1})
        tap.clock = SystemClock()
        tap.streams["accounts"].selected = True
        for each in operations.split():
            sandbox.add_fault(Fault(names[each], times=None, **fault))
        began = time.monotonic()
        with pytest.raises(Exception, match=r"still|create"):
            list(tap.streams["accounts"].get_records(None))
        assert time.monotonic() - began < 4
        tap.exporter.close()
        assert time.monotonic() - began < 10
