"""Existing jobs: reused, looked up after a lost response, ignored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import (
    UnexpectedResponseError,
)
from demandbase_sandbox import Effect, Fault, Sandbox
from demandbase_sandbox.faults import JobFaults
from tests.tap.conftest import ForeignJob, Wire, both_apis

pytestmark = pytest.mark.thorough

Sync = Callable[..., Any]


BODY = {"entity_type": "campaigns"}


@pytest.mark.parametrize("ended", [False, True])
def test_a_job_of_the_same_request_is_reused(
    sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture, *, ended: bool
) -> None:
    job = sandbox.tenant.exports.create({**BODY})
    if ended:
        sandbox.export_jobs()
    with caplog.at_level("INFO"):
        assert len(sync("campaigns", job_reuse_hours=6).records("campaigns")) == 20
    assert not sandbox.requests("createExportJob")
    assert f"Reusing the export job {job.id} for campaigns" in caplog.text


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
def test_a_job_of_another_request_is_never_reused(
    sandbox: Sandbox, sync: Sync, body: dict[str, Any]
) -> None:
    sandbox.tenant.exports.create(body)
    sync("campaigns", job_reuse_hours=6)
    assert len(sandbox.requests("createExportJob")) == 1


@pytest.mark.parametrize("hours", [0, 1])
def test_a_job_that_is_too_old_is_not_reused(sandbox: Sandbox, sync: Sync, hours: float) -> None:
    sandbox.tenant.exports.create({**BODY})
    sandbox.clock.advance(3601)
    sync("campaigns", job_reuse_hours=hours)
    assert len(sandbox.requests("createExportJob")) == 1


def test_a_job_that_failed_or_was_cancelled_is_not_reused(sandbox: Sandbox, sync: Sync) -> None:
    job = sandbox.tenant.exports.create({**BODY}, JobFaults(never_ends=True))
    sandbox.tenant.exports.cancel(job.id)
    sandbox.tenant.exports.create({**BODY}, JobFaults(fails="out of disk"))
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
    assert wire.list_jobs in seen[first:second]


def test_an_older_job_of_the_same_request_is_not_mistaken_for_the_lost_one(
    sandbox: Sandbox, sync: Sync
) -> None:
    old = sandbox.tenant.exports.create({**BODY})
    sandbox.export_jobs()
    sandbox.add_fault(Fault("createExportJob", Effect.DROP_BEFORE))
    output = sync("campaigns", job_reuse_hours=0)
    assert output.state["campaigns"]["last_job"]["id"] != old.id


def test_a_reused_job_that_expired_meanwhile_is_replaced(sandbox: Sandbox, sync: Sync) -> None:
    job = sandbox.tenant.exports.create({**BODY})
    sandbox.export_jobs()
    sandbox.add_fault(
        Fault("downloadExportFile", Effect.STATUS, status=404, match={"job_id": job.id}, times=2)
    )
    sandbox.add_fault(
        Fault("getExportJob", Effect.ALTER, members={"expires_at": "2026-01-01T00:00:00Z"})
    )
    assert len(sync("campaigns", job_reuse_hours=6).records("campaigns")) == 20
    assert len(sandbox.requests("createExportJob")) == 1


@both_apis
def test_a_list_that_lags_behind_a_lost_creation_is_read_again(
    sandbox: Sandbox, sync: Sync, wire: Wire
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.DROP_AFTER))
    sandbox.add_fault(Fault(wire.list_jobs, Effect.SHIFT_PAGE, rows=1, after=1, times=4))
    assert len(sync("campaigns").records("campaigns")) == 20
    assert len(sandbox.requests("createExportJob")) == 1


@pytest.mark.parametrize(
    ("effect", "members"),
    [(Effect.INVALID_JSON, {}), (Effect.ALTER, {"id": None}), (Effect.ALTER, {"status": None})],
)
def test_a_job_whose_creation_was_answered_oddly_is_cancelled(
    sandbox: Sandbox, sync: Sync, effect: Effect, members: dict[str, Any]
) -> None:
    sandbox.add_fault(Fault("createExportJob", Effect.NEVER_ENDS))
    sandbox.add_fault(Fault("createExportJob", effect, members=members))
    sync("campaigns", failure=UnexpectedResponseError)
    assert [job["status"] for job in sandbox.export_jobs()] == ["cancelled"]


@both_apis
def test_jobs_of_others_are_left_alone(
    sandbox: Sandbox, sync: Sync, foreign_job: ForeignJob
) -> None:
    job_id = foreign_job(seconds=60)
    assert sync("campaigns", job_reuse_hours=6).records("campaigns")
    (foreign,) = sandbox.foreign_jobs()
    assert (foreign["id"], foreign["status"] in {"completed", "finished"}) == (job_id, True)
    assert not [seen for seen in sandbox.requests() if job_id in seen.path]


@both_apis
def test_jobs_whose_state_could_not_be_written_are_reused(
    sandbox: Sandbox, sync: Sync, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def break_pipe(_writer: object, state: dict[str, Any]) -> None:
        if any("last_job" in mark for mark in state["bookmarks"].values()):
            raise BrokenPipeError

    settings = {"job_reuse_hours": 6, "spool_dir": str(tmp_path)}
    with monkeypatch.context() as patched:
        patched.setattr("singer_sdk.helpers._state.StateWriter.write_state", break_pipe)
        sync("campaigns", failure=BrokenPipeError, **settings)
    assert len(sync("campaigns", **settings).records("campaigns")) == 20
    assert len(sandbox.requests("createExportJob")) == 1
