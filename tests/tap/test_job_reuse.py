"""Existing jobs: reused, looked up after a lost response, ignored."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demandbase_api.errors import DemandbaseError, LinkRejectedError, UnexpectedResponseError
from demandbase_api.jobs import export_provider
from demandbase_sandbox import Effect, Fault, Sandbox
from demandbase_sandbox.faults import JobFaults
from tests.tap.conftest import ForeignJob, Wire, both_apis

pytestmark = pytest.mark.thorough

Sync = Callable[..., Any]

CREATE, FILE = "createExportJob", "signedFile"
BODY = {"entity_type": "campaigns"}
BEFORE = {"campaigns": {"last_job": {"id": "earlier", "created_at": "2026-01-01T00:00:00Z"}}}
"""Bookmarks of a run that delivered an older job."""

HOUR = 3600.0


def interrupted(sandbox: Sandbox, sync: Sync, *streams: str, **settings: Any) -> None:  # noqa: ANN401
    """Run the tap until it cannot download the file of a job that has completed."""
    sandbox.add_fault(Fault(FILE, Effect.STATUS, status=500, times=None))
    sync(*streams, job_reuse_hours=6, failure=DemandbaseError, **settings)
    sandbox.clear_faults()


def job_ids(sandbox: Sandbox) -> list[str]:
    return [str(job["id"]) for job in sandbox.export_jobs()]


def last_job(output: Any) -> str:  # noqa: ANN401
    return str(output.state["campaigns"]["last_job"]["id"])


class TestAdoption:
    """Which jobs take the place of a new one."""

    @both_apis
    @pytest.mark.parametrize("has_state", [True, False])
    def test_an_interrupted_run_buys_nothing_twice(
        self, sandbox: Sandbox, sync: Sync, *, has_state: bool
    ) -> None:
        interrupted(sandbox, sync, "accounts", "campaigns")
        state = {"bookmarks": {**BEFORE, "accounts": BEFORE["campaigns"]}} if has_state else None
        output = sync("accounts", "campaigns", job_reuse_hours=6, state=state)
        assert (len(output.records("accounts")), len(output.records("campaigns"))) == (200, 20)
        assert len(sandbox.requests(CREATE)) == 2

    @both_apis
    @pytest.mark.parametrize("has_state", [True, False])
    def test_on_another_machine_only_a_state_proves_that_a_job_was_not_delivered(
        self, sandbox: Sandbox, sync: Sync, tmp_path: Path, *, has_state: bool
    ) -> None:
        interrupted(sandbox, sync, "campaigns", spool_dir=str(tmp_path / "one"))
        state = {"bookmarks": BEFORE} if has_state else None
        sync("campaigns", job_reuse_hours=6, state=state, spool_dir=str(tmp_path / "two"))
        assert len(sandbox.requests(CREATE)) == (1 if has_state else 2)

    @both_apis
    @pytest.mark.parametrize("has_setting", [True, False])
    def test_what_an_earlier_version_kept_in_a_temporary_folder_is_used(
        self,
        sandbox: Sandbox,
        sync: Sync,
        wire: Wire,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        *,
        has_setting: bool,
    ) -> None:
        old, new = tmp_path / "tmp" / "singer-demandbase", tmp_path / "new" / "singer-demandbase"
        monkeypatch.setattr(tempfile, "tempdir", str(old.parent))
        monkeypatch.setenv("XDG_STATE_HOME", str(new.parent))
        interrupted(sandbox, sync, "campaigns", spool_dir=str(old))
        asked = len(sandbox.requests(wire.discover))
        settings = {"state_dir": str(new)} if has_setting else {}
        sync("campaigns", job_reuse_hours=6, spool_dir=None, **settings)
        assert len(sandbox.requests(CREATE)) == 1
        files = [path for path in new.rglob("*") if path.is_file()]
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
        if not wire.is_v1:
            assert len(sandbox.requests(wire.discover)) == asked

    @both_apis
    @pytest.mark.parametrize("has_state", [True, False])
    def test_what_a_whole_run_has_delivered_is_not_delivered_again(
        self, sandbox: Sandbox, sync: Sync, *, has_state: bool
    ) -> None:
        # Without a state: `meltano run --full-refresh`.
        first = sync("campaigns", job_reuse_hours=6)
        state = {"bookmarks": first.state} if has_state else None
        second = sync("campaigns", job_reuse_hours=6, state=state)
        assert len(sandbox.requests(CREATE)) == 2
        assert last_job(first) != last_job(second)

    @both_apis
    def test_a_run_without_a_response_does_not_make_delivered_data_new(
        self, sandbox: Sandbox, sync: Sync
    ) -> None:
        first = sync("campaigns", job_reuse_hours=6)
        sandbox.add_fault(Fault(CREATE, Effect.DROP_BEFORE, times=None))
        sync("campaigns", job_reuse_hours=6, failure=DemandbaseError)
        sandbox.clear_faults()
        assert last_job(sync("campaigns", job_reuse_hours=6)) != last_job(first)

    def test_each_job_of_the_last_run_is_known_to_be_delivered(
        self, sandbox: Sandbox, sync: Sync
    ) -> None:
        # The list rounds the creation times, so that the first job seems to be the newer one.
        fields = [("id", "string"), ("seen_at", "datetime")]
        sandbox.add_entity("people", fields, [["1", "2026-01-03T00:00:00Z"]])
        second = {"created_at": sandbox.clock.now().isoformat()}
        sandbox.add_fault(Fault(CREATE, Effect.ALTER, members=second, times=None))
        settings = {
            "stream_options": {"people": {"replication_key": "seen_at"}},
            "start_date": "2026-01-01",
            "end_date": "2026-01-05",
            "window_days": 2,
            "job_reuse_hours": 6,
        }
        first = sync("people", **settings)
        assert len(first.state["people"]["last_job"]["ids"]) == 2
        # Without the bookmark, the next run asks for the same windows.
        state = {"bookmarks": {"people": {"last_job": first.state["people"]["last_job"]}}}
        sync("people", state=state, **settings)
        assert len(sandbox.requests(CREATE)) == 4

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
        self, sandbox: Sandbox, sync: Sync, body: dict[str, Any]
    ) -> None:
        sandbox.tenant.exports.create(body)
        sync("campaigns", job_reuse_hours=6, state={"bookmarks": BEFORE})
        assert len(sandbox.requests(CREATE)) == 1

    @pytest.mark.parametrize("hours", [0, 1])
    def test_a_job_that_is_too_old_is_not_reused(
        self, sandbox: Sandbox, sync: Sync, hours: float
    ) -> None:
        sandbox.tenant.exports.create({**BODY})
        sandbox.clock.advance(HOUR + 1)
        sync("campaigns", job_reuse_hours=hours, state={"bookmarks": BEFORE})
        assert len(sandbox.requests(CREATE)) == 1

    def test_a_job_that_failed_or_was_cancelled_is_not_reused(
        self, sandbox: Sandbox, sync: Sync
    ) -> None:
        job = sandbox.tenant.exports.create({**BODY}, JobFaults(never_ends=True))
        sandbox.tenant.exports.cancel(job.id)
        sandbox.tenant.exports.create({**BODY}, JobFaults(fails="out of disk"))
        sync("campaigns", job_reuse_hours=6, state={"bookmarks": BEFORE})
        assert len(sandbox.requests(CREATE)) == 1

    @both_apis
    def test_a_list_that_is_oldest_first_is_searched_to_its_end(
        self, sandbox: Sandbox, sync: Sync, wire: Wire
    ) -> None:
        sync("campaigns")
        sandbox.clock.advance(24 * HOUR)
        interrupted(sandbox, sync, "campaigns")
        sandbox.add_fault(Fault(wire.list_jobs, Effect.OLDEST_FIRST, times=None))
        sync("campaigns", job_reuse_hours=6)
        assert len(sandbox.requests(CREATE)) == 2

    @both_apis
    def test_a_job_that_the_list_does_not_have_yet_is_read_by_its_id(
        self, sandbox: Sandbox, sync: Sync, wire: Wire
    ) -> None:
        interrupted(sandbox, sync, "campaigns")
        sandbox.add_fault(Fault(wire.list_jobs, Effect.LAG, seconds=HOUR, times=None))
        assert sync("campaigns", job_reuse_hours=6).records("campaigns")
        assert len(sandbox.requests(CREATE)) == 1

    def test_a_job_that_a_run_has_begun_comes_before_that_of_another_client(
        self, sandbox: Sandbox, sync: Sync
    ) -> None:
        interrupted(sandbox, sync, "campaigns")
        sandbox.clock.advance(HOUR)
        fields = sandbox.export_jobs()[0]["fields"]
        sandbox.tenant.exports.create({**BODY, "fields": fields}, JobFaults(never_ends=True))
        assert sync("campaigns", job_reuse_hours=6).records("campaigns")
        assert len(sandbox.requests(CREATE)) == 1

    @both_apis
    @pytest.mark.parametrize("hours", [-50, 50])
    def test_ages_are_measured_by_the_clock_of_the_server(
        self, sandbox: Sandbox, sync: Sync, hours: float
    ) -> None:
        sandbox.clock.skew(hours * HOUR)
        interrupted(sandbox, sync, "campaigns")
        assert sync("campaigns", job_reuse_hours=6).records("campaigns")
        assert len(sandbox.requests(CREATE)) == 1

    @both_apis
    def test_a_file_instead_of_the_folder_of_the_journal_does_not_end_the_run(
        self, sync: Sync, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        spool = tmp_path / "spool"
        spool.mkdir()
        (spool / "tap-demandbase-jobs").touch()
        assert sync("campaigns", spool_dir=str(spool)).records("campaigns")
        assert caplog.text.count("cannot be recorded in state_dir") == 1


class TestReplaced:
    """Jobs that turn out to be of no use."""

    @both_apis
    @pytest.mark.parametrize("seconds", [-7200, 7200])
    def test_local_times_without_a_zone_expire_no_job(
        self, sandbox: Sandbox, sync: Sync, seconds: float
    ) -> None:
        sandbox.add_fault(Fault("*", Effect.LOCAL_TIMES, seconds=seconds, times=None))
        assert sync("campaigns").records("campaigns")
        assert len(sandbox.requests(CREATE)) == 1

    @both_apis
    def test_a_server_whose_clock_is_days_behind_gives_a_file_for_one_job(
        self, sandbox: Sandbox, sync: Sync
    ) -> None:
        sandbox.clock.skew(-7 * 24 * HOUR)
        assert sync("campaigns").records("campaigns")
        assert len(sandbox.requests(CREATE)) == 1

    def test_a_reused_job_that_never_ends_is_replaced_once_and_not_reused_again(
        self, sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture
    ) -> None:
        job = sandbox.tenant.exports.create({**BODY}, JobFaults(never_ends=True))
        settings = {"job_reuse_hours": 6, "job_timeout_seconds": 100}
        assert len(sync("campaigns", **settings).records("campaigns")) == 20
        assert f"The export job {job.id} for campaigns may still run" in caplog.text
        assert len(sync("campaigns", **settings).records("campaigns")) == 20
        assert caplog.text.count("Another job is created in its place") == 1
        assert len(sandbox.requests(CREATE)) == 2
        assert sandbox.tenant.exports.get(job.id).status == "processing"

    @both_apis
    def test_a_reused_job_without_a_file_is_replaced_once_and_not_reused_again(
        self, sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture
    ) -> None:
        interrupted(sandbox, sync, "campaigns")
        [job_id] = job_ids(sandbox)
        lost = Fault(FILE, Effect.STATUS, status=404, times=None, match={"job_id": job_id})
        sandbox.add_fault(lost)
        assert len(sync("campaigns", job_reuse_hours=6).records("campaigns")) == 20
        assert len(sync("campaigns", job_reuse_hours=6).records("campaigns")) == 20
        assert caplog.text.count("Another job is created in its place") == 1
        assert len(sandbox.requests(CREATE)) == 3

    @both_apis
    def test_an_own_job_without_a_file_is_left_to_the_next_run(
        self, sandbox: Sandbox, sync: Sync
    ) -> None:
        sandbox.add_fault(Fault(FILE, Effect.STATUS, status=404, times=None))
        sync("campaigns", job_reuse_hours=6, failure=LinkRejectedError)
        sandbox.clear_faults()
        assert sync("campaigns", job_reuse_hours=6).records("campaigns")
        assert len(sandbox.requests(CREATE)) == 1

    @both_apis
    def test_a_run_replaces_one_job_without_a_file(self, sandbox: Sandbox, sync: Sync) -> None:
        sandbox.add_fault(Fault(FILE, Effect.STATUS, status=404, times=None))
        for jobs in (1, 2, 3):
            sync("campaigns", job_reuse_hours=6, failure=LinkRejectedError)
            assert len(sandbox.requests(CREATE)) == jobs


class TestLostCreation:
    """Jobs whose creation got no response."""

    @both_apis
    @pytest.mark.parametrize("effect", [Effect.DROP_AFTER, Effect.STALL])
    def test_it_is_looked_up(self, sandbox: Sandbox, sync: Sync, effect: Effect) -> None:
        sandbox.add_fault(Fault(CREATE, effect))
        assert len(sync("campaigns").records("campaigns")) == 20
        assert len(sandbox.requests(CREATE)) == 1
        assert len(sandbox.export_jobs()) == 1

    @both_apis
    @pytest.mark.parametrize("effect", [Effect.DROP_BEFORE, Effect.STATUS])
    def test_what_did_not_happen_is_repeated_after_a_look(
        self, sandbox: Sandbox, sync: Sync, wire: Wire, effect: Effect
    ) -> None:
        sandbox.add_fault(Fault(CREATE, effect, status=502))
        assert len(sync("campaigns").records("campaigns")) == 20
        seen = [r.operation for r in sandbox.requests()]
        first, second = [n for n, name in enumerate(seen) if name == wire.create]
        assert wire.list_jobs in seen[first:second]

    @both_apis
    @pytest.mark.parametrize("has_date", [True, False])
    @pytest.mark.parametrize("has_state", [True, False])
    def test_an_older_job_of_the_same_request_is_not_mistaken_for_it(
        self, sandbox: Sandbox, sync: Sync, *, has_date: bool, has_state: bool
    ) -> None:
        if not has_date:
            sandbox.add_fault(Fault("*", Effect.HEADERS, headers={"Date": ""}, times=None))
        first = sync("campaigns")
        # Jobs that are newer, and also too old: the list is not read as far as the first one.
        sync("accounts", "people")
        sandbox.clock.advance(20 * HOUR)
        sandbox.clear_requests()
        sandbox.add_fault(Fault(CREATE, Effect.STATUS, status=503))
        state = {"bookmarks": {"campaigns": first.state["campaigns"]}} if has_state else None
        second = sync("campaigns", job_reuse_hours=6, state=state)
        assert len(sandbox.requests(CREATE)) == 2
        assert last_job(second) != last_job(first)

    @pytest.mark.parametrize("has_date", [True, False])
    def test_the_running_job_of_another_client_is_neither_read_nor_cancelled(
        self, sandbox: Sandbox, sync: Sync, *, has_date: bool
    ) -> None:
        if not has_date:
            sandbox.add_fault(Fault("*", Effect.HEADERS, headers={"Date": ""}, times=None))
        job = sandbox.tenant.exports.create({**BODY}, JobFaults(never_ends=True))
        sandbox.clock.advance(7 * HOUR)
        sandbox.add_fault(Fault(CREATE, Effect.STATUS, status=503))
        assert sync("campaigns", job_reuse_hours=6).records("campaigns")
        assert sandbox.tenant.exports.get(job.id).status == "processing"
        assert not sandbox.requests("cancelExportJob")

    @pytest.mark.parametrize(
        ("seconds", "members", "created"),
        [
            (120, {}, 2),
            (0, {}, 1),
            (0, {"entity_type": "accounts"}, 2),
            (0, {"fields": ["campaign_id"]}, 2),
        ],
    )
    def test_a_job_that_appears_meanwhile_is_compared_with_the_request_and_its_time(
        self, sandbox: Sandbox, sync: Sync, seconds: float, members: dict[str, Any], created: int
    ) -> None:
        sandbox.add_fault(Fault(CREATE, Effect.FOREIGN_JOB, seconds=seconds, members=members))
        sandbox.add_fault(Fault(CREATE, Effect.STATUS, status=503))
        assert sync("campaigns", job_reuse_hours=6).records("campaigns")
        assert len(sandbox.requests(CREATE)) == created

    @pytest.mark.parametrize("api", ["uapi"])
    def test_the_job_of_another_run_is_not_taken_for_the_lost_one(
        self, sandbox: Sandbox, sync: Sync, wire: Wire
    ) -> None:
        sandbox.add_fault(Fault(CREATE, Effect.DROP_AFTER))
        sandbox.add_fault(Fault(wire.list_jobs, Effect.FOREIGN_JOB, after=1))
        output = sync("campaigns")
        [foreign] = sandbox.foreign_jobs()
        [own] = [job for job in sandbox.export_jobs() if job["id"] != foreign["id"]]
        assert own["jobName"] != foreign["jobName"]
        assert last_job(output) == own["id"]
        assert len(sandbox.requests(CREATE)) == 1

    def test_a_job_that_was_found_by_its_request_is_read_and_never_cancelled(
        self, sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture
    ) -> None:
        sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS))
        sandbox.add_fault(Fault(CREATE, Effect.DROP_AFTER))
        assert sync("campaigns", job_timeout_seconds=100).records("campaigns")
        _, found = sandbox.export_jobs()
        assert found["status"] == "processing"
        assert f"The export job {found['id']} for campaigns may still run" in caplog.text

    def test_a_creation_that_is_answered_with_an_older_job_makes_it_nobodys(
        self, sandbox: Sandbox, sync: Sync, foreign_job: ForeignJob
    ) -> None:
        job_id = foreign_job(how="running", seconds=7 * 3600)
        sandbox.add_fault(Fault(CREATE, Effect.ALTER, members={"id": job_id}))
        assert sync("campaigns", job_timeout_seconds=100).records("campaigns")
        [foreign] = sandbox.foreign_jobs()
        assert (foreign["id"], foreign["status"]) == (job_id, "processing")

    @both_apis
    def test_a_job_of_another_run_has_another_name(
        self, sandbox: Sandbox, sync: Sync, wire: Wire
    ) -> None:
        sync("campaigns")
        sync("campaigns")
        if not wire.is_v1:
            names = [job["jobName"] for job in sandbox.export_jobs()]
            assert len(set(names)) == 2
            assert len({name.rpartition(" ")[0] for name in names}) == 1

    @both_apis
    def test_a_list_that_lags_behind_is_read_again(
        self, sandbox: Sandbox, sync: Sync, wire: Wire
    ) -> None:
        sandbox.add_fault(Fault(CREATE, Effect.DROP_AFTER))
        sandbox.add_fault(Fault(wire.list_jobs, Effect.SHIFT_PAGE, rows=1, after=1, times=4))
        assert len(sync("campaigns").records("campaigns")) == 20
        assert len(sandbox.requests(CREATE)) == 1

    @both_apis
    def test_what_may_still_run_is_named_even_if_the_list_cannot_be_read(
        self,
        sandbox: Sandbox,
        sync: Sync,
        wire: Wire,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(export_provider, "_LOST_JOB_SECONDS", 0.1)
        sandbox.add_fault(Fault(CREATE, Effect.DROP_AFTER))
        sandbox.add_fault(Fault(wire.list_jobs, Effect.STATUS, status=500, after=1, times=None))
        sync("campaigns", failure=DemandbaseError)
        assert "An export job for campaigns may have been created and may still run" in caplog.text

    @pytest.mark.parametrize(
        ("effect", "members"),
        [(Effect.INVALID_JSON, {}), (Effect.ALTER, {"id": None})],
    )
    def test_a_job_whose_creation_was_answered_oddly_is_named(
        self,
        sandbox: Sandbox,
        sync: Sync,
        caplog: pytest.LogCaptureFixture,
        effect: Effect,
        members: dict[str, Any],
    ) -> None:
        sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS))
        sandbox.add_fault(Fault(CREATE, effect, members=members))
        sync("campaigns", failure=UnexpectedResponseError)
        [job] = sandbox.export_jobs()
        assert job["status"] == "processing"
        assert f"The export job {job['id']} for campaigns may still run" in caplog.text


@both_apis
def test_a_job_that_the_end_of_a_run_found_is_reused(sandbox: Sandbox, sync: Sync) -> None:
    # Times without a zone do not prove that the job is no older than its request.
    sandbox.add_fault(Fault("*", Effect.LOCAL_TIMES, seconds=-2 * HOUR, times=None))
    sandbox.add_fault(Fault(CREATE, Effect.INVALID_JSON))
    sync("campaigns", job_reuse_hours=6, failure=UnexpectedResponseError)
    sandbox.clock.advance(60)
    assert sync("campaigns", job_reuse_hours=6).records("campaigns")
    assert len(sandbox.requests(CREATE)) == 1


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


@both_apis
def test_a_lost_creation_is_looked_up_after_an_earlier_run(sandbox: Sandbox, sync: Sync) -> None:
    first = sync("campaigns")
    sandbox.add_fault(Fault("createExportJob", Effect.DROP_AFTER))
    second = sync("campaigns", state={"bookmarks": first.state})
    assert len(second.records("campaigns")) == 20
    assert len(sandbox.requests("createExportJob")) == 2
