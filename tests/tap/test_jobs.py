"""Export jobs of a run: adopted, looked up, side by side, replaced, cancelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from demandbase_api.errors import (
    JobFailedError,
    JobGoneError,
    JobTimeoutError,
    UnexpectedAnswerError,
)
from demandbase_sandbox import Effect, Fault, Sandbox, SandboxOptions
from tap_demandbase.errors import CellError, QuotaStopError, SelectionError
from tap_demandbase.tap import TapDemandbase
from tests.tap.conftest import QuickTap, SandboxTime, Wire, both_apis

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
        # Whether one waits or four: a look is one call.
        looks = len(sandbox.requests("listExportJobs"))
        assert looks < 1800 / 60 + 15
        assert not sandbox.requests("getExportJob")

    def test_no_more_jobs_run_than_are_allowed(self, sandbox: Sandbox, sync: Sync) -> None:
        sync("accounts", "campaigns", "people", max_concurrent_jobs=2)
        created = sorted(job["created_at"] for job in sandbox.export_jobs())
        ended = sorted(job["completed_at"] for job in sandbox.export_jobs())
        assert created[1] < ended[0] <= created[2]

    @both_apis
    def test_a_poll_that_fails_is_no_news(self, sandbox: Sandbox, sync: Sync, wire: Wire) -> None:
        sandbox.add_fault(Fault(wire.look, Effect.STATUS, status=503, after=3, times=20))
        assert len(sync("campaigns").records("campaigns")) == 20

    def test_a_time_out_cancels_what_this_run_created(self, sandbox: Sandbox, sync: Sync) -> None:
        sync("accounts", "campaigns", job_timeout_seconds=100, failure=JobTimeoutError)
        assert [job["status"] for job in sandbox.export_jobs()] == ["cancelled", "cancelled"]

    def test_an_error_cancels_the_jobs_ahead(self, sandbox: Sandbox, sync: Sync) -> None:
        rows: list[list[str | None]] = [["1", "x"]]
        sandbox.add_entity("aaa", [("id", "string"), ("count", "integer")], rows)
        sync("aaa", "campaigns", failure=CellError)
        statuses = {job["entity_type"]: job["status"] for job in sandbox.export_jobs()}
        # Both were created at the same time, so the second has ended as well ...
        assert statuses == {"aaa": "completed", "campaigns": "completed"}
        sandbox.reset()
        sandbox.add_entity("aaa", [("id", "string"), ("count", "integer")], rows)
        sync("aaa", "accounts", "campaigns", failure=CellError)
        statuses = {job["entity_type"]: job["status"] for job in sandbox.export_jobs()}
        # ... and the third was created when the first had room for it.
        assert statuses["campaigns"] == "cancelled"

    def test_a_job_that_ended_while_nobody_looked_has_not_timed_out(
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

    def test_an_adopted_job_that_its_creator_cancels_is_replaced(
        self, sandbox: Sandbox, config: dict[str, Any]
    ) -> None:
        job = sandbox.tenant.exports.create({**BODY}, {})
        tap = QuickTap(config={**config, "entities": ["campaigns"]})
        time = CancellingTime(sandbox, job["id"])
        tap.clock = time
        tap.streams["campaigns"].selected = True
        assert len(list(tap.streams["campaigns"].get_records(None))) == 20
        assert len(sandbox.requests("createExportJob")) == 1

    def test_an_adopted_job_is_left_alone(self, sandbox: Sandbox, sync: Sync) -> None:
        sandbox.tenant.exports.create({**BODY}, {})
        sync("campaigns", job_reuse_hours=6, job_timeout_seconds=100, failure=JobTimeoutError)
        assert not sandbox.requests("createExportJob")
        assert [job["status"] for job in sandbox.export_jobs()] != ["cancelled"]


@pytest.mark.parametrize("ended", [False, True])
def test_a_job_of_the_same_request_is_adopted(
    sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture, *, ended: bool
) -> None:
    job = sandbox.tenant.exports.create({**BODY}, {})
    if ended:
        sandbox.export_jobs()
    with caplog.at_level("INFO"):
        assert len(sync("campaigns", job_reuse_hours=6).records("campaigns")) == 20
    assert not sandbox.requests("createExportJob")
    assert f"Adopting the export job {job['id']} for campaigns" in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        {"entity_type": "accounts"},
        {"entity_type": "campaigns", "fields": ["campaign_id", "name"]},
        {"entity_type": "campaigns", "filters": {"account_list_id": "list-1"}},
        {
            "entity_type": "campaigns",
            "filters": {"date_range": {"field": "start_date", "start": "2026-01-01"}},
        },
    ],
)
def test_a_job_of_another_request_is_never_taken(
    sandbox: Sandbox, sync: Sync, body: dict[str, Any]
) -> None:
    sandbox.tenant.exports.create(body, {})
    sync("campaigns", job_reuse_hours=6)
    assert len(sandbox.requests("createExportJob")) == 1


@pytest.mark.parametrize("hours", [0, 1])
def test_a_job_that_is_too_old_is_not_adopted(sandbox: Sandbox, sync: Sync, hours: float) -> None:
    sandbox.tenant.exports.create({**BODY}, {})
    sandbox.clock.advance(3601)
    sync("campaigns", job_reuse_hours=hours)
    assert len(sandbox.requests("createExportJob")) == 1


def test_a_job_that_failed_or_was_cancelled_is_not_adopted(sandbox: Sandbox, sync: Sync) -> None:
    job = sandbox.tenant.exports.create({**BODY}, {"never_ends": True})
    sandbox.tenant.exports.cancel(job["id"])
    sandbox.tenant.exports.create({**BODY}, {"job_fails": "out of disk"})
    sync("campaigns", job_reuse_hours=6)
    assert len(sandbox.requests("createExportJob")) == 1


@both_apis
def test_what_a_whole_run_has_delivered_is_not_delivered_again(
    sandbox: Sandbox, sync: Sync
) -> None:
    first = sync("campaigns", job_reuse_hours=6)
    assert first.state["campaigns"]["last_job"]["id"] == sandbox.export_jobs()[0]["id"]
    sync("campaigns", job_reuse_hours=6, state={"bookmarks": first.state})
    assert len(sandbox.requests("createExportJob")) == 2


@both_apis
def test_an_interrupted_run_buys_nothing_twice(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.add_fault(Fault("signedFile", Effect.STATUS, status=500, times=None))
    with pytest.raises(Exception, match="could not be downloaded"):
        sync("accounts", "campaigns", job_reuse_hours=6)
    sandbox.clear_faults()
    output = sync("accounts", "campaigns", job_reuse_hours=6)
    assert (len(output.records("accounts")), len(output.records("campaigns"))) == (200, 20)
    assert len(sandbox.requests("createExportJob")) == 2


@both_apis
@pytest.mark.parametrize("effect", [Effect.DROP_AFTER, Effect.STALL])
def test_a_creation_whose_reply_is_lost_is_looked_up(
    sandbox: Sandbox, sync: Sync, effect: Effect
) -> None:
    sandbox.add_fault(Fault("createExportJob", effect))
    assert len(sync("campaigns").records("campaigns")) == 20
    assert len(sandbox.requests("createExportJob")) == 1
    assert len(sandbox.export_jobs()) == 1


@both_apis
@pytest.mark.parametrize("effect", [Effect.DROP_BEFORE, Effect.STATUS])
def test_a_creation_that_did_not_happen_is_repeated_after_a_look(
    sandbox: Sandbox, sync: Sync, wire: Wire, effect: Effect
) -> None:
    sandbox.add_fault(Fault("createExportJob", effect, status=502))
    assert len(sync("campaigns").records("campaigns")) == 20
    seen = [r.operation for r in sandbox.requests()]
    first, second = [n for n, name in enumerate(seen) if name == wire.create]
    assert wire.look in seen[first:second]


def test_an_older_job_of_the_same_request_is_not_taken_for_the_lost_one(
    sandbox: Sandbox, sync: Sync
) -> None:
    old = sandbox.tenant.exports.create({**BODY}, {})
    sandbox.export_jobs()
    sandbox.add_fault(Fault("createExportJob", Effect.DROP_BEFORE))
    output = sync("campaigns", job_reuse_hours=0)
    assert output.state["campaigns"]["last_job"]["id"] != old["id"]


@both_apis
@pytest.mark.parametrize("effect", [Effect.JOB_GONE, Effect.JOB_FAILS])
def test_a_job_that_comes_to_nothing_is_replaced_once(
    sandbox: Sandbox, sync: Sync, effect: Effect
) -> None:
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


def test_an_adopted_job_that_expired_meanwhile_is_replaced(sandbox: Sandbox, sync: Sync) -> None:
    job = sandbox.tenant.exports.create({**BODY}, {})
    sandbox.export_jobs()
    sandbox.add_fault(
        Fault("downloadExportFile", Effect.STATUS, status=404, match={"job_id": job["id"]}, times=2)
    )
    sandbox.add_fault(
        Fault("getExportJob", Effect.ALTER, members={"expires_at": "2026-01-01T00:00:00Z"})
    )
    assert len(sync("campaigns", job_reuse_hours=6).records("campaigns")) == 20
    assert len(sandbox.requests("createExportJob")) == 1


@both_apis
def test_the_quota_ends_the_run_with_what_is_done_and_what_remains(
    sandbox: Sandbox, sync: Sync
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=429, after=2, times=None))
    output = sync("accounts", "campaigns", "opportunities", "people", failure=QuotaStopError)
    assert {"accounts", "campaigns"} <= output.state.keys()
    assert len(output.records("campaigns")) == 20
    assert output.state["opportunities"] == {}
    with pytest.raises(QuotaStopError) as caught:
        sync("campaigns", "people")
    sentence = str(caught.value)
    assert "The quota is daily" in sentence or "start anew at midnight UTC" in sentence
    assert "0 of 2 streams are done, to do remain campaigns, people" in sentence
    assert caught.value.exit_code == 75


@both_apis
def test_the_tap_waits_for_a_new_quota_if_told_to(
    sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=429, times=8))
    started = sandbox.clock.now()
    with caplog.at_level("INFO"):
        assert len(sync("campaigns", quota_wait_hours=3).records("campaigns")) == 20
    assert (sandbox.clock.now() - started).total_seconds() > 3600
    assert caplog.text.count("Waiting for a new quota") > 60


@both_apis
def test_the_wait_for_a_quota_has_an_end(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=429, times=None))
    started = sandbox.clock.now()
    sync("campaigns", quota_wait_hours=2, failure=QuotaStopError)
    assert 7200 <= (sandbox.clock.now() - started).total_seconds() < 7300


@both_apis
def test_the_connection_test_creates_no_job(
    sandbox: Sandbox, config: dict[str, Any], wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        assert TapDemandbase(config=config).run_connection_test()
    seen = {r.operation for r in sandbox.requests()} - {"createToken"}
    assert seen == {wire.discover, wire.look}
    assert "No export job was created" in caplog.text


@both_apis
def test_a_list_that_lags_behind_a_lost_creation_is_asked_again(
    sandbox: Sandbox, sync: Sync, wire: Wire
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.DROP_AFTER))
    sandbox.add_fault(Fault(wire.look, Effect.SHIFT_PAGE, rows=1, after=1, times=4))
    assert len(sync("campaigns").records("campaigns")) == 20
    assert len(sandbox.requests("createExportJob")) == 1


@pytest.mark.parametrize(
    ("effect", "members"),
    [(Effect.INVALID_JSON, {}), (Effect.ALTER, {"id": None}), (Effect.ALTER, {"status": "odd"})],
)
def test_a_job_whose_creation_was_answered_oddly_is_cancelled(
    sandbox: Sandbox, sync: Sync, effect: Effect, members: dict[str, Any]
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.NEVER_ENDS))
    sandbox.add_fault(Fault("createExportJob", effect, members=members))
    sync("campaigns", failure=UnexpectedAnswerError)
    assert [job["status"] for job in sandbox.export_jobs()] == ["cancelled"]


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
def test_a_400_names_the_fields_that_were_asked_for(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.STATUS, status=400))
    with pytest.raises(SelectionError, match=r"people asked for the fields .*title"):
        sync("people", fields=["title"])
