"""On the API that Demandbase publishes: somebody else's job, and the day's calls."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import BusyError, JobGoneError, JobTimeoutError
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tap_demandbase.errors import QuotaStopError
from tests.tap.conftest import QuickTap
from tests.tap.uapi_settings import sandboxed

pytestmark = pytest.mark.thorough

Sync = Callable[..., Any]


@pytest.fixture
def api() -> str:
    return "uapi"


@pytest.fixture(scope="module")
def slow() -> Iterator[Sandbox]:
    """A tenant whose jobs take a quarter of an hour."""
    with Sandbox(SandboxOptions(pending_seconds=60, processing_seconds=840)) as sandbox:
        yield sandbox


class TestOthersJobs:
    """One job at a time may run in the tenant, also one of another client."""

    @pytest.fixture
    def sandbox(self, slow: Sandbox) -> Sandbox:
        slow.reset()
        return slow

    def other(self, sandbox: Sandbox, tmp_path: Path) -> None:
        tap = QuickTap(config=sandboxed(sandbox, tmp_path / "other", entities=["people"]))
        task = tap.streams["people"].tasks[0][1]  # type: ignore[attr-defined]
        tap.export_api.submit(task.request)

    @pytest.mark.parametrize("skew", [0, -3 * 86400], ids=["right clock", "days behind"])
    def test_somebody_elses_job_is_waited_for(
        self,
        sandbox: Sandbox,
        sync: Sync,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        skew: float,
    ) -> None:
        sandbox.clock.skew(skew)
        self.other(sandbox, tmp_path)
        with caplog.at_level("INFO"):
            assert len(sync("accounts").records("accounts")) == 200
        assert "Waiting for the export job of another client" in caplog.text
        # One that was refused, and one that was not: the list said when to try.
        assert len(sandbox.requests("createExportJob")) == 3

    def test_a_job_that_the_list_does_not_show_costs_few_tries(
        self, sandbox: Sandbox, sync: Sync
    ) -> None:
        sandbox.add_fault(Fault("createExportJob", Effect.STATUS, code="429-102", times=None))
        sync("accounts", failure=BusyError)  # after the six hours of job_timeout_seconds
        assert 20 < len(sandbox.requests("createExportJob")) < 35

    def test_the_wait_for_it_has_an_end(self, sandbox: Sandbox, sync: Sync, tmp_path: Path) -> None:
        self.other(sandbox, tmp_path)
        sync("accounts", job_timeout_seconds=100, failure=BusyError)

    @pytest.mark.slow
    def test_an_own_job_that_the_list_does_not_show_is_polled_all_day(
        self, sandbox: Sandbox, sync: Sync
    ) -> None:
        nothing = {"data": [], "totalCount": 0}
        sandbox.add_fault(Fault("fetchExportJobsInfo", Effect.ALTER, members=nothing, times=None))
        sandbox.add_fault(Fault("createExportJob", Effect.NEVER_ENDS))
        sync("accounts", job_timeout_seconds=20 * 3600, failure=JobTimeoutError)
        assert max(calls.get("checkExportJobStatus", 0) for calls in
                   sandbox.calls_by_day().values()) <= 300  # fmt: skip

    def test_the_streams_jobs_run_one_after_the_other(self, sandbox: Sandbox, sync: Sync) -> None:
        output = sync("accounts", "buying_groups", "people")
        assert len(output.records("people")) == 600
        assert all(request.status == 202 for request in sandbox.requests("createExportJob"))

    def test_a_job_that_takes_too_long_is_left_to_the_next_run(
        self, sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture
    ) -> None:
        sync("accounts", job_timeout_seconds=100, failure=JobTimeoutError)
        assert "the next run resumes it" in caplog.text
        assert len(sync("accounts", job_reuse_hours=6).records("accounts")) == 200
        assert len(sandbox.requests("createExportJob")) == 1


def spend(sandbox: Sandbox, sync: Sync, folder: Path, jobs: int) -> None:
    """Have a run create one job, and both sides count so many."""
    sync("accounts")
    (path,) = (folder / "spool").glob("*calls*.json")
    count = json.loads(path.read_text())
    assert count["calls"]["CREATE_EXPORT"] == 1
    count["calls"]["CREATE_EXPORT"] = jobs
    path.write_text(json.dumps(count))
    for _ in range(jobs - 1):
        with sandbox.tenant.calls.admission("createExportJob"):
            pass
    assert sandbox.calls_today()["createExportJob"] == jobs


class TestBudget:
    def test_a_run_that_the_day_cannot_hold_says_so_before_it_creates_a_job(
        self, sandbox: Sandbox, sync: Sync, tmp_path: Path
    ) -> None:
        spend(sandbox, sync, tmp_path, 58)
        sandbox.clear_requests()
        with pytest.raises(QuotaStopError, match="2 are left, and at least 3 are needed") as caught:
            sync("accounts", "people", "opportunities")
        assert caught.value.exit_code == 75
        assert "0 of 3 streams are done" in str(caught.value)
        assert not sandbox.requests("createExportJob")
        sync("accounts", "people")

    def test_without_the_count_of_its_disk_a_run_learns_of_the_limit_from_demandbase(
        self, sandbox: Sandbox, sync: Sync, tmp_path: Path
    ) -> None:
        spend(sandbox, sync, tmp_path, 60)
        sandbox.clear_requests()
        for disk, is_asked in (("spool", False), ("fresh", True)):
            with pytest.raises(QuotaStopError) as caught:
                sync("accounts", spool_dir=str(tmp_path / disk))
            assert caught.value.exit_code == 75
            assert bool(sandbox.requests("createExportJob")) is is_asked
        assert len(sandbox.export_jobs()) == 1

    def test_exports_of_ids_are_counted_beforehand(
        self, sandbox: Sandbox, sync: Sync, tmp_path: Path
    ) -> None:
        spend(sandbox, sync, tmp_path, 57)
        streams = "buying_groups", "buying_group_members"
        options = {"buying_groups": {"account_list_ids": [1]}}
        with pytest.raises(QuotaStopError, match="3 are left, and at least 4 are needed"):
            sync(*streams, stream_options=options)
        assert sandbox.calls_today()["createExportJob"] == 57
        sync(*streams)
        assert sandbox.calls_today()["createExportJob"] == 60

    def test_jobs_that_are_there_already_need_no_new_ones(
        self, sandbox: Sandbox, sync: Sync, tmp_path: Path
    ) -> None:
        spend(sandbox, sync, tmp_path, 58)
        sandbox.add_fault(Fault("signedFile", Effect.STATUS, status=500, times=None))
        with pytest.raises(Exception, match="could not be downloaded"):
            sync("opportunities", "people", job_reuse_hours=6)
        sandbox.clear_faults()
        output = sync("opportunities", "people", job_reuse_hours=6)
        assert len(output.records("people")) == 600
        assert sandbox.calls_today()["createExportJob"] == 60

    def test_calls_that_run_out_during_a_download_are_no_failure_of_it(
        self, sandbox: Sandbox, sync: Sync
    ) -> None:
        sandbox.add_fault(Fault("checkExportJobStatus", Effect.EXPIRED_LINK))
        sandbox.add_fault(
            Fault("checkExportJobStatus", Effect.STATUS, status=429, after=1, times=None)
        )
        with pytest.raises(QuotaStopError, match=r"describe an export job.*remaining: accounts"):
            sync("accounts")

    def test_the_tap_waits_for_midnight_if_set_to(
        self, sandbox: Sandbox, sync: Sync, tmp_path: Path
    ) -> None:
        spend(sandbox, sync, tmp_path, 60)
        day = sandbox.clock.now().date()
        assert len(sync("accounts", quota_wait_hours=24).records("accounts")) == 200
        assert (sandbox.clock.now().date() - day).days == 1


def test_a_job_that_vanishes_twice_is_reported_with_the_marks_for_support(
    sandbox: Sandbox, sync: Sync
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.JOB_GONE, seconds=0, times=None))
    with pytest.raises(JobGoneError, match=r"code 404-302, diagnostic code [0-9a-f]{32}\)"):
        sync("accounts")
    assert len(sandbox.requests("createExportJob")) == 2
