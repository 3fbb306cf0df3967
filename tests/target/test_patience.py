"""Trouble that passes, from the creation of an import job to the reading of its end."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from demandbase_api.errors import AuthenticationError
from demandbase_sandbox import Effect, Fault, Sandbox
from target_demandbase.errors import ReconciliationError
from tests.target.conftest import ACCOUNT, Load, landed, people, person, record, schema, state
from tests.target.people_files import CREATE, LIST, rows_sent

pytestmark = pytest.mark.thorough

GET, ERRORS = "getImportJob", "getImportErrors"
COUNTS = "total_rows", "processed_rows", "success_count", "error_count"
LOOSE = {**ACCOUNT, "engagement_score": {"type": ["string", "null"]}}
MESSAGES = (people(), person(1), person(2), state(1))


def arrives(load: Load, sandbox: Sandbox) -> bool:
    """Whether all rows arrive in one job, and the state follows."""
    done = load(*MESSAGES)
    return (done.states, set(landed(sandbox)), rows_sent(sandbox)) == ([1], {"1", "2"}, [2])


def test_too_many_creations_are_waited_for_if_the_server_says_how_long(
    sandbox: Sandbox, load: Load
) -> None:
    headers = {"Retry-After": "890"}
    sandbox.add_fault(Fault(CREATE, Effect.STATUS, status=429, headers=headers))
    started = sandbox.clock.now()
    assert arrives(load, sandbox)
    assert (sandbox.clock.now() - started).total_seconds() >= 890
    assert len(sandbox.requests(CREATE)) == 2


@pytest.mark.v1_only("over uapi the day's creations are counted")
def test_too_many_creations_are_tried_again_without_a_time_to_wait(
    sandbox: Sandbox, load: Load
) -> None:
    sandbox.add_fault(Fault(CREATE, Effect.STATUS, status=429, times=2))
    assert arrives(load, sandbox)


STRANGE: dict[str, dict[str, Any]] = {
    "401": {"status": 401},
    "html": {"status": 200, "body": "<html>maintenance</html>"},
    "not found": {"status": 404},
    "failing": {"status": 500},
    "forbidden": {"status": 403},
}
"""Responses that may be those of a gateway or of a server that is not up to date."""


@pytest.mark.parametrize("response", STRANGE)
def test_no_single_response_to_a_poll_ends_the_run(
    sandbox: Sandbox, load: Load, response: str
) -> None:
    # The list is also read before the first upload.
    for call, after in ((LIST, 1), (GET, 0)):
        sandbox.add_fault(Fault(call, Effect.STATUS, times=4, after=after, **STRANGE[response]))
    assert arrives(load, sandbox)


@pytest.mark.parametrize("response", ["401", "html"])
def test_no_single_response_to_the_list_before_an_upload_ends_the_run(
    sandbox: Sandbox, load: Load, response: str
) -> None:
    sandbox.add_fault(Fault(LIST, Effect.STATUS, **STRANGE[response]))
    assert arrives(load, sandbox)


@pytest.mark.parametrize("response", ["html", "failing"])
def test_without_the_list_of_jobs_the_job_is_polled_alone(
    sandbox: Sandbox, load: Load, response: str
) -> None:
    sandbox.add_fault(Fault(LIST, Effect.STATUS, times=None, **STRANGE[response]))
    assert arrives(load, sandbox)


def test_a_token_that_is_rejected_for_good_ends_the_run_in_minutes(
    sandbox: Sandbox, load: Load
) -> None:
    sandbox.add_fault(Fault(LIST, Effect.STATUS, status=401, after=1, times=None))
    started = sandbox.clock.now()
    assert load(*MESSAGES, failure=AuthenticationError).states == []
    assert 120 <= (sandbox.clock.now() - started).total_seconds() < 300
    sandbox.clear_faults()
    assert arrives(load, sandbox)  # the next run resumes the job


@pytest.mark.v1_only("uapi has no counts")
def test_a_job_is_read_alone_at_its_end(
    sandbox: Sandbox, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    lacking = (*COUNTS, "error_message")
    sandbox.add_fault(Fault(LIST, Effect.ALTER, items={}, nulls=lacking, times=None))
    said = {"error_message": "The file has 2 rows."}
    sandbox.add_fault(Fault(GET, Effect.ALTER, members=said, times=None))
    with caplog.at_level(logging.WARNING):
        assert arrives(load, sandbox)
    assert "is completed with a message: The file" in caplog.text
    assert [len(sandbox.requests(call)) for call in (GET, ERRORS)] == [1, 1]


@pytest.mark.v1_only("uapi has no counts")
@pytest.mark.parametrize("response", ["401", "failing"])
def test_a_job_that_cannot_be_read_at_its_end_is_judged_by_the_list(
    sandbox: Sandbox, load: Load, response: str, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.add_fault(Fault(GET, Effect.STATUS, times=None, **STRANGE[response]))
    with caplog.at_level(logging.WARNING):
        assert arrives(load, sandbox)
    assert "is judged by the list of jobs, since it cannot be read: Demandbase" in caplog.text


@pytest.mark.v1_only("uapi has no row errors")
@pytest.mark.parametrize("response", ["401", "html"])
def test_no_single_response_to_the_reading_of_row_errors_ends_the_run(
    sandbox: Sandbox, load: Load, response: str
) -> None:
    sandbox.add_fault(Fault(ERRORS, Effect.STATUS, times=2, **STRANGE[response]))
    assert arrives(load, sandbox)


@pytest.mark.v1_only("uapi has no row errors")
def test_a_missing_list_of_row_errors_has_none(sandbox: Sandbox, load: Load) -> None:
    sandbox.add_fault(Fault(ERRORS, Effect.STATUS, status=404, times=None))
    assert arrives(load, sandbox)
    bad = record(domain="bad.example", engagement_score="viel")
    done = load(schema(LOOSE), bad, state(2), failure=ReconciliationError)
    assert done.states == []


@pytest.mark.parametrize("total", [None, 10**6])
def test_a_list_of_jobs_that_repeats_its_first_page_ends(
    sandbox: Sandbox, load: Load, api: str, total: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    load(people(), person(0))
    sandbox.clear_requests()
    for effect in (Effect.SAME_PAGE, Effect.LAG):  # the own job is on no page
        sandbox.add_fault(Fault(LIST, effect, seconds=3600, times=None))
    members = {"totalCount" if api == "uapi" else "total": total}
    sandbox.add_fault(Fault(LIST, Effect.ALTER, members=members, times=None))
    sandbox.clock.advance(4000)
    done = load(*MESSAGES)
    assert (done.states, set(landed(sandbox))) == ([1], {"0", "1", "2"})
    assert len(sandbox.requests(LIST)) % 3 == 0
    assert caplog.text.count("gave the same items on further pages") == 1
