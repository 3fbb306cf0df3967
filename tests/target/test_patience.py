"""Trouble that passes, from the creation of an import job to the reading of its end."""

from __future__ import annotations

from typing import Any

import pytest

from demandbase_api.errors import AuthenticationError
from demandbase_sandbox import Effect, Fault, Sandbox
from tests.target.conftest import Load, landed, people, person, state
from tests.target.people_files import CREATE, LIST, rows_sent

pytestmark = pytest.mark.thorough

GET = "getImportJob"
MESSAGES = (people(), person(1), person(2), state(1))


def arrives(load: Load, sandbox: Sandbox) -> bool:
    """Whether all rows arrive in one job, and the state follows."""
    done = load(*MESSAGES)
    return (done.states, set(landed(sandbox)), rows_sent(sandbox)) == ([1], {"1", "2"}, [2])


@pytest.mark.parametrize("seconds", [2, 900])
def test_too_many_creations_are_waited_for_if_the_server_says_how_long(
    sandbox: Sandbox, load: Load, seconds: int
) -> None:
    headers = {"Retry-After": str(seconds)}
    sandbox.add_fault(Fault(CREATE, Effect.STATUS, status=429, headers=headers))
    started = sandbox.clock.now()
    assert arrives(load, sandbox)
    assert (sandbox.clock.now() - started).total_seconds() >= seconds
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
    for call in (LIST, GET):
        sandbox.add_fault(Fault(call, Effect.STATUS, times=2, **STRANGE[response]))
    assert arrives(load, sandbox)


@pytest.mark.parametrize("response", sorted(STRANGE.keys() - {"401"}))
def test_without_the_list_of_jobs_the_job_is_polled_alone(
    sandbox: Sandbox, load: Load, response: str
) -> None:
    sandbox.add_fault(Fault(LIST, Effect.STATUS, times=None, **STRANGE[response]))
    assert arrives(load, sandbox)


def test_a_token_that_is_rejected_for_good_ends_the_run_in_minutes(
    sandbox: Sandbox, load: Load
) -> None:
    sandbox.add_fault(Fault(LIST, Effect.STATUS, status=401, times=None))
    started = sandbox.clock.now()
    assert load(*MESSAGES, failure=AuthenticationError).states == []
    assert 120 <= (sandbox.clock.now() - started).total_seconds() < 300
    sandbox.clear_faults()
    assert arrives(load, sandbox)  # the next run resumes the job
