"""The trouble of one stream keeps no other from being delivered."""

from __future__ import annotations

import hashlib
import inspect
from typing import Any

import pytest
from singer_sdk import Tap

from demandbase_api.errors import AuthenticationError
from demandbase_sandbox import Effect, Fault, Sandbox
from tap_demandbase.errors import QuotaStopError, StreamsFailedError
from tests.tap.conftest import Output, Sync, both_apis
from tests.tap.visits import KEY, state_at, visits

pytestmark = pytest.mark.thorough

CREATE = "createExportJob"
ACCOUNTS = {"entity_type": "accounts"}
STREAMS = ("accounts", "campaigns", "people")


def status(number: int, **match: Any) -> Fault:  # noqa: ANN401
    return Fault(CREATE, Effect.STATUS, match=match, status=number, times=None)


def check_others(output: Output) -> None:
    """Check that the other streams were delivered, and that the state says so."""
    assert len(output.records("campaigns")) == 20
    assert len(output.records("people")) == 600
    assert output.state["people"]["last_job"]
    assert output.state["campaigns"]["last_job"]
    assert "replication_key_value" not in output.state["accounts"]


@both_apis
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (status(403, **ACCOUNTS), "HTTP 403"),
        (status(503, **ACCOUNTS), "HTTP 503"),
        (status(400, **ACCOUNTS), "HTTP 400"),
        (Fault(CREATE, Effect.JOB_FAILS, match=ACCOUNTS, message="no luck", times=None), "no luck"),
        (Fault(CREATE, Effect.MANGLE_CSV, match=ACCOUNTS, how="cut_in_quotes"), "no valid CSV"),
    ],
    ids=["403", "503", "400", "failed", "file"],
)
def test_the_others_are_delivered_and_the_run_fails_by_name(
    sandbox: Sandbox, sync: Sync, fault: Fault, said: str
) -> None:
    sandbox.add_fault(fault)
    output = sync(*STREAMS, failure=StreamsFailedError)
    check_others(output)
    sentence = str(output.error)
    assert sentence.startswith("1 of 3 streams failed, the others were delivered. Stream accounts")
    assert said in sentence
    assert output.error is not None
    assert output.error.exit_code == 1  # type: ignore[attr-defined]


@both_apis
def test_each_stream_that_failed_is_named_with_its_reason(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.add_fault(status(403, **ACCOUNTS))
    how = {"match": {"entity_type": "people"}, "message": "no luck", "times": None}
    sandbox.add_fault(Fault(CREATE, Effect.JOB_FAILS, **how))  # type: ignore[arg-type]
    output = sync(*STREAMS, failure=StreamsFailedError)
    assert len(output.records("campaigns")) == 20
    sentence = str(output.error)
    assert sentence.startswith("2 of 3 streams failed")
    assert sentence.index("Stream accounts") < sentence.index("HTTP 403")
    assert sentence.index("Stream people") < sentence.index("no luck")


def test_a_job_that_never_ends_leaves_its_place_to_the_others(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS, match=ACCOUNTS))
    output = sync(*STREAMS, failure=StreamsFailedError, job_timeout_seconds=60)
    check_others(output)
    assert "was still processing" in str(output.error)
    jobs = {job["entity_type"]: job["status"] for job in sandbox.export_jobs()}
    assert jobs == {"accounts": "cancelled", "campaigns": "completed", "people": "completed"}


@pytest.mark.parametrize("api", ["uapi"])
def test_behind_a_job_that_cannot_be_cancelled_the_others_are_not_promised(
    sandbox: Sandbox, sync: Sync
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.NEVER_ENDS, match=ACCOUNTS))
    output = sync(*STREAMS, failure=StreamsFailedError, job_timeout_seconds=60)
    assert not output.records("people")
    sentence = str(output.error)
    assert "0 of 3 streams are done; remaining: campaigns, people." in sentence
    assert "Before that, 1 of 3 streams failed" in sentence
    assert "The export job" in sentence
    assert output.error.exit_code == 1  # type: ignore[union-attr]


@both_apis
@pytest.mark.parametrize("how", ["bookmark", "null", "text", "field"])
def test_a_stream_that_cannot_be_planned_fails_alone(
    sandbox: Sandbox, sync: Sync, how: str
) -> None:
    state = state_at("yesterday")
    if how in {"null", "text"}:
        state["bookmarks"]["people"] = None if how == "null" else "secret"
    fields = {"people": {"replication_key": "name"}} if how == "field" else KEY
    visits(sandbox, "2026-01-05T10:00:00Z")
    output = sync(
        "accounts", "people", "opportunities", stream_options=fields, state=state,
        failure=StreamsFailedError,
    )  # fmt: skip
    assert len(output.records("accounts")) == 200
    assert output.records("opportunities")
    assert not output.records("people")
    assert "people" in str(output.error)
    assert "secret" not in str(output.error)
    # The bookmark stays as it was, to be corrected; until then the stream fails.
    assert output.state["people"] == state["bookmarks"]["people"]
    assert len(sandbox.requests(CREATE)) == 2


@both_apis
@pytest.mark.parametrize(
    ("fault", "error"),
    [(status(401), AuthenticationError), (status(429), QuotaStopError)],
    ids=["401", "quota"],
)
def test_what_no_stream_can_overcome_ends_the_run(
    sandbox: Sandbox, sync: Sync, fault: Fault, error: type[Exception]
) -> None:
    sandbox.add_fault(fault)
    sync(*STREAMS, failure=error)
    assert not [job for job in sandbox.export_jobs() if job["entity_type"] == "people"]


@both_apis
def test_a_stream_that_failed_weighs_more_than_a_quota(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.add_fault(status(403, **ACCOUNTS))
    sandbox.add_fault(status(429, entity_type="people"))
    output = sync(*STREAMS, failure=StreamsFailedError)
    assert len(output.records("campaigns")) == 20
    assert output.error.exit_code == 1  # type: ignore[union-attr]
    sentence = str(output.error)
    assert "1 of 3 streams are done (campaigns); remaining: people" in sentence
    assert "Stream accounts: " in sentence


@both_apis
def test_the_next_run_exports_only_what_was_not_delivered(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.add_fault(status(403, **ACCOUNTS))
    first = sync(*STREAMS, failure=StreamsFailedError, job_reuse_hours=6)
    sandbox.clear_faults()
    again = sync(*STREAMS, state={"bookmarks": first.state}, job_reuse_hours=6)
    assert len(again.records("accounts")) == 200
    # What was delivered is exported anew: its file is as old as the run that failed.
    assert len(sandbox.export_jobs()) == 5


def test_the_sdks_sync_all_is_what_ours_was_made_for() -> None:
    source = inspect.getsource(Tap.sync_all)
    assert hashlib.sha256(source.encode()).hexdigest()[:16] == "e4412393757b4cdc"
