"""Export jobs of a run: reused, looked up, concurrent, replaced, cancelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from demandbase_api.errors import (
    AuthenticationError,
    JobFailedError,
    JobGoneError,
    JobTimeoutError,
)
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tap_demandbase.errors import SelectionError, StreamsFailedError
from tap_demandbase.tap import TapDemandbase
from tests.sandbox_time import SandboxTime
from tests.tap.conftest import QuickTap, Wire, both_apis

pytestmark = pytest.mark.thorough

Sync = Callable[..., Any]


BODY = {"entity_type": "campaigns"}


class CancellingTime(SandboxTime):
    """Time in which somebody cancels a job as soon as it is waited for."""

    def __init__(self, sandbox: Sandbox, job_id: str) -> None:
        super().__init__(sandbox)
        self._jobs = [job_id]

    def sleep(self, seconds: float) -> None:
        while self._jobs:
            self.sandbox.tenant.exports.cancel(self._jobs.pop())
        super().sleep(seconds)


@pytest.fixture(scope="module")
def slow_sandbox() -> Any:  # noqa: ANN401
    """A tenant whose jobs take half an hour, of a time that only sleepers skip."""
    with Sandbox(SandboxOptions(pending_seconds=60, processing_seconds=1740)) as sandbox:
        yield sandbox


class TestSlow:
    """What needs jobs that take their time."""

    @pytest.fixture
    def sandbox(self, slow_sandbox: Sandbox) -> Sandbox:
        slow_sandbox.reset()
        return slow_sandbox

    def test_jobs_overlap_and_records_do_not(self, sandbox: Sandbox, sync: Sync) -> None:
        started = sandbox.clock.now()
        output = sync("accounts", "campaigns", "people", "buying_groups", max_concurrent_jobs=4)
        seconds = (sandbox.clock.now() - started).total_seconds()
        assert 1800 <= seconds < 2 * 1800
        order = [m["stream"] for m in output.messages if m["type"] in {"SCHEMA", "RECORD"}]
        assert list(dict.fromkeys(order)) == ["accounts", "buying_groups", "campaigns", "people"]
        assert order == sorted(order)
        # One call shows all four: one job by itself takes 42, and four that overlap a few more.
        polls = len(sandbox.requests("listExportJobs"))
        assert polls < 60
        assert not sandbox.requests("getExportJob")

    def test_no_more_jobs_run_than_are_allowed(self, sandbox: Sandbox, sync: Sync) -> None:
        sync("accounts", "campaigns", "people", max_concurrent_jobs=2)
        created = sorted(job["created_at"] for job in sandbox.export_jobs())
        ended = sorted(job["completed_at"] for job in sandbox.export_jobs())
        assert created[1] < ended[0] <= created[2]

    @both_apis
    def test_a_poll_that_fails_is_no_news(self, sandbox: Sandbox, sync: Sync, wire: Wire) -> None:
        sandbox.add_fault(Fault(wire.list_jobs, Effect.STATUS, status=503, after=3, times=20))
        assert len(sync("campaigns").records("campaigns")) == 20

    def test_a_time_out_cancels_what_this_run_created(self, sandbox: Sandbox, sync: Sync) -> None:
        sync("accounts", "campaigns", job_timeout_seconds=100, failure=StreamsFailedError)
        assert [job["status"] for job in sandbox.export_jobs()] == ["cancelled", "cancelled"]

    def test_an_error_that_ends_the_run_cancels_the_jobs_ahead(
        self, sandbox: Sandbox, sync: Sync
    ) -> None:
        sandbox.add_fault(Fault("listExportJobs", Effect.STATUS, status=401, after=3, times=None))
        sync("accounts", "campaigns", failure=AuthenticationError)
        assert [job["status"] for job in sandbox.export_jobs()] == ["cancelled", "cancelled"]

    def test_a_job_that_ended_between_two_polls_has_not_timed_out(
        self, sandbox: Sandbox, config: dict[str, Any]
    ) -> None:
        settings = {"entities": ["accounts", "campaigns"], "job_timeout_seconds": 2000}
        tap = QuickTap(config={**config, **settings})
        tap.clock = SandboxTime(sandbox)
        accounts, campaigns = tap.streams["accounts"], tap.streams["campaigns"]
        accounts.selected = campaigns.selected = True
        for number, _ in enumerate(accounts.get_records(None)):
            if number == 1:  # the target takes its time
                sandbox.clock.advance(7200)
        assert len(list(campaigns.get_records(None))) == 20

    def test_a_reused_job_that_its_creator_cancels_is_replaced(
        self, sandbox: Sandbox, config: dict[str, Any]
    ) -> None:
        job = sandbox.tenant.exports.create({**BODY})
        tap = QuickTap(config={**config, "entities": ["campaigns"]})
        time = CancellingTime(sandbox, job.id)
        tap.clock = time
        tap.streams["campaigns"].selected = True
        assert len(list(tap.streams["campaigns"].get_records(None))) == 20
        assert len(sandbox.requests("createExportJob")) == 1

    def test_only_an_own_job_is_cancelled_at_a_time_out(self, sandbox: Sandbox, sync: Sync) -> None:
        sandbox.tenant.exports.create({**BODY})
        sync("campaigns", job_reuse_hours=6, job_timeout_seconds=100, failure=JobTimeoutError)
        assert len(sandbox.requests("createExportJob")) == 1
        assert [job["status"] for job in sandbox.export_jobs()] == ["cancelled", "processing"]


@both_apis
@pytest.mark.parametrize("effect", [Effect.JOB_GONE, Effect.JOB_FAILS])
def test_a_job_that_fails_is_replaced_once(sandbox: Sandbox, sync: Sync, effect: Effect) -> None:
    sandbox.add_fault(Fault("createExportJob", effect))
    assert len(sync("campaigns").records("campaigns")) == 20
    assert len(sandbox.requests("createExportJob")) == 2


@both_apis
@pytest.mark.parametrize(
    ("effect", "error"), [(Effect.JOB_GONE, JobGoneError), (Effect.JOB_FAILS, JobFailedError)]
)
def test_a_job_is_not_replaced_twice(
    sandbox: Sandbox, sync: Sync, effect: Effect, error: type[Exception]
) -> None:
    sandbox.add_fault(Fault("createExportJob", effect, times=None))
    sync("campaigns", failure=error)
    assert len(sandbox.requests("createExportJob")) == 2


@both_apis
def test_the_connection_test_creates_no_job(
    sandbox: Sandbox, config: dict[str, Any], wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        assert TapDemandbase(config=config).run_connection_test()
    seen = {r.operation for r in sandbox.requests()} - {"createToken", "get-reference"}
    assert seen == {wire.discover, wire.list_jobs}
    assert "No export job was created" in caplog.text


def test_not_more_is_bought_ahead_than_may_run(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.NEVER_ENDS))
    fields = [("id", "string"), ("seen_at", "datetime")]
    sandbox.add_entity("people", fields, [["1", "2026-01-01T00:00:00Z"]])
    dates = {"start_date": "2026-01-01", "end_date": "2026-02-28", "window_days": 1}
    options = {"people": {"replication_key": "seen_at"}}
    sync(
        "people", stream_options=options, job_timeout_seconds=100, failure=JobTimeoutError, **dates
    )
    assert len(sandbox.export_jobs()) == 3


@both_apis
def test_what_failed_ahead_of_time_is_tried_again_in_its_turn(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=503, after=1, times=6))
    output = sync("accounts", "campaigns")
    assert len(output.records("campaigns")) == 20
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=429, after=1))
    assert len(sync("accounts", "campaigns").records("campaigns")) == 20


@both_apis
def test_a_stream_that_maps_remove_buys_nothing(sandbox: Sandbox, sync: Sync) -> None:
    output = sync("accounts", "campaigns", stream_maps={"campaigns": "__NULL__"})
    assert output.records("campaigns") == []
    assert len(sandbox.export_jobs()) == 1


@both_apis
def test_a_400_names_the_requested_fields(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=400))
    with pytest.raises(SelectionError, match=r"people requested the fields .*title"):
        sync("people", fields=["title"])
